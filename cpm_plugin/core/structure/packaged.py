"""Structures in the package: fitted to LSP Extended, for the crops of our models for one person."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from ..weights.zoo import PACKAGED
from .structures import Structure

# Factors on the costs beside the beliefs of stage 1, by the PCK of cpm_slim_3s on images 7501-7800
# of LSP Extended; docs/insight.md has the table.
WEIGHTS = {'tree': 0.13, 'hierarchical': 0.05, 'non-tree': 0.1}


class PackagedStructure(NamedTuple):
    """A structure in the package.

    Attributes:
        structure: The structure.
        weight: Factor on its costs, for ``structured_maps``.
    """

    structure: Structure
    weight: float


@lru_cache
def packaged_structure(kind: str) -> PackagedStructure:
    """Read a structure of the package.

    They are means and variances of images 1-7500 of LSP Extended, for academic use only, as
    ``tools/fit_structure.py`` writes them with the config of ``cpm_slim_3s``. The crops of
    ``cpm_lite0_3s`` and ``cpm_movenet_3s`` are the same but for the number of pixels, and lengths
    are in units of the crop.

    Args:
        kind: Key of ``BODIES``.

    Returns:
        The structure and its weight.

    Raises:
        ValueError: If there is no such structure, or its file is missing or broken.

    Examples:
        >>> from cpm_plugin.core.structure import packaged_structure
        >>> tree, weight = packaged_structure('tree')
        >>> tree.exact, len(tree.springs), weight
        (True, 13, 0.13)
    """
    if kind not in WEIGHTS:
        raise ValueError(f'no structure {kind!r} in the package; there are: {", ".join(WEIGHTS)}')
    path = PACKAGED / f'structure_{kind}.json'
    try:
        return PackagedStructure(Structure.from_json(path.read_text()), WEIGHTS[kind])
    except (OSError, ValueError) as error:
        raise ValueError(f'{path}: {error}; install the package again') from error
