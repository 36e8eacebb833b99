"""Parsing of a program's arguments, without the packages that take seconds to import.

This module imports the standard library only, so that ``--help`` and a mistake are answered at
once, also where MMPose is not installed.
"""

from __future__ import annotations

import argparse
import glob
import importlib.util
import json
import os
import re
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# MMEngine's own, with every command; who runs a program can do nothing about it.
warnings.filterwarnings('ignore', 'pkg_resources is deprecated', UserWarning)

# What the programs that need MMPose import.
MMPOSE = ('mmpose', 'mmengine', 'mmcv', 'cv2', 'rich')

_INDEX = Path(__file__).parents[1] / 'weights' / 'index.json'
# In the path of the config of a network for several people, and of no other.
_SEVERAL = '/part_affinity_fields/'


def require_packages(program: str, packages: Sequence[str] = MMPOSE) -> None:
    """End the program if a package that it needs is not installed.

    Args:
        program: Name of the program, for the message.
        packages: Names to import the packages by.

    Raises:
        SystemExit: With code 2, after a line that names the packages and the remedy.
    """
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        print(
            f'{program}: error: there is no {", ".join(missing)}: install MMPose, which needs the '
            "same; in a clone, pip install '.[mmpose]' mmcv-lite, or make setup for all into .venv "
            '(docs/getting-started.md says more)',
            file=sys.stderr,
        )
        raise SystemExit(2)


def check_there(*paths: str | Path) -> None:
    """Check that there is something under each path; what it is must be seen by who reads it.

    Args:
        *paths: Paths.

    Raises:
        ValueError: If there is nothing. The message names the path.
    """
    for path in paths:
        if not os.path.exists(path):
            raise ValueError(f'{path}: no such file')


def camera_number(path: Path) -> int | None:
    """Return the number of the camera that an input names, as in MMPose's inferencer.

    Args:
        path: An input, such as ``webcam``, for number 0, or ``webcam:1``.

    Returns:
        The number, or None for a file.
    """
    named = re.fullmatch(r'webcam(:(\d+))?', str(path))
    return int(named[2] or 0) if named else None


def expand(inputs: Sequence[Path]) -> list[Path]:
    """Replace patterns, which not every shell does, and check that there are such inputs.

    Args:
        inputs: Files, folders, patterns such as ``a*.jpg``, and cameras (``webcam``).

    Returns:
        Those that are there; for a pattern, what matches it, by name.

    Raises:
        ValueError: If there is nothing. The message names the input.
    """
    found: list[Path] = []
    for given in inputs:
        matching = [given]
        if not os.path.exists(given) and camera_number(given) is None:
            matching = sorted(map(Path, glob.glob(str(given))))
        if not matching:
            raise ValueError(f'{given}: no such file or folder')
        found += matching
    return found


def packaged_models(*, several_people: bool = False) -> list[str]:
    """Return names of models with trained weights in the package.

    Args:
        several_people: Whether they find several people in an image, or one person in a box.

    Returns:
        Those of ``cpm_plugin.list_models(pretrained=True)`` of this kind.
    """
    entries = json.loads(_INDEX.read_text())
    return sorted(
        name for name, entry in entries.items() if (_SEVERAL in entry['config']) == several_people
    )


def check_packaged(model: str) -> None:
    """Check that a model has trained weights in the package, and is for one person in a box.

    Args:
        model: Name of the model.

    Raises:
        ValueError: If not. The message names those that have.
    """
    names = packaged_models()
    if model in packaged_models(several_people=True):
        raise ValueError(
            f'{model!r} finds several people in an image, and this needs a model for one person in '
            f'a box: {", ".join(names)}'
        )
    if model not in names:
        raise ValueError(f'no trained weights of {model!r}; there are: {", ".join(names)}')


class OptionsAction(argparse.Action):
    """Action for ``--cfg-options``: MMEngine's, but it refuses what is not KEY=VALUE by name."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Parse the values into a dict by dotted name."""
        require_packages(parser.prog, ['mmengine'])
        from mmengine.config import DictAction

        action = DictAction(self.option_strings, self.dest)
        for value in values:
            try:
                action(parser, namespace, [value], option_string)
            except (AssertionError, ValueError):
                parser.error(f'{option_string} {value}: give KEY=VALUE, with closed brackets')
