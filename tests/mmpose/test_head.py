"""CPMStageHead: the core's stages with targets, losses, flip test and decoding."""

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData, PixelData

from cpm_plugin.core.models.network import build_network
from cpm_plugin.core.models.settings import StageSettings
from cpm_plugin.core.models.stages import RefinementStage
from cpm_plugin.core.weights.checkpoints import from_mmpose
from cpm_plugin.mmpose import CPMBackbone, CPMStageHead

from mmpose.evaluation.functional import pose_pck_accuracy
from mmpose.models.backbones.cpm import CPM
from mmpose.models.losses import KeypointMSELoss
from mmpose.registry import KEYPOINT_CODECS, MODELS
from mmpose.structures import PoseDataSample

SIZE = (64, 48)  # of the image, width and height
CELLS = (8, 6)
FLIP = [1, 0, 2]  # left, right, middle


def slim_head(num_keypoints=3, num_stages=2, **arguments):
    sizes = dict(
        in_channels=4,
        channels=4,
        reduced_channels=4,
        first_stage_channels=8,
        reduce_kernel_size=3,
        first_stage_kernel_size=3,
        refine_kernel_size=3,
    )
    return CPMStageHead(
        num_keypoints=num_keypoints, num_stages=num_stages, **{**sizes, **arguments}
    )


def samples(weights, flip_indices=FLIP, background=None, **fields):
    """One sample per row of ``weights``; fields are (N, C, h, w)."""
    batch = []
    for index, row in enumerate(torch.as_tensor(weights, dtype=torch.float32)):
        sample = PoseDataSample(
            gt_instance_labels=InstanceData(keypoint_weights=row[None]),
            gt_fields=PixelData(**{name: maps[index] for name, maps in fields.items()}),
        )
        if background is not None:
            sample.gt_instance_labels.background_weights = torch.tensor([[background[index]]])
        sample.set_metainfo(
            dict(
                flip_indices=flip_indices,
                input_size=SIZE,
                input_center=np.array([100.0, 80.0]),
                input_scale=np.array([128.0, 96.0]),
            )
        )
        sample.gt_instances = InstanceData(
            bboxes=np.array([[36.0, 32.0, 164.0, 128.0]]), bbox_scores=np.ones(1)
        )
        batch.append(sample)
    return batch


def gives(head, beliefs, monkeypatch):
    """The head's forward returns these beliefs whatever it is given."""
    monkeypatch.setattr(head, 'forward', lambda feats: beliefs)
    return head


def peak_at(*cells, width=8, height=6):
    """A map for each (x, y): 1 there and 0 elsewhere; (1, K, height, width)."""
    maps = torch.zeros(1, len(cells), height, width)
    for channel, (x, y) in enumerate(cells):
        maps[0, channel, y, x] = 1
    return maps


# -- forward


@pytest.mark.parametrize('center_map_sigma', [None, 9.0])
@pytest.mark.parametrize('background', [False, True])
def test_backbone_and_head_equal_the_core(background, center_map_sigma):
    backbone = MODELS.build(
        dict(
            type='CPMBackbone',
            channels=4,
            kernel_size=3,
            center_map_sigma=center_map_sigma,
            norm_cfg=dict(type='BN'),
        )
    )
    head = MODELS.build(
        dict(
            type='CPMStageHead',
            in_channels=4,
            num_keypoints=5,
            num_stages=3,
            background=background,
            center_map=center_map_sigma is not None,
            channels=6,
            reduced_channels=7,
            first_stage_channels=8,
            reduce_kernel_size=1,
            first_stage_kernel_size=5,
            refine_kernel_size=3,
            norm_cfg=dict(type='BN'),
        )
    )
    core = build_network(
        num_keypoints=5,
        num_stages=3,
        background=background,
        center_map_sigma=center_map_sigma,
        channels=4,
        reduced_channels=7,
        first_stage_channels=8,
        trunk_kernel_size=3,
        reduce_kernel_size=1,
        first_stage_kernel_size=5,
        refine_kernel_size=3,
        norm_layer=torch.nn.BatchNorm2d,
    )
    # the core has one width for trunks and stages, the head another: give it the head's stages
    core.stages = head.stages
    core.trunks.load_state_dict(
        {
            key.removeprefix('trunks.'): value
            for key, value in from_mmpose(
                {f'backbone.{key}': value for key, value in backbone.state_dict().items()}
            ).items()
        }
    )
    image = torch.rand(2, 3, 48, 64)
    ours, theirs = head(backbone(image)), core(image)
    assert [tuple(maps.shape) for maps in ours] == [(2, 5 + background, 6, 8)] * 3
    for one, other in zip(ours, theirs, strict=True):
        assert torch.equal(one, other)


def test_all_sizes_of_the_head_reach_the_stages():
    head = slim_head(
        in_channels=(3, 5),
        num_keypoints=2,
        background=True,
        center_map=True,
        channels=6,
        reduced_channels=7,
        first_stage_channels=9,
        reduce_kernel_size=1,
        first_stage_kernel_size=5,
        refine_kernel_size=7,
    )
    shapes = {
        key.removesuffix('.conv.weight'): tuple(value.shape)
        for key, value in head.stages.state_dict().items()
        if key.endswith('conv.weight')
    }
    assert shapes == {
        'first.reduce': (7, 3, 1, 1),
        'first.conv1': (9, 7, 5, 5),
        'first.conv2': (9, 9, 1, 1),
        'later.0.reduce': (7, 5, 1, 1),
        'later.0.refine.0': (6, 7 + 2 + 1 + 1, 7, 7),
        'later.0.refine.1': (6, 6, 7, 7),
        'later.0.refine.2': (6, 6, 7, 7),
        'later.0.refine.3': (6, 6, 1, 1),
    }


def test_single_feature_map_serves_all_stages():
    head = slim_head()
    features = torch.rand(2, 4, 6, 8)
    expected = head((features, features))
    for feats in (features, (features,), [features]):
        for one, other in zip(head(feats), expected, strict=True):
            assert torch.equal(one, other)


def test_first_map_is_for_stage_1_and_second_for_the_later_ones():
    head = slim_head(num_stages=3)
    first, second = torch.rand(2, 2, 4, 6, 8)
    one = head((first, first))
    other = head((first, second))
    assert torch.equal(one[0], other[0])
    assert not torch.allclose(one[1], other[1])
    assert not torch.equal(one[0], head((second, first))[0])


def test_third_map_is_the_center_map_of_the_later_stages():
    head = slim_head(center_map=True)
    features = torch.rand(2, 4, 6, 8)
    dark = head((features, features, torch.zeros(2, 1, 6, 8)))
    bright = head((features, features, torch.ones(2, 1, 6, 8)))
    assert torch.equal(dark[0], bright[0])
    assert not torch.equal(dark[1], bright[1])


def test_pyramid_of_feature_maps_is_refused():
    with pytest.raises(ValueError, match='4 feature maps'):
        slim_head()([torch.rand(1, 4, 6, 8)] * 4)


def test_init_weights_keeps_the_initialization_of_the_core():
    head = slim_head()
    before = {key: value.clone() for key, value in head.state_dict().items()}
    head.init_weights()
    assert all(torch.equal(value, before[key]) for key, value in head.state_dict().items())
    assert 0 < head.stages.first.beliefs.weight.abs().max() < 0.01


def test_refinement_stage_equals_that_of_stock_cpm():
    stock = CPM(3, 5, num_stages=2)
    stock.eval()  # returns None
    torch.nn.init.normal_(stock.out_convs[0][1].conv.weight)  # 0.001 at the start: no test
    for layer in stock.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(layer.weight, 0.5, 2)
            torch.nn.init.normal_(layer.running_mean, std=0.1)
    for conv in [stock.middle_conv[0][0].conv, *(m.conv for m in stock.cpm_stages[0].model)]:
        torch.nn.init.kaiming_normal_(conv.weight)
    ours = RefinementStage(
        128, StageSettings(num_keypoints=5), norm_layer=torch.nn.BatchNorm2d
    ).eval()
    pairs = [
        (ours.reduce, stock.middle_conv[0][0]),
        *zip(ours.refine, [*stock.cpm_stages[0].model, stock.out_convs[0][0]], strict=True),
    ]
    for own, other in pairs:
        own.conv.load_state_dict(other.conv.state_dict())
        own.norm.load_state_dict(other.bn.state_dict())
    ours.beliefs.load_state_dict(stock.out_convs[0][1].conv.state_dict())
    # stock puts the beliefs before the features, the authors and we behind
    weight = ours.refine[0].conv.weight.data
    weight.copy_(torch.cat([weight[:, 5:], weight[:, :5]], dim=1))

    stock.double()
    ours.double()  # so that only a mistake can make a difference
    features, beliefs = torch.rand(1, 128, 6, 6).double(), torch.rand(1, 5, 6, 6).double()
    with torch.no_grad():
        seen = torch.cat([beliefs, stock.middle_conv[0](features)], dim=1)
        expected = stock.out_convs[0](stock.cpm_stages[0](seen))
        found = ours(features, beliefs, None)
    assert expected.std() > 0.1
    torch.testing.assert_close(found, expected, atol=1e-9, rtol=0)


# -- loss


def test_loss_and_accuracy_of_every_stage_by_hand(monkeypatch):
    # 3 joints; the third is not labeled, so neither its error nor its peak may count
    target = peak_at((2, 1), (5, 4), (3, 3))
    weights = [[1, 1, 0]]
    stage1 = peak_at((2, 1), (6, 4), (0, 0)) * 0.5  # right, one cell off (of 8: more than 5 %)
    stage2 = peak_at((2, 1), (5, 4), (7, 5))
    stage2[0, 0] += 0.5
    head = gives(slim_head(), [stage1, stage2], monkeypatch)
    log = head.loss(None, samples(weights, heatmaps=target))
    assert set(log) == {'loss_stage1', 'acc_stage1', 'loss_stage2', 'acc_stage2'}
    pixels = 3 * 48
    # stage 1: joint 1 lacks 0.5; joint 2 lacks 1 and has 0.5 where nothing is
    assert log['loss_stage1'].item() == pytest.approx((0.25 + 1 + 0.25) / pixels, rel=1e-6)
    assert log['acc_stage1'].item() == 0.5
    assert log['loss_stage2'].item() == pytest.approx(48 * 0.25 / pixels, rel=1e-6)
    assert log['acc_stage2'].item() == 1


def test_every_stage_equals_stock_keypoint_mse_with_masked_joints(monkeypatch):
    beliefs = [torch.rand(4, 3, 6, 8) for _ in range(2)]
    target = torch.rand(4, 3, 6, 8)
    weights = torch.tensor([[1, 0, 1], [1, 1, 1], [0, 0, 0], [0, 1, 0]]).float()
    head = gives(slim_head(), beliefs, monkeypatch)
    log = head.loss(None, samples(weights, heatmaps=target))
    stock = KeypointMSELoss(use_target_weight=True)
    for stage in (1, 2):
        expected = stock(beliefs[stage - 1], target, weights)
        assert log[f'loss_stage{stage}'].item() == pytest.approx(expected.item(), rel=1e-6)


def test_accuracy_is_mmposes(monkeypatch):
    """On maps higher than wide, with ties, values below 0 and joints that do not count."""
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(16, 3, 40, 30, generator=generator)
    right = torch.rand(16, 3, 1, 1, generator=generator) > 0.5
    belief = torch.where(right, target, torch.rand(target.shape, generator=generator))
    belief[0, 0], belief[1, 1], belief[2, :, :, 3] = -1, 0, 2
    weights = (torch.rand(16, 3, generator=generator) > 0.3).float()
    weights[:, 2] = 0
    head = gives(slim_head(), [belief, belief.bfloat16()], monkeypatch)
    log = head.loss(None, samples(weights, heatmaps=target))
    for stage, found in ((1, belief), (2, belief.bfloat16().float())):
        _, expected, _ = pose_pck_accuracy(found.numpy(), target.numpy(), weights.numpy() > 0)
        assert 0.1 < expected < 0.9
        assert log[f'acc_stage{stage}'].item() == pytest.approx(expected, rel=1e-6)


def test_total_loss_is_the_sum_over_the_stages_only(monkeypatch):
    beliefs = [torch.rand(1, 3, 6, 8) for _ in range(2)]
    head = gives(slim_head(), beliefs, monkeypatch)
    log = head.loss(None, samples([[1, 1, 1]], heatmaps=torch.rand(1, 3, 6, 8)))
    total, _ = estimator().parse_losses(log)
    assert total.item() == pytest.approx(log['loss_stage1'].item() + log['loss_stage2'].item())


def test_loss_config_is_used(monkeypatch):
    loss = dict(type='IntermediateSupervisionLoss', reduction='sum', stage_weights=[1, 3])
    belief = torch.ones(2, 3, 6, 8)
    head = gives(slim_head(loss=loss), [belief, belief], monkeypatch)
    log = head.loss(None, samples([[1, 1, 1]] * 2, heatmaps=torch.zeros(2, 3, 6, 8)))
    assert log['loss_stage1'].item() == 3 * 48 / 2
    assert log['loss_stage2'].item() == 3 * 3 * 48 / 2


def test_background_counts_only_where_all_joints_are_labeled(monkeypatch):
    head = gives(slim_head(background=True), [torch.zeros(2, 4, 6, 8)] * 2, monkeypatch)
    target = torch.zeros(2, 4, 6, 8)
    target[0, 3] = 2  # background of an image with all joints
    target[1, 3] = 7  # of one without
    batch = samples([[1, 1, 1], [1, 1, 0]], background=[1.0, 0.0], heatmaps=target)
    log = head.loss(None, batch)
    assert log['loss_stage1'].item() == pytest.approx(48 * 4 / (2 * 4 * 48), rel=1e-6)


def test_background_is_no_joint_in_the_accuracy(monkeypatch):
    target = peak_at((2, 1), (5, 4), (3, 3), (0, 0))
    belief = peak_at((2, 1), (5, 4), (3, 3), (7, 5))
    head = gives(slim_head(background=True), [belief] * 2, monkeypatch)
    log = head.loss(None, samples([[1, 1, 1]], background=[1.0], heatmaps=target))
    assert log['acc_stage1'].item() == log['acc_stage2'].item() == 1


def test_each_stage_has_its_own_target(monkeypatch):
    everybody, person = torch.full((1, 3, 6, 8), 3.0), torch.full((1, 3, 6, 8), 1.0)
    head = gives(
        slim_head(num_stages=3, target_fields=['heatmaps_all', 'heatmaps', 'heatmaps']),
        [torch.zeros(1, 3, 6, 8)] * 3,
        monkeypatch,
    )
    log = head.loss(None, samples([[1, 1, 1]], heatmaps=person, heatmaps_all=everybody))
    assert [log[f'loss_stage{stage}'].item() for stage in (1, 2, 3)] == [9, 1, 1]


@pytest.mark.parametrize('kind', [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_beliefs_of_autocast(monkeypatch, kind):
    target = peak_at((2, 1), (5, 4), (3, 3))
    belief = (target * 300).to(kind)  # a square above what float16 holds
    head = slim_head(decoder=dict(CPM_CODEC, subpixel=False))
    gives(head, [belief, belief], monkeypatch)
    batch = samples([[1, 1, 1]], heatmaps=target)
    log = head.loss(None, batch)
    assert log['loss_stage1'].item() == pytest.approx(299**2 / 48, rel=1e-2)
    assert log['acc_stage1'].item() == 1
    (instance,), (fields,) = head.predict(None, batch, dict(output_heatmaps=True))
    assert instance.keypoints.tolist() == [[[19.5, 11.5], [43.5, 35.5], [27.5, 27.5]]]
    assert fields.heatmaps.dtype == torch.float32
    monkeypatch.setattr(head, 'forward', lambda feats: [feats])
    (averaged,) = head.keypoint_beliefs([belief, belief], batch, dict(flip_test=True))
    assert averaged.dtype == torch.float32


def test_background_without_a_codec_that_makes_it_is_refused(monkeypatch):
    head = gives(slim_head(background=True), [torch.zeros(1, 4, 6, 8)] * 2, monkeypatch)
    with pytest.raises(ValueError, match="type='CPMHeatmap', background=True"):
        head.loss(None, samples([[1, 1, 1]], heatmaps=torch.zeros(1, 4, 6, 8)))


def test_background_of_the_codec_without_one_in_the_head_is_refused(monkeypatch):
    head = gives(slim_head(), [torch.zeros(1, 3, 6, 8)] * 2, monkeypatch)
    batch = samples([[1, 1, 1]], background=[1.0], heatmaps=torch.zeros(1, 4, 6, 8))
    with pytest.raises(ValueError, match='background'):
        head.loss(None, batch)


def test_missing_target_names_what_there_is_and_what_makes_it(monkeypatch):
    head = gives(
        slim_head(target_fields=['heatmaps_all', 'heatmaps']),
        [torch.zeros(1, 3, 6, 8)] * 2,
        monkeypatch,
    )
    with pytest.raises(ValueError, match=r"'heatmaps_all'.*\['heatmaps'\].*AddNeighbors"):
        head.loss(None, samples([[1, 1, 1]], heatmaps=torch.zeros(1, 3, 6, 8)))


def test_number_of_target_fields_must_be_that_of_the_stages():
    with pytest.raises(ValueError, match='2 target_fields for num_stages=3'):
        slim_head(num_stages=3, target_fields=['heatmaps_all', 'heatmaps'])


# -- flip test


def mirrored(keypoints):
    keypoints = keypoints[:, FLIP].copy()
    keypoints[..., 0] = SIZE[0] - 1 - keypoints[..., 0]
    return keypoints


def encoded(codec, keypoints):
    return torch.from_numpy(codec.encode(keypoints)['heatmaps'])[None]


CPM_CODEC = dict(type='CPMHeatmap', input_size=SIZE, heatmap_size=CELLS)
MSRA_CODEC = dict(type='MSRAHeatmap', input_size=SIZE, heatmap_size=CELLS, sigma=1 / 3)
ANYWHERE = np.array([[[21.25, 14.5], [37.75, 30.0], [30.5, 22.25]]])
# MSRAHeatmap rounds to cells at 8 g: there alone mirroring is exact
AT_CELLS = np.array([[[24.0, 24.0], [40.0, 16.0], [32.0, 24.0]]])


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


def test_other_number_of_flip_indices_is_refused(monkeypatch):
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


def estimator(**test_cfg):
    return MODELS.build(
        dict(
            type='TopdownPoseEstimator',
            backbone=dict(type='CPMBackbone', channels=4, kernel_size=3, center_map_sigma=7.0),
            head=dict(
                type='CPMStageHead',
                in_channels=4,
                num_keypoints=3,
                num_stages=2,
                background=True,
                center_map=True,
                channels=4,
                reduced_channels=4,
                first_stage_channels=4,
                first_stage_kernel_size=3,
                refine_kernel_size=3,
                decoder=CPM_CODEC,
            ),
            test_cfg=test_cfg,
        )
    ).eval()


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


def test_stages_train_on_a_stock_resnet():
    model = MODELS.build(
        dict(
            type='TopdownPoseEstimator',
            backbone=dict(type='ResNet', depth=18, strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4)),
            head=dict(
                type='CPMStageHead',
                in_channels=512,
                num_keypoints=3,
                num_stages=2,
                channels=8,
                first_stage_channels=8,
                refine_kernel_size=5,
                norm_cfg=dict(type='BN'),
                decoder=MSRA_CODEC,
            ),
        )
    )
    target = encoded(KEYPOINT_CODECS.build(dict(MSRA_CODEC, sigma=1)), AT_CELLS).expand(
        2, -1, -1, -1
    )
    batch = samples([[1, 1, 1]] * 2, heatmaps=target)
    image = torch.rand(2, 3, 48, 64)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    totals = []
    for _ in range(6):
        total, _ = model.parse_losses(model(image, batch, mode='loss'))
        optimizer.zero_grad()
        total.backward()
        gradient = model.backbone.conv1.weight.grad
        assert gradient.isfinite().all() and gradient.abs().max() > 0
        optimizer.step()
        totals.append(total.item())
    assert totals[-1] < 0.9 * totals[0]


def test_backbone_of_one_trunk_feeds_a_head_of_one_stage():
    backbone = CPMBackbone(channels=4, kernel_size=3, shared_trunk=False)
    (beliefs,) = slim_head(num_stages=1)(backbone(torch.rand(1, 3, 48, 64)))
    assert tuple(beliefs.shape) == (1, 3, 6, 8)


# -- joints of the head and of the dataset

# Of MPII's 16: the channel of the authors' 14 that it is, or the two that it lies between
MPII_OF_CPM = [
    [10], [9], [8], [11], [12], [13],  # right ankle, knee, hip, left hip, knee, ankle
    [8, 11], [2, 5], [1], [0],  # pelvis, thorax, neck, head top
    [4], [3], [2], [5], [6], [7],  # right wrist, elbow, shoulder, left shoulder, elbow, wrist
]  # fmt: skip
CPM_FLIP = [0, 1, 5, 6, 7, 2, 3, 4, 11, 12, 13, 8, 9, 10]
MPII_FLIP = [5, 4, 3, 2, 1, 0, 6, 7, 8, 9, 15, 14, 13, 12, 11, 10]


def mpii_head(**arguments):
    return slim_head(
        num_keypoints=14,
        joints='cpm',
        output_joints='mpii',
        decoder=dict(CPM_CODEC, subpixel=False),
        **arguments,
    )


def test_predictions_are_given_in_the_joints_of_the_data_set(monkeypatch):
    cells = np.random.default_rng(0).integers(0, CELLS, (14, 2))
    maps = peak_at(*cells) * torch.linspace(0.1, 1, 14)[:, None, None]
    head = gives(mpii_head(), [maps, maps], monkeypatch)
    batch = samples([[1] * 14], flip_indices=MPII_FLIP)
    (instance,), (fields,) = head.predict(None, batch, dict(output_heatmaps=True))
    positions, scores = 8 * cells + 3.5, np.linspace(0.1, 1, 14)
    expected = np.array([positions[channels].mean(axis=0) for channels in MPII_OF_CPM])
    assert instance.keypoints.shape == (1, 16, 2) and instance.keypoint_scores.shape == (1, 16)
    np.testing.assert_allclose(instance.keypoints[0], expected, atol=1e-5)
    np.testing.assert_allclose(
        instance.keypoint_scores[0], [scores[c].mean() for c in MPII_OF_CPM], rtol=1e-6
    )
    assert torch.equal(fields.heatmaps, maps[0])  # the beliefs stay the head's


def test_same_joints_in_another_order(monkeypatch):
    maps = peak_at(*[(c % 8, c // 8) for c in range(14)])
    head = slim_head(
        num_keypoints=14,
        joints='cpm',
        output_joints='lsp',
        decoder=dict(CPM_CODEC, subpixel=False),
    )
    (instance,) = gives(head, [maps] * 2, monkeypatch).predict(None, samples([[1] * 14]))
    order = [10, 9, 8, 11, 12, 13, 4, 3, 2, 5, 6, 7, 1, 0]
    expected = [[8 * (c % 8) + 3.5, 8 * (c // 8) + 3.5] for c in order]
    assert instance.keypoints.tolist() == [expected]


def test_flip_test_swaps_the_heads_own_joints(monkeypatch):
    """The samples carry the dataset's 16 flip indices, which would not fit."""
    head = mpii_head(background=True)
    monkeypatch.setattr(head, 'forward', lambda feats: [feats])
    one, other = torch.rand(2, 1, 15, 6, 8)
    batch = samples([[1] * 14], flip_indices=MPII_FLIP)
    (averaged,) = head.keypoint_beliefs([one, other], batch, dict(flip_test=True))
    torch.testing.assert_close(averaged, (one[:, :14] + other.flip(-1)[:, CPM_FLIP]) / 2)


def test_without_output_joints_predictions_are_the_heads(monkeypatch):
    head = slim_head(num_keypoints=14, joints='cpm', decoder=CPM_CODEC)
    gives(head, [torch.rand(1, 14, 6, 8)] * 2, monkeypatch)
    (instance,) = head.predict(None, samples([[1] * 14]))
    assert instance.keypoints.shape == (1, 14, 2)
    assert slim_head().joints is None


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(joints='coco'), "no joint set 'coco'; there are: cpm, flic, lsp, mpii, person"),
        (dict(joints='mpii'), r'16 joints \(right_ankle, .*num_keypoints=14'),
        (dict(output_joints='mpii'), "output_joints='mpii' needs joints, what the belief"),
        (dict(joints='cpm', output_joints='coco'), "no joint set 'coco'; there are: cpm, flic"),
        (dict(joints='cpm', output_joints='flic'), "no joint 'head', which left_shoulder"),
    ],
    ids=['unknown', 'another number', 'no joints', 'unknown output', 'missing joint'],
)
def test_joints_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        slim_head(num_keypoints=14, **arguments)


# -- the authors' way of training


def test_empty_maps_count_in_the_loss_and_not_in_the_accuracy(monkeypatch):
    """Joints that are not labeled, or outside, are to have a belief of 0 everywhere."""
    target = peak_at((2, 1), (5, 4), (3, 3))
    target[0, 2] = 0
    belief = peak_at((2, 1), (7, 5), (0, 0)) * 0.5  # right; two cells off; nowhere to be
    head = gives(slim_head(), [belief, target], monkeypatch)
    log = head.loss(None, samples([[1, 1, 1]], heatmaps=target))
    # 0.5 is missing; 1 is missing and 0.5 too much; 0.5 too much
    expected = (0.25 + 1.25 + 0.25) / (3 * 48)
    assert log['loss_stage1'].item() == pytest.approx(expected, rel=1e-6)
    assert log['acc_stage1'].item() == 0.5
    assert log['acc_stage2'].item() == 1
    nobody = head.loss(None, samples([[1, 1, 1]], heatmaps=torch.zeros(1, 3, 6, 8)))
    assert nobody['acc_stage1'].item() == 0


def test_accuracy_of_a_stage_is_that_of_its_own_target(monkeypatch):
    """A joint that only a neighbor has is counted in stage 1 and in no other."""
    person = peak_at((2, 1), (5, 4), (3, 3))
    everybody = person.clone()
    person[0, 2] = 0
    belief = peak_at((2, 1), (5, 4), (7, 5))
    head = gives(
        slim_head(target_fields=['heatmaps_all', 'heatmaps']), [belief, belief], monkeypatch
    )
    log = head.loss(None, samples([[1, 1, 1]], heatmaps=person, heatmaps_all=everybody))
    assert log['acc_stage1'].item() == pytest.approx(2 / 3)
    assert log['acc_stage2'].item() == 1


def test_dropout_of_the_head_is_stage_1s():
    head = slim_head(dropout=0.5)
    names = {name: layer.p for name, layer in head.named_modules() if hasattr(layer, 'p')}
    assert names == {'stages.first.dropout1': 0.5, 'stages.first.dropout2': 0.5}
    features = torch.rand(1, 4, 6, 8)
    assert not torch.equal(head(features)[0], head(features)[0])
    head.eval()
    assert torch.equal(head(features)[0], head(features)[0])
    assert list(head.state_dict()) == list(slim_head().state_dict())


def test_sizes_of_the_vgg_stages_reach_them():
    head = slim_head(
        num_keypoints=2, reduced_channels=None, first_stage_kernel_size=None, refine_depth=5
    )
    shapes = {
        key.removesuffix('.conv.weight'): tuple(value.shape)
        for key, value in head.stages.state_dict().items()
        if key.endswith('conv.weight')
    }
    assert shapes == {
        'first.conv2': (8, 4, 1, 1),
        'later.0.refine.0': (4, 4 + 2, 3, 3),
        **{f'later.0.refine.{layer}': (4, 4, 3, 3) for layer in (1, 2, 3, 4)},
        'later.0.refine.5': (4, 4, 1, 1),
    }
    assert not head.stages.later[0].beliefs_first
    assert slim_head(beliefs_first=True).stages.later[0].beliefs_first
