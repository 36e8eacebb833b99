"""Stock's CocoMetric on datasets in layouts of their own, which it read as JSON."""

import numpy as np
import pytest
from mmengine.evaluator import Evaluator
from mmengine.structures import InstanceData
from scipy.io import savemat

from mmpose.registry import DATASETS
from mmpose.structures import PoseDataSample


@pytest.fixture
def dataset(tmp_path):
    """LSP Extended of two images; the third joint of the second is not labeled."""
    joints = np.random.default_rng(0).uniform(20, 180, (14, 3, 2))
    joints[:, 2] = 1
    joints[2, 2, 1] = 0
    savemat(tmp_path / 'joints.mat', {'joints': joints})
    (tmp_path / 'images').mkdir()
    for number in (1, 2):
        (tmp_path / 'images' / f'im{number:05d}.jpg').touch()
    return DATASETS.build(dict(type='LspDataset', data_root=str(tmp_path), test_mode=True))


def evaluate(dataset, error):
    evaluator = Evaluator(dict(type='CocoMetric', nms_mode='none'))
    evaluator.dataset_meta = dataset.metainfo
    for info in (dataset.get_data_info(index) for index in range(len(dataset))):
        sample = PoseDataSample(
            gt_instances=InstanceData(
                bboxes=info['bbox'], bbox_scores=info['bbox_score'],
                bbox_scales=info['bbox'][:, 2:] - info['bbox'][:, :2],
            ),
            pred_instances=InstanceData(
                keypoints=info['keypoints'] + error, keypoint_scores=np.ones((1, 14))
            ),
        )  # fmt: skip
        keys = ('id', 'img_id', 'category_id', 'raw_ann_info')
        sample.set_metainfo({key: info[key] for key in keys} | dict(ori_shape=(200, 200)))
        evaluator.process([sample])
    return evaluator.evaluate(len(dataset))


def test_average_precision_of_right_and_wrong_keypoints(dataset):
    assert evaluate(dataset, 0)['coco/AP'] == 1
    assert evaluate(dataset, 500)['coco/AP'] == 0


def test_annotations_have_cocos_form(dataset):
    info = dataset.get_data_info(1)
    annotation = info['raw_ann_info']
    keypoints = np.reshape(annotation['keypoints'], (14, 3))
    np.testing.assert_array_equal(keypoints[:, :2], info['keypoints'][0])
    assert keypoints[:, 2].tolist() == [2, 2, 0] + [2] * 11
    x1, y1, x2, y2 = info['bbox'][0]
    np.testing.assert_allclose(annotation['bbox'], [x1, y1, x2 - x1, y2 - y1])
    assert annotation['area'] == pytest.approx((x2 - x1) * (y2 - y1), rel=1e-5)
    assert (annotation['image_id'], annotation['num_keypoints']) == (2, 13)
