"""Crops of a config for forests, and scores that are those of its metric."""

from types import SimpleNamespace

import numpy as np
import pytest
from cpm_testing.data import write_lsp
from mmengine.config import Config

from cpm_plugin.apps.forest_data import open_test, read_cells, score_stages
from cpm_plugin.apps.forest_examples import ForestSettings
from cpm_plugin.apps.forest_features import BINS, CHANNELS
from cpm_plugin.core.maps.belief_maps import background_map, ideal_belief_maps
from cpm_plugin.core.maps.joint_sets import LSP

SETTINGS = ForestSettings(image_radius=1, background=5)
CODEC = dict(type='CPMHeatmap', input_size=(64, 64), heatmap_size=(8, 8), background=True)
# A box from 0 to 100 with a padding of 1.28 gives a crop of 128 pixels, from -14 to 114.
POSE = np.stack([np.linspace(0, 100, 14), np.random.default_rng(0).permutation(14) * 100 / 13], 1)


@pytest.fixture
def config(tmp_path):
    """Three people, of whom the second lacks a wrist; crops are half as large as the image."""
    labeled = np.ones((3, 14))
    labeled[1, LSP.index('left_wrist')] = 0
    root = write_lsp(tmp_path, np.stack([POSE] * 3), labeled, size=(101, 101))
    steps = [
        dict(type='LoadImage'),
        dict(type='GetBBoxCenterScale', padding=1.28),
        dict(type='TopdownAffine', input_size=(64, 64)),
    ]
    data = dict(type='LspDataset', data_root=str(root), box_margin=0.0)
    train = [*steps, dict(type='GenerateTarget', encoder=CODEC), dict(type='PackPoseInputs')]
    return Config(
        dict(
            default_scope='mmpose',
            model=dict(head=dict(decoder=CODEC), test_cfg=dict(flip_test=True)),
            train_dataloader=dict(dataset=dict(data, pipeline=train)),
            test_dataloader=dict(
                dataset=dict(data, pipeline=[*steps, dict(type='PackPoseInputs')], test_mode=True)
            ),
            test_evaluator=dict(type='TorsoPCKAccuracy', thr=0.5),
        )
    )


def machine(*offsets, swap_mirrored=True):
    """Stages that put all joints of ``POSE`` this far to the right, in pixels of the image."""

    def predict(maps):
        half = len(maps) // 2
        for offset in offsets:
            points = (
                POSE + np.array([14 + offset, 14])
            ) / 2 - 0.25  # 128 to 64 pixels, see TopdownAffine
            mirrored = (63 - points[:, :1], points[:, 1:])
            mirrored = np.concatenate(mirrored, axis=1)
            if swap_mirrored:
                mirrored = mirrored[list(LSP.flip_indices)]
            maps = [
                ideal_belief_maps(one[None], np.ones((1, 14)), (8, 8)) for one in (points, mirrored)
            ]
            both = [np.concatenate([one, background_map(one)]) for one in maps]
            yield np.stack([both[0]] * half + [both[1]] * half)

    return SimpleNamespace(
        joints=14, forests=[None] * len(offsets), settings=SETTINGS, predict=predict
    )


def test_cells_are_those_of_the_targets(config):
    cells = read_cells(config, SETTINGS, rounds=2)
    assert cells.maps.shape == (6, 10, 10, CHANNELS) and cells.joints == 14
    # the three images lie in gray, in crops that are black around them
    brightness = cells.maps[:, 5, 5, BINS]
    assert 0 < brightness[0] < brightness[1] < brightness[2]
    images, places, labels = cells.examples
    assert (np.diff(images) >= 0).all() and set(images) == set(range(6))
    nearest = np.round(((POSE + 14) / 2 - 0.25 - 3.5) / 8)
    for number in range(6):
        own = images == number
        missing = {LSP.index('left_wrist')} if number % 3 == 1 else set()
        assert set(range(14)) - set(labels[own]) == missing
        assert (labels[own] == 14).sum() == (0 if missing else 5)
        joints = own & (labels < 14)
        away = places[joints] - nearest[labels[joints]][:, ::-1]  # row and column
        assert np.abs(away).max() <= 1
    first = [places[images == number].tolist() for number in (0, 3)]
    assert first[0] != first[1]  # other cells of the background, in the second round


def test_crops_of_a_photograph_are_a_group(config):
    config.train_dataloader.dataset.image_range = (1, 2)
    assert read_cells(config, SETTINGS, rounds=3).groups.tolist() == [0, 1] * 3


def test_augmentation_follows_the_seed(config):
    config.train_dataloader.dataset.pipeline.insert(
        2, dict(type='RandomBBoxTransform', shift_prob=0)
    )
    one, same, other = (
        read_cells(config, ForestSettings(image_radius=1, seed=seed)).maps for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_scores_are_those_of_the_metric_in_image_pixels(config):
    torso = np.linalg.norm(POSE[LSP.index('left_shoulder')] - POSE[LSP.index('right_hip')])
    test = open_test(config)
    scores = score_stages(machine(0, 0.15 * torso), test, (0.1, 0.2))
    assert [score.pck for score in scores] == [{0.1: 100, 0.2: 100}, {0.1: 0, 0.2: 100}]
    assert [(score.people, score.keypoints) for score in scores] == [(3, 41)] * 2
    assert 90 < scores[0].auc < 100 and scores[1].auc < 40
    assert 0 < scores[0].milliseconds <= scores[1].milliseconds


def test_the_flip_test_swaps_sides(config):
    (score,) = score_stages(machine(0, swap_mirrored=False), open_test(config), (0.2,))
    assert score.pck[0.2] < 80


def test_what_cannot_be_used_is_named(config):
    with pytest.raises(ValueError, match='14 joints in the test set, and 16 in the training set'):
        score_stages(SimpleNamespace(joints=16), open_test(config))
    config.test_evaluator = dict(type='AUC')
    with pytest.raises(ValueError, match='no TorsoPCKAccuracy in test_evaluator'):
        open_test(config)
    steps = config.train_dataloader.dataset.pipeline
    steps[3].encoder.background = False
    with pytest.raises(ValueError, match='packs 14 target maps for 14 joints; it needs Generate'):
        read_cells(config, SETTINGS)
    del steps[3]
    with pytest.raises(ValueError, match='packs 0 target maps for 14 joints'):
        read_cells(config, SETTINGS)
    config.model.head.decoder.heatmap_size = (16, 16)
    for function in (open_test, lambda config: read_cells(config, SETTINGS)):
        with pytest.raises(ValueError, match=r'decoder is CPMHeatmap; .* input_size 8 times heatm'):
            function(config)
    del config.model.head.decoder
    with pytest.raises(ValueError, match='decoder is None; a pose machine of forests needs a'):
        open_test(config)
