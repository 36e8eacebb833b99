"""``ForestMachine``: a pose machine whose stages are random forests on hand-made features.

It is that of Ramakrishna, Munoz, Hebert, Bagnell & Sheikh, Pose Machines: Articulated Pose
Estimation via Inference Machines (ECCV 2014), with one level of parts, the joints. Each stage
classifies cells of a crop as joints or background. From stage 2 on it also sees context features of
the beliefs of the stage before. These beliefs must be as wrong in training as in a test, so each
image gets them from forests that were not trained on it (stacking).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from .forest_examples import Examples, ForestSettings, fold_numbers
from .forest_features import all_cells, belief_patches, image_features, offset_features

BATCH = 50  # crops whose cells are classified at once
# Passes jobs on, with a progress bar of a name.
Progress = Callable[[Sequence[Any], str], Iterable[Any]]


class ForestMachine:
    """Pose machine of T random forests; scikit-learn's extremely randomized trees.

    Args:
        settings: Settings.

    Attributes:
        settings: Settings.
        forests: The forest of each stage, after ``fit``.
        joints: Number K of joints, after ``fit``.

    Raises:
        ValueError: If scikit-learn is missing.
    """

    def __init__(self, settings: ForestSettings | None = None) -> None:
        check_sklearn()
        self.settings = settings or ForestSettings()
        self.forests: list[Any] = []
        self.joints = 0

    def fit(
        self,
        maps: np.ndarray,
        examples: Examples,
        groups: np.ndarray,
        joints: int,
        progress: Progress = lambda jobs, _: jobs,
    ) -> ForestMachine:
        """Train all stages.

        Args:
            maps: (N, h + 2 image_radius, w + 2 image_radius, C), see ``cell_maps``.
            examples: Cells to train on.
            groups: (N,), number of the photograph that an image is of; see ``fold_numbers``.
            joints: Number K of joints.
            progress: Passes the jobs of a stage on, with a progress bar.

        Returns:
            Itself.

        Raises:
            ValueError: If a joint or the background has no cell, or the arrays do not fit.
        """
        if not len(maps) == len(groups) > max(examples.images, default=0):
            raise ValueError(
                f'{len(maps)} images, {len(groups)} groups, and cells of image '
                f'{max(examples.images, default=0)}: give as many groups as images'
            )
        if (np.diff(examples.images) < 0).any():
            raise ValueError('give the cells of the images in rising order')
        counts = np.bincount(examples.labels, minlength=joints + 1)
        if len(counts) > joints + 1 or not counts.all():
            raise ValueError(
                f'cells to train on of joints 0 to {joints - 1} and the background, {joints}: '
                f'{counts.tolist()}; each needs some. Give images that show all joints'
            )
        self.joints, self.forests = joints, []
        fold_of = fold_numbers(groups, self.settings.folds, self.settings.seed)
        folds = [*range(self.settings.folds)]
        beliefs = None  # of stage t - 1, from forests that have not seen the image
        for stage in range(1, self.settings.stages + 1):
            last = stage == self.settings.stages
            features = self._features_of(maps, beliefs, examples)
            held_out = np.zeros(0) if last else self._empty(maps)
            for fold in progress([None] if last else [None, *folds], f'stage {stage}'):
                if fold is None:
                    self.forests.append(self._forest(features, examples.labels, stage))
                    continue
                others = fold_of[examples.images] != fold
                forest = self._forest(features[others], examples.labels[others], stage)
                inside = np.flatnonzero(fold_of == fold)
                for some in _batches(inside):
                    before = None if beliefs is None else beliefs[some]
                    held_out[some] = self._beliefs(forest, maps[some], before)
                del forest
            beliefs = held_out
        return self

    def predict(self, maps: np.ndarray) -> Iterator[np.ndarray]:
        """Compute the beliefs of every stage.

        Args:
            maps: See ``fit``.

        Yields:
            (N, K + 1, h, w) in float32, of stage 1, 2 ... T; background last.

        Raises:
            ValueError: If the machine is not trained.
        """
        if not self.forests:
            raise ValueError('a ForestMachine that is not trained; call fit first')
        beliefs = None
        for forest in self.forests:
            found = self._empty(maps)
            for some in _batches(np.arange(len(maps))):
                before = None if beliefs is None else beliefs[some]
                found[some] = self._beliefs(forest, maps[some], before)
            yield found
            beliefs = found

    def _empty(self, maps: np.ndarray) -> np.ndarray:
        around = 2 * self.settings.image_radius
        height, width = maps.shape[1] - around, maps.shape[2] - around
        return np.zeros((len(maps), self.joints + 1, height, width), dtype=np.float32)

    def _features(
        self, maps: np.ndarray, beliefs: np.ndarray | None, cells: np.ndarray
    ) -> np.ndarray:
        """Describe cells (n, 2) of one image: (n, F) in float32."""
        radius = self.settings.image_radius
        features = [image_features(maps, cells, radius, radius)]
        if beliefs is not None:
            features.append(belief_patches(beliefs, cells, self.settings.context_radius))
            features.append(offset_features(beliefs[: self.joints], cells, self.settings.peaks))
        return np.concatenate(features, axis=1)

    def _features_of(
        self, maps: np.ndarray, beliefs: np.ndarray | None, examples: Examples
    ) -> np.ndarray:
        """Describe the cells of examples: (n, F) in float32."""
        first = examples.cells[:1]
        width = self._features(maps[0], None if beliefs is None else beliefs[0], first).shape[1]
        features = np.empty((len(examples.images), width), dtype=np.float32)
        bounds = np.searchsorted(examples.images, np.arange(len(maps) + 1))
        for image, (start, end) in enumerate(pairwise(bounds)):
            before = None if beliefs is None else beliefs[image]
            cells = examples.cells[start:end]
            features[start:end] = self._features(maps[image], before, cells)
        return features

    def _forest(self, features: np.ndarray, labels: np.ndarray, stage: int) -> Any:
        from sklearn.ensemble import ExtraTreesClassifier

        # shares as float: scikit-learn takes 1 for a single feature or cell, and 1.0 for all
        forest = ExtraTreesClassifier(
            self.settings.trees,
            min_samples_leaf=self.settings.min_leaf,
            max_features=float(self.settings.max_features) or 'sqrt',
            bootstrap=True,
            max_samples=float(self.settings.share),
            random_state=self.settings.seed + stage,
        )
        return forest.fit(features, labels)

    def _beliefs(self, forest: Any, maps: np.ndarray, before: np.ndarray | None) -> np.ndarray:
        """Classify all cells of some images: (n, K + 1, h, w), smoothed."""
        from scipy.ndimage import gaussian_filter

        found = self._empty(maps)
        size = found.shape[2:]
        cells = all_cells(size)
        features = [
            self._features(image, None if before is None else before[number], cells)
            for number, image in enumerate(maps)
        ]
        shares = forest.predict_proba(np.concatenate(features))
        # a fold may lack a joint that few images show
        found[:, forest.classes_] = shares.reshape(len(maps), *size, -1).transpose(0, 3, 1, 2)
        width = self.settings.smoothing
        smooth: np.ndarray = gaussian_filter(found, (0, 0, width, width))
        return smooth


def _batches(numbers: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(numbers), BATCH):
        yield numbers[start : start + BATCH]


def check_sklearn() -> None:
    """Check that scikit-learn is installed.

    Raises:
        ValueError: If not. The message names the remedy.
    """
    try:
        import sklearn.ensemble  # noqa: F401
    except ImportError as error:
        raise ValueError(
            f'a pose machine of forests needs scikit-learn ({error}): pip install scikit-learn, or '
            'the extra [forest] of this package'
        ) from error
