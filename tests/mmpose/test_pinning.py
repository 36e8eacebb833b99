"""``pin_memory=True`` of a data loader reaches the tensors inside MMEngine's samples."""

import numpy as np
import torch
from mmengine.structures import InstanceData, PixelData
from torch.utils.data._utils.pin_memory import pin_memory

from mmpose.structures import PoseDataSample


def test_targets_are_pinned_and_the_rest_of_a_sample_is_kept(monkeypatch):
    pinned = []

    def note(self, *_):  # there is no pinned memory without a GPU
        pinned.append(tuple(self.shape))
        return self + 1

    monkeypatch.setattr(torch.Tensor, 'pin_memory', note)
    sample = PoseDataSample(metainfo={'img_path': 'a.jpg'})
    sample.gt_instances = InstanceData(bboxes=np.ones((1, 4)))
    sample.gt_instance_labels = InstanceData(keypoint_weights=torch.zeros(1, 3))
    sample.gt_fields = PixelData(heatmaps=torch.zeros(3, 4, 5))
    batch = pin_memory({'inputs': [torch.zeros(3, 8, 8)], 'data_samples': [sample]})
    (found,) = batch['data_samples']
    assert sorted(pinned) == [(1, 3), (3, 4, 5), (3, 8, 8)]
    assert found.metainfo == {'img_path': 'a.jpg'} and (found.gt_instances.bboxes == 1).all()
    assert type(found) is PoseDataSample and type(found.gt_fields) is PixelData
    # What is found is what pin_memory returned.
    assert (found.gt_fields.heatmaps == 1).all() and batch['inputs'][0].min() == 1
    assert (found.gt_instance_labels.keypoint_weights == 1).all()


def test_tensors_that_cannot_be_pinned_stay(monkeypatch):
    def refuse(self, *_):
        raise RuntimeError('only dense CPU tensors can be pinned')

    monkeypatch.setattr(torch.Tensor, 'pin_memory', refuse)
    sample = PoseDataSample()
    sample.set_data({'far': torch.zeros(1, device='meta'), 'few': torch.eye(2).to_sparse()})
    pinned = pin_memory([sample])[0]
    assert pinned.far.device.type == 'meta' and pinned.few.is_sparse
