"""``StructuredHeatmap``: ``CPMHeatmap`` whose decoding knows of a fitted structure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..core.maps.belief_maps import TRUNCATION
from ..core.structure.loopy import DAMPING, MAX_ITERATIONS
from ..core.structure.structured_maps import structured_maps
from ..core.structure.structures import Structure
from .codec import CPMHeatmap

from mmpose.registry import KEYPOINT_CODECS
from mmpose.utils.tensor_utils import to_numpy


def read_structure(path: str | Path) -> Structure:
    """Read a structure that ``tools/fit_structure.py`` wrote.

    Args:
        path: Path of the file.

    Returns:
        The structure.

    Raises:
        ValueError: If there is none. The message names the file.
    """
    if not Path(path).is_file():
        raise ValueError(f'{path}: no such file; write it with tools/fit_structure.py')
    try:
        return Structure.from_json(Path(path).read_text())
    except (ValueError, OSError) as error:
        raise ValueError(f'{path}: {error}') from error


@KEYPOINT_CODECS.register_module()
class StructuredHeatmap(CPMHeatmap):
    """``CPMHeatmap`` that replaces belief maps by max-marginals before it finds their peaks.

    It is for a test, as the ``decoder`` of a head. Targets are those of ``CPMHeatmap``. The
    structure is in units of the crop that the test pipeline of its config makes, so it goes with
    that pipeline. Scale search, which has crops of several sizes, is refused.

    Args:
        structure: Path of the file of ``tools/fit_structure.py``.
        weight: Factor on the costs of the structure, beside the logarithms of the beliefs.
        floor: Smaller beliefs are set to this before the logarithm.
        damping: See ``cpm_plugin.core.structure.loopy_max_sum``; of structures with cycles.
        max_iterations: See there.
        kwargs: See ``CPMHeatmap``.

    Raises:
        ValueError: If the file cannot be read, or an argument is out of range.

    Examples:
        The beliefs of stage 1 and a tree, in a config for a test:

        >>> codec = dict(
        ...     type='StructuredHeatmap', structure='tree.json', input_size=(128, 128),
        ...     heatmap_size=(16, 16), background=True,
        ... )
        >>> model = dict(head=dict(background=True, decoder=codec), test_cfg=dict(stage=1))
    """

    def __init__(
        self,
        structure: str,
        weight: float = 0.1,
        floor: float = TRUNCATION,
        damping: float = DAMPING,
        max_iterations: int = MAX_ITERATIONS,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.structure = read_structure(structure)
        self.arguments: dict[str, Any] = dict(
            weight=weight, floor=floor, damping=damping, max_iterations=max_iterations
        )
        width, height = self.heatmap_size
        structured_maps(  # names arguments out of range
            np.zeros((1, len(self.structure.joints), height, width)),
            self.structure,
            **self.arguments,
        )

    def decode(self, encoded: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Find the keypoints of one person in belief maps.

        Args:
            encoded: (K, height, width), belief maps without background.

        Returns:
            Keypoints (1, K, 2) in input pixels, and scores (1, K), the beliefs there.
        """
        return super().decode(self.max_marginals(np.asarray(encoded)[None])[0])

    def batch_decode(self, batch_encoded: Any) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Find the keypoints of N people in belief maps.

        Args:
            batch_encoded: (N, K, height, width), belief maps without background.

        Returns:
            N arrays of keypoints (1, K, 2) in input pixels, and N arrays of scores (1, K).
        """
        return super().batch_decode(self.max_marginals(to_numpy(batch_encoded)))

    def max_marginals(self, beliefs: np.ndarray) -> np.ndarray:
        """Compute what is decoded in place of belief maps.

        Args:
            beliefs: (N, K, height, width), belief maps without background.

        Returns:
            (N, K, height, width), max-marginals; see
                ``cpm_plugin.core.structure.structured_maps``.
        """
        return structured_maps(beliefs, self.structure, **self.arguments).maps
