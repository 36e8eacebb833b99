"""A ``ForestMachine`` on the datasets of a config, scored by the metric of the config."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import set_random_seed
from mmengine.structures import InstanceData

from ..mmpose.codec import CPMHeatmap
from ..mmpose.metrics import TorsoPCKAccuracy, joints_of
from .forest_examples import Examples, ForestSettings, draw_examples
from .forest_features import STRIDE, cell_maps
from .forest_machine import ForestMachine, Progress
from .results import torso_metrics

from mmpose.models import TopdownPoseEstimator
from mmpose.registry import DATASETS, KEYPOINT_CODECS

BATCH = 32  # people whose time is measured together


class TrainingCells(NamedTuple):
    """What ``ForestMachine.fit`` takes, of N crops.

    Attributes:
        maps: (N, h + 2 margin, w + 2 margin, C), see ``cell_maps``.
        examples: Cells to train on.
        groups: (N,), number of the photograph of each crop.
        joints: Number of joints.
    """

    maps: np.ndarray
    examples: Examples
    groups: np.ndarray
    joints: int


class TestSet(NamedTuple):
    """What ``score_stages`` takes of a config.

    Attributes:
        dataset: Dataset of MMPose.
        codec: Codec that finds the joints in belief maps.
        flip_test: Whether beliefs are the mean of those of the crop and of the mirrored crop.
        evaluator: Config of the evaluator, with a ``TorsoPCKAccuracy``.
    """

    dataset: Any
    codec: CPMHeatmap
    flip_test: bool
    evaluator: Any


class StageScore(NamedTuple):
    """Accuracy of one stage.

    Attributes:
        pck: PCK in percent, by threshold as a fraction of the torso.
        auc: AUC in percent.
        milliseconds: CPU time for a person with this and the stages before, flip test included.
        people: Number of people who are counted.
        keypoints: Number of keypoints that are counted.
    """

    pck: dict[float, float]
    auc: float
    milliseconds: float
    people: int
    keypoints: int


def read_cells(
    config: Config,
    settings: ForestSettings,
    rounds: int = 1,
    progress: Progress = lambda jobs, _: jobs,
) -> TrainingCells:
    """Read the crops of a config's training set, as its pipeline augments and labels them.

    Args:
        config: Config of MMPose, with a ``CPMHeatmap`` that adds the background.
        settings: Settings of the machine. Its seed is that of the augmentation.
        rounds: Times that every person is read, each with other augmentation.
        progress: Passes the numbers of the crops on, with a progress bar.

    Returns:
        Cells of ``rounds`` crops of each person.

    Raises:
        ValueError: If the codec has another stride, or the pipeline packs no background.
    """
    init_default_scope(config.get('default_scope') or 'mmpose')
    _decoder(config)
    set_random_seed(settings.seed)
    dataset = DATASETS.build(config.train_dataloader.dataset)
    joints = len(joints_of(dataset.metainfo).names)
    maps, images, cells, labels, paths = [], [], [], [], []
    for number in progress(range(rounds * len(dataset)), 'crops to train on'):
        packed = dataset[number % len(dataset)]
        sample = packed['data_samples']
        drawn, classes = draw_examples(*_targets(sample, joints), settings, number)
        maps.append(cell_maps(_crop(packed), settings.image_radius))
        images.append(np.full(len(drawn), number))
        cells.append(drawn)
        labels.append(classes)
        paths.append(sample.img_path)
    if not paths:
        raise ValueError('the training set has nobody; see train_dataloader.dataset')
    examples = Examples(*(np.concatenate(part) for part in (images, cells, labels)))
    groups = np.unique(paths, return_inverse=True)[1]
    return TrainingCells(np.stack(maps), examples, groups, joints)


def open_test(config: Config) -> TestSet:
    """Load the test set of a config, and check that it can be scored.

    Args:
        config: Config of MMPose, with a ``CPMHeatmap`` and a ``TorsoPCKAccuracy``.

    Returns:
        The test set.

    Raises:
        ValueError: If the config has no such codec or metric, or the test set has nobody, or no
            torso to measure by.
    """
    init_default_scope(config.get('default_scope') or 'mmpose')
    codec = _decoder(config)
    dataset = DATASETS.build(config.test_dataloader.dataset)
    if not len(dataset):
        raise ValueError('the test set has nobody; see test_dataloader.dataset')
    flip_test = bool((config.model.get('test_cfg') or {}).get('flip_test', False))
    test = TestSet(dataset, codec, flip_test, config.get('test_evaluator'))
    _metric(test, 0.2)
    return test


def score_stages(
    machine: ForestMachine,
    test: TestSet,
    thresholds: Sequence[float] = (0.1, 0.2),
    progress: Progress = lambda jobs, _: jobs,
) -> list[StageScore]:
    """Predict a test set with every stage, and score it by the metric of its config.

    Args:
        machine: A trained machine.
        test: Test set of ``open_test``.
        thresholds: Values of ``thr`` to give the metric.
        progress: Passes the batches on, with a progress bar.

    Returns:
        The score of each stage.

    Raises:
        ValueError: If the test set has other joints than the training set, or nobody in it has a
            labeled torso.
    """
    dataset = test.dataset
    joints = joints_of(dataset.metainfo)
    if len(joints.names) != machine.joints:
        raise ValueError(
            f'{len(joints.names)} joints in the test set, and {machine.joints} in the training '
            'set; give a config whose sets have the same'
        )
    stages = range(len(machine.forests))
    metrics = [{thr: _metric(test, thr) for thr in thresholds} for _ in stages]
    seconds = np.zeros(len(stages))
    for start in progress(range(0, len(dataset), BATCH), 'people to test'):
        batch = [dataset[number] for number in range(start, min(start + BATCH, len(dataset)))]
        samples = [packed['data_samples'] for packed in batch]
        clock = time.process_time()
        crops = [_crop(packed) for packed in batch]
        crops += [crop[:, ::-1] for crop in crops] if test.flip_test else []
        maps = np.stack([cell_maps(crop, machine.settings.image_radius) for crop in crops])
        for stage, beliefs in enumerate(machine.predict(maps)):
            found = beliefs[: len(batch), :-1]
            if test.flip_test:  # in the mirrored crop, left joints are right ones
                mirrored = beliefs[len(batch) :, list(joints.flip_indices), :, ::-1]
                found = (found + mirrored) / 2
            seconds[stage:] += time.process_time() - clock
            _collect(metrics[stage].values(), samples, test.codec.batch_decode(found))
            clock = time.process_time()
    return [_score(metrics[stage], 1000 * seconds[stage] / len(dataset)) for stage in stages]


def _decoder(config: Config) -> CPMHeatmap:
    """Build the codec of a config; raise ValueError if its cells are others than ours."""
    settings = (config.model.get('head') or {}).get('decoder') or {}
    codec = KEYPOINT_CODECS.build(settings) if settings else None
    if not isinstance(codec, CPMHeatmap) or codec.stride != STRIDE:
        raise ValueError(
            f'model.head.decoder is {settings.get("type")}; a pose machine of forests needs a '
            f'CPMHeatmap with input_size {STRIDE} times heatmap_size'
        )
    return codec


def _crop(packed: dict[str, Any]) -> np.ndarray:
    """Return the crop of a packed sample: (H, W, 3), BGR."""
    crop: np.ndarray = packed['inputs'].numpy()[:3].transpose(1, 2, 0)
    return crop


def _targets(sample: Any, joints: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the target maps (K + 1, h, w) of a packed sample, and which are known (K + 1,)."""
    maps = sample.gt_fields.heatmaps.numpy() if 'gt_fields' in sample else np.zeros((0, 0, 0))
    labels = sample.get('gt_instance_labels', {})
    if len(maps) != joints + 1 or 'background_weights' not in labels:
        raise ValueError(
            f'the training pipeline packs {len(maps)} target maps for {joints} joints; it needs '
            "GenerateTarget with encoder=dict(type='CPMHeatmap', background=True, ...)"
        )
    weights = labels['keypoint_weights'][0], labels['background_weights'][0]
    return maps, np.concatenate([part.numpy() for part in weights]) > 0


def _metric(test: TestSet, thr: float) -> TorsoPCKAccuracy:
    """Build the metric of a test set with another threshold."""
    found = torso_metrics(test.evaluator)
    if not found:
        raise ValueError('no TorsoPCKAccuracy in test_evaluator; give a config that has one')
    found[0].thr = thr
    found[0].dataset_meta = test.dataset.metainfo
    return found[0]


def _collect(metrics: Iterable[TorsoPCKAccuracy], samples: Sequence[Any], poses: Any) -> None:
    """Give keypoints and scores in pixels of the crop, of all people, to metrics."""
    predicted = [
        InstanceData(keypoints=points, keypoint_scores=scores) for points, scores in zip(*poses)
    ]
    # MMPose's own way from the crop to the image, which reads nothing else of the estimator
    estimator: Any = SimpleNamespace(test_cfg={})
    TopdownPoseEstimator.add_pred_to_datasample(estimator, predicted, None, samples)
    for metric in metrics:
        metric.process([], [sample.to_dict() for sample in samples])


def _score(metrics: Mapping[float, TorsoPCKAccuracy], milliseconds: float) -> StageScore:
    """Compute the score of what metrics have collected, by their thresholds."""
    results = {thr: metric.compute_metrics(metric.results) for thr, metric in metrics.items()}
    one = next(iter(results.values()))
    return StageScore(
        {thr: result['PCK'] for thr, result in results.items()},
        one['AUC'],
        milliseconds,
        int(one['num_images']),
        int(one['num_joints']),
    )
