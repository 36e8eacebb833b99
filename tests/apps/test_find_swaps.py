"""find_swaps: a training set in which one image has exchanged labels."""

from types import SimpleNamespace

import numpy as np
import pytest
from cpm_testing.data import write_lsp
from mmengine.config import ConfigDict

from cpm_plugin.apps import find_swaps as module
from cpm_plugin.apps.find_swaps import find_swaps
from cpm_plugin.core.evaluation.swapped_sides import exchange_sides
from cpm_plugin.core.maps.joint_sets import LSP


@pytest.fixture
def truth():
    return np.random.default_rng(0).uniform(5, 60, (4, 14, 2))


def config_of(root):
    dataset = dict(type='LspDataset', data_root=str(root), pipeline=[dict(type='LoadImage')])
    return ConfigDict(train_dataloader=dict(dataset=dataset))


def test_the_images_with_exchanged_labels_are_listed(tmp_path, monkeypatch, truth):
    labels = truth.copy()
    labels[1:2] = exchange_sides(truth[1:2], LSP, ('legs',))
    labels[3:4] = exchange_sides(truth[3:4], LSP, ('arms', 'legs'))
    write_lsp(tmp_path, labels, np.ones((4, 14)), size=(64, 64))
    order = iter(truth)

    def predict(model, image, boxes, flip_test):
        assert image.shape == (64, 64, 3) and boxes.shape == (1, 4) and not flip_test
        return SimpleNamespace(keypoints=next(order)[None])

    monkeypatch.setattr(module, 'predict', predict)
    shown = []
    found, count = find_swaps(
        None, config_of(tmp_path), lambda numbers: [shown.append(n) or n for n in numbers]
    )
    assert count == 4 and shown == [0, 1, 2, 3]
    assert found == {'im00002.jpg': ['legs'], 'im00004.jpg': ['arms', 'legs']}


def test_several_people_in_an_image_are_refused(tmp_path, monkeypatch, truth):
    write_lsp(tmp_path, truth, np.ones((4, 14)), size=(64, 64))
    monkeypatch.setattr(module, 'predict', lambda *_, **__: SimpleNamespace(keypoints=truth[:1]))
    with pytest.raises(ValueError, match=r'im00001\.jpg: several people'):
        find_swaps(None, config_of(tmp_path), lambda numbers: [0, 1, 0])


def test_a_wrapped_dataset_is_read_like_any_other(tmp_path, monkeypatch, truth):
    labels = exchange_sides(truth, LSP, ('legs',))
    write_lsp(tmp_path, labels, np.ones((4, 14)), size=(64, 64))
    config = config_of(tmp_path)
    config.train_dataloader.dataset = dict(
        type='LspConcatDataset', datasets=[config.train_dataloader.dataset]
    )
    order = iter(truth)
    monkeypatch.setattr(
        module, 'predict', lambda *_, **__: SimpleNamespace(keypoints=next(order)[None])
    )
    found, count = find_swaps(None, config)
    assert count == len(found) == 4 and set(map(tuple, found.values())) == {('legs',)}
