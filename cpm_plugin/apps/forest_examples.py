"""What a ``ForestMachine`` is trained on: its settings, the cells of each image, and the folds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np


@dataclass(frozen=True)
class ForestSettings:
    """Settings of a ``ForestMachine``.

    The defaults of ``max_features``, the patches, ``peaks`` and ``smoothing`` are chosen by the
    PCK@0.2 of two stages on images 7501 to 8000 of LSP Extended. docs/insight.md has the figures.
    In stage 1 there, 10 for ``min_leaf``, 80 for ``background`` and 0.7 for ``positive`` differ
    from the defaults by less than 0.4 points.

    Attributes:
        stages: Number T of stages.
        folds: Number of parts of the images. A stage is trained on the beliefs that forests of the
            other parts have of each.
        trees: Trees of a forest.
        share: Share of the cells that a tree is trained on, drawn with replacement.
        min_leaf: Cells in a leaf, at least.
        max_features: Share of the features that each split of a tree tries; 0 for the square root
            of their number, which is scikit-learn's default.
        positive: A cell is one of a joint whose target is at least this there.
        background: Cells of the background taken of each image.
        image_radius: Cells from the middle of a patch of image features to its side.
        context_radius: The same of a patch of beliefs.
        peaks: Peaks of each belief map whose offsets are taken.
        smoothing: Standard deviation of the Gaussian that smooths beliefs, in cells; 0 for none.
        seed: Seed of everything that is drawn.

    Raises:
        ValueError: If a value is no number, or out of range. The message names it.
    """

    stages: int = 3
    folds: int = 3
    trees: int = 100
    share: float = 0.3
    min_leaf: int = 5
    max_features: float = 0.2
    positive: float = 0.5
    background: int = 40
    image_radius: int = 1
    context_radius: int = 1
    peaks: int = 1
    smoothing: float = 0.7
    seed: int = 0

    def __post_init__(self) -> None:
        for field in fields(self):
            value, whole = getattr(self, field.name), isinstance(field.default, int)
            if not isinstance(value, Integral if whole else Real):
                kind = 'a whole number' if whole else 'a number'
                raise ValueError(f'{field.name} {value!r}: must be {kind}')
        least = dict(
            stages=1, folds=2, trees=1, min_leaf=1, background=1, image_radius=0, context_radius=0,
            peaks=1, smoothing=0, seed=0, max_features=0,
        )  # fmt: skip
        for name, value in least.items():
            if not getattr(self, name) >= value:
                raise ValueError(f'{name} {getattr(self, name)}: must be at least {value}')
        for name in ('share', 'positive'):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f'{name} {getattr(self, name)}: must be above 0, and at most 1')
        if not self.max_features <= 1:
            raise ValueError(f'max_features {self.max_features}: must be from 0 to 1')


def read_settings(changes: Mapping[str, Any]) -> ForestSettings:
    """Return the default settings with some changes.

    Args:
        changes: Values by the name of the setting.

    Returns:
        The settings.

    Raises:
        ValueError: If there is no such setting, or its value cannot be. The message names it.
    """
    names = [field.name for field in fields(ForestSettings)]
    for name in changes:
        if name not in names:
            raise ValueError(f'no setting {name!r}; there are: {", ".join(names)}')
    return ForestSettings(**changes)


class Examples(NamedTuple):
    """Cells of N images to train on.

    Attributes:
        images: (n,), number of the image of each cell, 0 to N - 1, in rising order.
        cells: (n, 2), row and column.
        labels: (n,), number of the joint, and K for the background.
    """

    images: np.ndarray
    cells: np.ndarray
    labels: np.ndarray


def draw_examples(
    targets: np.ndarray, known: np.ndarray, settings: ForestSettings, number: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draw the cells of one image to train on.

    All cells near a joint are taken, and some of the background. Where a joint is not known, the
    background is not known, either.

    Args:
        targets: (K + 1, h, w), ideal belief maps, background last.
        known: (K + 1,), whether the position of a joint is known, and of all joints.
        settings: Settings, with the seed.
        number: Number of the image, for which others are drawn.

    Returns:
        Cells (n, 2), row and column, and labels (n,), K for the background. A cell near several
            joints is one of the nearest.
    """
    rng = np.random.default_rng((settings.seed, number))
    joints = np.where(np.asarray(known[:-1], dtype=bool)[:, None, None], targets[:-1], 0)
    near = joints.max(axis=0) >= settings.positive
    cells = np.argwhere(near)
    labels = joints.argmax(axis=0)[near]
    if known[-1]:
        others = rng.permutation(np.argwhere(~near))[: settings.background]
        cells = np.concatenate([cells, others])
        labels = np.concatenate([labels, np.full(len(others), len(joints))])
    return cells, labels


def fold_numbers(groups: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Deal images out to folds of nearly equal size, all images of a group to the same.

    Args:
        groups: (N,), number of the photograph that an image is of.
        folds: Number of folds.
        seed: Seed of the order.

    Returns:
        (N,), from 0 to ``folds`` - 1.

    Raises:
        ValueError: If there are fewer groups than folds.
    """
    names, members = np.unique(groups, return_inverse=True)
    if len(names) < folds:
        raise ValueError(f'{len(names)} images for {folds} folds; give more images or fewer folds')
    dealt = np.random.default_rng(seed).permutation(len(names)) % folds
    numbers: np.ndarray = dealt[members]
    return numbers
