"""TorsoPCKAccuracy through MMEngine's evaluator, on predictions made by hand."""

from types import SimpleNamespace

import numpy as np
import pytest
from mmengine.evaluator import Evaluator
from mmengine.structures import InstanceData
from scipy.io import loadmat

from cpm_plugin.core.maps.joint_sets import LSP
from cpm_plugin.mmpose import LspDataset, TorsoPCKAccuracy
from cpm_plugin.mmpose.metrics import joints_of

from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.registry import EVALUATORS
from mmpose.structures import PoseDataSample

META = {
    'lsp': lambda: parse_pose_metainfo(LspDataset.METAINFO),
    'coco': lambda: parse_pose_metainfo(dict(from_file='configs/_base_/datasets/coco.py')),
    'mpii': lambda: parse_pose_metainfo(dict(from_file='configs/_base_/datasets/mpii.py')),
}
pytestmark = pytest.mark.filterwarnings('ignore:The metainfo config file')


def sample(predicted, keypoints, visible):
    return PoseDataSample(
        gt_instances=InstanceData(keypoints=keypoints[None], keypoints_visible=visible[None]),
        pred_instances=InstanceData(keypoints=predicted[None]),
    )


def evaluate(meta, samples, batch=2, **arguments):
    evaluator = Evaluator(metrics=dict(type='TorsoPCKAccuracy', **arguments))
    evaluator.dataset_meta = meta
    for start in range(0, len(samples), batch):
        evaluator.process(data_samples=samples[start : start + batch])
    return evaluator.evaluate(len(samples))


def figure(meta, length=100.0, diagonal=('left_shoulder', 'right_hip')):
    """A person with a torso of that length; other joints far away, the rest unlabeled."""
    ids = meta['keypoint_name2id']
    keypoints = np.arange(2 * meta['num_keypoints'], dtype=float).reshape(-1, 2) * 7
    visible = np.zeros(meta['num_keypoints'], np.float32)
    keypoints[ids[diagonal[0]]] = (300, 200)
    keypoints[ids[diagonal[1]]] = (300 + 0.6 * length, 200 + 0.8 * length)
    visible[[ids[name] for name in diagonal]] = 1
    return keypoints, visible


@pytest.mark.parametrize('name', ['lsp', 'coco', 'mpii'])
@pytest.mark.parametrize('form', ['(1, K)', '(1, K, 2)'])
def test_exact_result_on_every_joint_set(name, form):
    meta = META[name]()
    ids = meta['keypoint_name2id']
    # torso 100: 20 pixels are right, a little more is wrong
    keypoints, visible = figure(meta)
    visible[[ids['left_knee'], ids['right_knee']]] = 1
    predicted = keypoints.copy()
    predicted[ids['left_knee']] += (12, 16)
    predicted[ids['right_knee']] += (12, 16.01)
    predicted[ids['left_ankle']] += 1000  # not labeled
    first = (predicted, keypoints, visible)
    # the other diagonal, torso 50: 10 pixels; all wrong but one
    keypoints, visible = figure(meta, 50.0, ('right_shoulder', 'left_hip'))
    predicted = keypoints + np.array([0, 10.01])
    predicted[ids['left_hip']] = keypoints[ids['left_hip']]
    second = (predicted, keypoints, visible)
    # no torso: left out, however wrong
    keypoints, visible = figure(meta, 100.0, ('left_shoulder', 'left_hip'))
    third = (keypoints + 500, keypoints, visible)
    people = [first, second, third]
    if form == '(1, K, 2)':  # a weight beside, not to be taken for visible
        people = [(p, k, np.stack([v, np.ones_like(v)], axis=-1)) for p, k, v in people]
    result = evaluate(meta, [sample(*person) for person in people])
    assert result['torso/PCK'] == pytest.approx(100 * 4 / 6)
    assert result['torso/PCK_knee'] == 50
    assert result['torso/PCK_shoulder'] == 50
    assert result['torso/PCK_hip'] == 100
    assert np.isnan(result['torso/PCK_ankle'])
    assert (result['torso/num_images'], result['torso/num_left_out']) == (2, 1)
    assert result['torso/num_joints'] == 6


@pytest.mark.parametrize(
    ('name', 'groups'),
    [
        ('lsp', {'ankle', 'knee', 'hip', 'wrist', 'elbow', 'shoulder', 'head'}),
        (
            'coco',
            {'nose', 'eye', 'ear', 'shoulder', 'elbow', 'wrist', 'hip', 'knee', 'ankle'},
        ),
    ],
)
def test_keys_of_the_result(name, groups):
    meta = META[name]()
    keypoints, visible = figure(meta)
    result = evaluate(meta, [sample(keypoints, keypoints + 1, visible)])
    numbers = {'num_images', 'num_left_out', 'num_joints', 'thr'}
    expected = {'PCK', 'AUC', *numbers, *(f'PCK_{group}' for group in groups)}
    assert set(result) == {f'torso/{key}' for key in expected}


def test_auc_is_the_mean_over_21_thresholds():
    meta = META['lsp']()
    keypoints, visible = figure(meta)
    # 10.5 % of the torso: right from 0.11 to 0.20, 10 of 21
    result = evaluate(meta, [sample(keypoints + np.array([10.5, 0]), keypoints, visible)])
    assert result['torso/AUC'] == pytest.approx(100 * 10 / 21)
    assert result['torso/PCK'] == 100


def test_threshold_and_prefix_are_arguments():
    meta = META['lsp']()
    keypoints, visible = figure(meta)
    people = [sample(keypoints + np.array([10.5, 0]), keypoints, visible)]
    assert evaluate(meta, people, thr=0.1, prefix='mine')['mine/PCK'] == 0
    assert evaluate(meta, people, thr=0.11, prefix='mine')['mine/PCK'] == 100


def test_scores_beside_the_positions_are_ignored():
    meta = META['lsp']()
    keypoints, visible = figure(meta)
    with_score = np.concatenate([keypoints, np.full((14, 1), 77.0)], axis=1)
    assert evaluate(meta, [sample(with_score, keypoints, visible)])['torso/PCK'] == 100


def test_nobody_with_a_torso_is_an_error_not_a_figure():
    meta = META['lsp']()
    keypoints, visible = figure(meta)
    with pytest.raises(ValueError, match='none of 1 people has a labeled torso'):
        evaluate(meta, [sample(keypoints, keypoints, visible * 0)])


@pytest.mark.parametrize('form', ['(1, K)', '(1, K, 2)'])
@pytest.mark.parametrize('value', [np.nan, np.inf], ids=str)
def test_truth_that_is_not_finite_is_refused_by_image_and_joint(value, form):
    """It counted as a miss."""
    meta = META['lsp']()
    keypoints, visible = figure(meta)
    predicted = keypoints.copy()
    knee = meta['keypoint_name2id']['left_knee']
    keypoints[knee] = (3, value)
    visible[knee] = 1
    labels = np.stack([visible, np.ones(14)], axis=-1) if form == '(1, K, 2)' else visible
    person = sample(predicted, keypoints, labels)
    person.set_metainfo(dict(img_path='images/im00007.jpg', img_id=7, id=12))
    message = rf'^images/im00007\.jpg, annotation 12: .*left_knee is at \(3, {value}\)\. Correct'
    with pytest.raises(ValueError, match=message):
        evaluate(meta, [person])
    visible[knee] = 0  # then it may be anywhere
    assert evaluate(meta, [sample(predicted, keypoints, visible)])['torso/PCK'] == 100


@pytest.mark.parametrize('thr', [0, -0.2, float('nan'), float('inf')])
def test_threshold_must_be_positive(thr):
    with pytest.raises(ValueError, match=f'thr={thr} must be positive'):
        TorsoPCKAccuracy(thr=thr)


def test_joints_follow_the_order_of_the_channels():
    names = {2: 'right_hip', 0: 'left_hip', 1: 'neck'}
    assert joints_of(dict(keypoint_id2name=names)).names == ('left_hip', 'neck', 'right_hip')


def test_table_of_the_groups_is_logged(monkeypatch):
    lines = []
    logger = SimpleNamespace(info=lines.append, log=lambda *_: None)
    monkeypatch.setattr('cpm_plugin.mmpose.metrics.MMLogger.get_current_instance', lambda: logger)
    meta = META['lsp']()
    keypoints, visible = figure(meta)
    evaluate(meta, [sample(keypoints, keypoints + 1, visible)])
    assert 'PCK@0.2' in lines[0] and '| 100.00 |' in lines[0]


@pytest.mark.parametrize(('model', 'expected'), [('MPII_LSP', 90.5000), ('LSP', 84.3214)], ids=str)
def test_published_predictions_in_batches(shared_data, model, expected):
    folder = shared_data / 'lsp_eval'
    truth = loadmat(folder / 'lsp-joints-PC.mat')['joints'][:2, :, 1000:].transpose(2, 1, 0)
    found = loadmat(folder / f'LSP_prediction_model_{model}_6s.mat')['prediction_all']
    found = found.transpose(2, 0, 1)
    assert found.dtype == np.uint8  # must not wrap around in a difference
    people = [sample(p, t, np.ones(14, np.float32)) for p, t in zip(found, truth, strict=True)]
    result = evaluate(META['lsp'](), people, batch=32)
    assert round(result['torso/PCK'], 4) == expected
    assert result['torso/num_images'] == 1000


ANIMAL = dict(keypoint_id2name={0: 'left_hip', 1: 'tail'})


def test_joints_without_a_torso_are_refused_before_the_test():
    evaluator = Evaluator(dict(type='TorsoPCKAccuracy'))
    message = (
        r"needs left_shoulder, right_shoulder, right_hip, .* left_hip, tail; use .*'PCKAccuracy'"
    )
    with pytest.raises(ValueError, match=message):
        evaluator.dataset_meta = ANIMAL
    with pytest.raises(ValueError, match=message):
        TorsoPCKAccuracy(joints=('left_hip', 'tail'))


@pytest.mark.parametrize('joints', ['lsp', LSP.names], ids=['name', 'names'])
def test_joints_of_the_model_where_a_transform_converts_them(joints):
    """Of several datasets MMPose takes the joints of each class, which are not those here."""
    coco, lsp = META['coco'](), META['lsp']()
    keypoints, visible = figure(lsp)
    samples = [sample(keypoints, keypoints, visible)]
    assert evaluate(coco, samples, joints=joints)['torso/PCK'] == 100
    message = r"14 keypoints predicted and 14 annotated, .* 17 joints: .*joints='lsp'"
    with pytest.raises(ValueError, match=message):
        evaluate(coco, samples)


def test_several_datasets_with_converted_keypoints():
    """In stock's evaluator of several datasets, with visibilities as KeypointConverter has them."""
    keypoints, visible = figure(META['lsp']())
    people = []
    for name, error in (('lsp', 0), ('coco', 1000)):
        person = sample(keypoints + error, keypoints, np.stack([visible, visible], axis=-1))
        person.set_metainfo(dict(dataset_name=name))
        people.append(person)
    evaluator = EVALUATORS.build(
        dict(
            type='MultiDatasetEvaluator',
            metrics=[
                dict(type='TorsoPCKAccuracy', prefix='lspet', joints='lsp'),
                dict(type='TorsoPCKAccuracy', prefix='coco', joints='lsp'),
            ],
            datasets=[dict(type='LspDataset'), dict(type='CocoDataset')],
        )
    )
    evaluator.dataset_meta = META['lsp']()
    evaluator.process(people, dict(inputs=[0, 0], data_samples=people))
    result = evaluator.evaluate(2)
    assert (result['lspet/PCK'], result['coco/PCK']) == (100, 0)
    evaluator.process(people[:1], dict(inputs=[0], data_samples=people[:1]))
    with pytest.raises(ValueError, match="no sample reached the metric with prefix 'coco'"):
        evaluator.evaluate(1)
