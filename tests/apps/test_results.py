"""Figures of a test keep the threshold that they were measured at, however a config is written."""

import json
from functools import partial

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.structures import InstanceData

from cpm_plugin.apps.results import metrics_of, torso_thresholds
from cpm_plugin.mmpose import LspDataset
from cpm_plugin.mmpose.metrics import TorsoPCKAccuracy

from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.structures import PoseDataSample

RESULTS = {
    'torso/PCK': 46.3275, 'torso/PCK_ankle': 42.0, 'torso/num_joints': 9.0, 'torso/thr': 0.1,
    'data_time': 3, 'time': 1, 'coco/AP': 0.62749, 'PCK': 88.6, 'a/AR': 1, 'b/AR': 0,
}  # fmt: skip


def test_names_and_figures_as_tables_have_them():
    assert metrics_of(RESULTS) == {
        'PCK@0.1': 46.33, 'ankle': 42.0, 'AP': 0.6275, 'PCK': 88.6, 'a/AR': 1.0, 'b/AR': 0.0,
    }  # fmt: skip


def test_two_thresholds_and_any_prefix():
    results = {'lspet/torso/PCK': 70.0, 'lspet/torso/thr': 0.5, 'x/PCK': 40.0, 'x/thr': 0.2}
    assert metrics_of(results) == {'PCK@0.5': 70.0, 'PCK@0.2': 40.0}


@pytest.mark.parametrize('results', [{'torso/PCK': 71.24}, {'b/PCK': 71.24, 'b/num_left_out': 3.0}])
def test_figures_without_a_threshold_are_refused(results):
    with pytest.raises(ValueError, match=r'/PCK has no threshold .*/thr.* test again'):
        metrics_of(results)


OURS = partial(dict, type='TorsoPCKAccuracy')


@pytest.mark.parametrize(
    ('evaluator', 'expected'),
    [
        (OURS(thr=0.5), [0.5]),
        (OURS(), [0.2]),
        (dict(type='mmpose.TorsoPCKAccuracy', thr=0.5), [0.5]),
        (dict(type=TorsoPCKAccuracy, thr=0.5), [0.5]),
        (dict(type='cpm_plugin.mmpose.metrics.TorsoPCKAccuracy', thr=0.5), [0.5]),
        ([dict(type='PCKAccuracy'), OURS(thr=0.1), OURS(thr=0.5, prefix='b')], [0.1, 0.5]),
        (dict(type='MultiDatasetEvaluator', metrics=[OURS(thr=0.5)], datasets=[]), [0.5]),
        (dict(type='Evaluator', metrics=OURS(thr=0.5)), [0.5]),
        (dict(type='PCKAccuracy', thr=0.05), []),
        (None, []),
    ],
)  # fmt: skip
def test_thresholds_of_an_evaluator_however_it_is_written(evaluator, expected):
    assert torso_thresholds(evaluator) == expected


def test_thresholds_of_a_config_that_was_dumped_and_read_again(tmp_path):
    first, second = tmp_path / 'first.py', tmp_path / 'second.py'
    first.write_text(
        'from cpm_plugin.mmpose.metrics import TorsoPCKAccuracy\n'
        'test_evaluator = dict(type=TorsoPCKAccuracy, thr=0.5)\n'
    )
    config = Config.fromfile(first)
    assert torso_thresholds(config.test_evaluator) == [0.5]
    config.dump(second)
    assert torso_thresholds(Config.fromfile(second).test_evaluator) == [0.5]


@pytest.mark.parametrize('kind', [TorsoPCKAccuracy, 'mmpose.TorsoPCKAccuracy'], ids=str)
def test_the_metric_says_its_threshold(kind):
    """Keypoints 0.3 of the torso away are right at 0.5, and a table must not call it 0.2."""
    meta = parse_pose_metainfo(LspDataset.METAINFO)
    names = meta['keypoint_name2id']
    keypoints = np.full((1, 14, 2), 50.0)
    keypoints[0, names['left_shoulder']], keypoints[0, names['right_hip']] = (0, 0), (100, 0)
    sample = PoseDataSample(
        gt_instances=InstanceData(keypoints=keypoints, keypoints_visible=np.ones((1, 14))),
        pred_instances=InstanceData(keypoints=keypoints + np.array([30, 0])),
    )
    evaluator = Evaluator([dict(type=kind, thr=0.5), OURS(prefix='strict')])
    evaluator.dataset_meta = meta
    evaluator.process([sample])
    found = metrics_of(json.loads(json.dumps(evaluator.evaluate(1))))
    assert (found['PCK@0.5'], found['PCK@0.2']) == (100.0, 0.0)
