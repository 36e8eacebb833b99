"""Flip test and decoding of CPMStageHead, by itself and in the stock estimator."""

import numpy as np
import pytest
import torch
from cpm_testing.heads import (
    ANYWHERE,
    AT_CELLS,
    CPM_CODEC,
    FLIP,
    MSRA_CODEC,
    encoded,
    estimator,
    gives,
    mirrored,
    peak_at,
    samples,
    slim_head,
)

from mmpose.registry import KEYPOINT_CODECS


@pytest.mark.parametrize(
    ('codec', 'keypoints', 'shift'),
    [(CPM_CODEC, ANYWHERE, False), (MSRA_CODEC, AT_CELLS, True)],
    ids=['CPMHeatmap without shift', 'MSRAHeatmap with shift'],
)
def test_flip_test_of_perfect_beliefs_changes_nothing(monkeypatch, codec, keypoints, shift):
    codec = KEYPOINT_CODECS.build(codec)
    straight, mirror = encoded(codec, keypoints), encoded(codec, mirrored(keypoints))
    head = slim_head()
    monkeypatch.setattr(head, 'forward', lambda feats: [feats])
    assert not torch.allclose(straight, mirror, atol=0.1)  # the figure is not symmetric
    (averaged,) = head.keypoint_beliefs(
        [straight, mirror],
        samples([[1, 1, 1]]),
        dict(flip_test=True, flip_mode='heatmap', shift_heatmap=shift),
    )
    torch.testing.assert_close(averaged, straight, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ('codec', 'keypoints', 'wrong_shift', 'offset'),
    [(CPM_CODEC, ANYWHERE, True, 8), (MSRA_CODEC, AT_CELLS, False, -8)],
    ids=['CPMHeatmap with shift', 'MSRAHeatmap without shift'],
)
def test_wrong_shift_puts_the_mirrored_half_one_cell_off(
    monkeypatch, codec, keypoints, wrong_shift, offset
):
    codec = KEYPOINT_CODECS.build(codec)
    head = slim_head()
    monkeypatch.setattr(head, 'forward', lambda feats: [feats])
    mirror = encoded(codec, mirrored(keypoints))
    for shift, expected in ((wrong_shift, offset), (not wrong_shift, 0)):
        (half,) = head.keypoint_beliefs(
            [torch.zeros_like(mirror), mirror],
            samples([[1, 1, 1]]),
            dict(flip_test=True, flip_mode='heatmap', shift_heatmap=shift),
        )
        found, _ = codec.decode(2 * half[0].numpy())
        np.testing.assert_allclose(found - keypoints, [[[expected, 0]] * 3], atol=0.01)


def test_flip_test_averages_every_stage_and_drops_the_background(monkeypatch):
    head = slim_head(background=True)
    monkeypatch.setattr(head, 'forward', lambda feats: [feats, 10 * feats])
    one, other = torch.rand(2, 2, 4, 6, 8)
    first, second = head.keypoint_beliefs([one, other], samples([[1, 1, 1]] * 2), dict(flip_test=1))
    expected = (one[:, :3] + other.flip(-1)[:, FLIP]) / 2
    torch.testing.assert_close(first, expected)
    torch.testing.assert_close(second, 10 * expected)


def test_other_number_of_flip_indices_is_refused():
    head = slim_head()
    batch = samples([[1, 1, 1]], flip_indices=[0, 2, 1, 3])
    features = torch.rand(1, 4, 6, 8)
    with pytest.raises(ValueError, match=r'4 joints.*num_keypoints=3'):
        head.keypoint_beliefs([features, features], batch, dict(flip_test=True))


# -- predict


def test_predict_decodes_the_last_stage_without_background(monkeypatch):
    first = peak_at((0, 0), (0, 0), (0, 0), (1, 1))
    last = peak_at((2, 1), (5, 4), (3, 3), (6, 2))
    last[0, 3] *= 2
    head = slim_head(background=True, decoder=dict(CPM_CODEC, subpixel=False))
    gives(head, [first, last], monkeypatch)
    (instance,) = head.predict(None, samples([[1, 1, 1]]))
    assert instance.keypoints.tolist() == [[[19.5, 11.5], [43.5, 35.5], [27.5, 27.5]]]
    assert instance.keypoint_scores.tolist() == [[1, 1, 1]]
    (again,), (fields,) = head.predict(None, samples([[1, 1, 1]]), dict(output_heatmaps=True))
    assert torch.equal(fields.heatmaps, last[0, :3])
    assert again.keypoints.tolist() == instance.keypoints.tolist()


def test_predict_decodes_the_stage_of_test_cfg(monkeypatch):
    maps = [peak_at((x, 1), (x, 2), (x, 3)) for x in (2, 5)]
    head = slim_head(decoder=dict(CPM_CODEC, subpixel=False))
    gives(head, maps, monkeypatch)
    for stage, x in ((1, 19.5), (2, 43.5)):
        test_cfg = dict(stage=stage, output_heatmaps=True)
        (instance,), (fields,) = head.predict(None, samples([[1, 1, 1]]), test_cfg)
        assert instance.keypoints[0, :, 0].tolist() == [x] * 3
        assert torch.equal(fields.heatmaps, maps[stage - 1][0])
    for stage in (0, 3, '1', None):
        with pytest.raises(ValueError, match=f'stage={stage!r}; this head has stages 1 to 2'):
            head.predict(None, samples([[1, 1, 1]]), dict(stage=stage))


@pytest.mark.parametrize(
    ('codec', 'keypoints', 'tolerance'),
    [
        (dict(type='CPMHeatmap'), 2.5 * ANYWHERE, 1e-3),
        (dict(type='MSRAHeatmap', sigma=2), 2 * AT_CELLS, 1e-3),
        (dict(type='UDPHeatmap', sigma=2), 2.5 * ANYWHERE, 0.6),
    ],
    ids=['CPMHeatmap', 'MSRAHeatmap', 'UDPHeatmap'],
)
def test_targets_and_decoders_of_all_codecs(monkeypatch, codec, keypoints, tolerance):
    codec = dict(codec, input_size=(192, 192), heatmap_size=(24, 24))
    made = KEYPOINT_CODECS.build(codec).encode(keypoints, np.ones((1, 3), np.float32))
    target = torch.from_numpy(made['heatmaps'])[None]
    weights = made['keypoint_weights']
    head = slim_head(decoder=codec)
    log = head.loss(torch.rand(1, 4, 24, 24), samples(weights, heatmaps=target))
    # beliefs start near 0: the loss is the mean square of the target
    assert log['loss_stage2'].item() == pytest.approx((target**2).mean().item(), rel=0.1)
    gives(head, [target, target], monkeypatch)
    assert head.loss(None, samples(weights, heatmaps=target))['acc_stage1'] == 1
    (instance,) = head.predict(None, samples(weights))
    np.testing.assert_allclose(instance.keypoints, keypoints, atol=tolerance)


@pytest.mark.parametrize('flip_test', [False, True])
def test_stock_estimator_returns_positions_in_the_image(monkeypatch, flip_test):
    model = estimator(flip_test=flip_test, shift_heatmap=False, output_heatmaps=True)
    codec = KEYPOINT_CODECS.build(dict(CPM_CODEC, background=True))
    straight, mirror = encoded(codec, ANYWHERE), encoded(codec, mirrored(ANYWHERE))
    given = iter([straight, mirror])
    monkeypatch.setattr(model.head, 'forward', lambda feats: [next(given)] * 2)
    with torch.no_grad():
        (result,) = model(torch.rand(1, 3, 48, 64), samples([[1, 1, 1]]), mode='predict')
    # the crop is 128 x 96 pixels around (100, 80) of the image, the input half that
    np.testing.assert_allclose(result.pred_instances.keypoints, ANYWHERE * 2 + [36, 32], atol=2e-3)
    assert tuple(result.pred_fields.heatmaps.shape) == (3, 6, 8)
    torch.testing.assert_close(result.pred_fields.heatmaps, straight[0, :3], atol=1e-6, rtol=0)


def test_stock_estimator_flips_the_image_for_the_flip_test():
    """A network of real weights: flip-test beliefs of an image and of its mirror image are
    mirror images, which they are not without flip test."""
    maps = {}
    for flip_test in (False, True):
        model = estimator(flip_test=flip_test, shift_heatmap=False, output_heatmaps=True)
        torch.manual_seed(1)
        for stage in (model.head.stages.first, *model.head.stages.later):
            torch.nn.init.normal_(stage.beliefs.weight)
        image = torch.rand(1, 3, 48, 64)
        with torch.no_grad():
            one, other = (
                model(view, samples([[1, 1, 1]]), mode='predict')[0].pred_fields.heatmaps
                for view in (image, image.flip(-1))
            )
        maps[flip_test] = (one, other.flip(-1)[FLIP])
    torch.testing.assert_close(*maps[True], atol=1e-4, rtol=1e-4)
    assert not torch.allclose(*maps[False], atol=1e-2)
