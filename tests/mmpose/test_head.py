"""CPMStageHead: the core's stages, built from a config, on features of any backbone."""

import pytest
import torch
from cpm_testing.heads import (
    AT_CELLS,
    MSRA_CODEC,
    encoded,
    samples,
    slim_head,
)

from cpm_plugin.core.models.network import build_network
from cpm_plugin.core.models.settings import StageSettings
from cpm_plugin.core.models.stages import RefinementStage
from cpm_plugin.core.weights.checkpoints import from_mmpose
from cpm_plugin.mmpose import CPMBackbone

from mmpose.models.backbones.cpm import CPM
from mmpose.registry import KEYPOINT_CODECS, MODELS


@pytest.mark.parametrize('center_map_sigma', [None, 9.0])
@pytest.mark.parametrize('background', [False, True])
def test_backbone_and_head_equal_the_core(background, center_map_sigma):
    norm, center = dict(type='BN'), dict(center_map_sigma=center_map_sigma)
    sizes = dict(
        num_keypoints=5, num_stages=3, background=background, reduced_channels=7,
        first_stage_channels=8, reduce_kernel_size=1, first_stage_kernel_size=5,
        refine_kernel_size=3,
    )  # fmt: skip
    backbone = MODELS.build(
        dict(type='CPMBackbone', channels=4, kernel_size=3, norm_cfg=norm, **center)
    )
    head = MODELS.build(
        dict(
            type='CPMStageHead', in_channels=4, channels=6, norm_cfg=norm,
            center_map=center_map_sigma is not None, **sizes,
        )
    )  # fmt: skip
    core = build_network(
        channels=4, trunk_kernel_size=3, norm_layer=torch.nn.BatchNorm2d, **center, **sizes
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


def shapes(head):
    """Of the weights of its convolutions, by their names in the stages."""
    return {
        key.removesuffix('.conv.weight'): tuple(value.shape)
        for key, value in head.stages.state_dict().items()
        if key.endswith('conv.weight')
    }


def test_all_sizes_of_the_head_reach_the_stages():
    head = slim_head(
        in_channels=(3, 5), num_keypoints=2, background=True, center_map=True, channels=6,
        reduced_channels=7, first_stage_channels=9, reduce_kernel_size=1,
        first_stage_kernel_size=5, refine_kernel_size=7,
    )  # fmt: skip
    assert shapes(head) == {
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


def test_stages_train_on_a_stock_resnet():
    model = MODELS.build(
        dict(
            type='TopdownPoseEstimator',
            backbone=dict(type='ResNet', depth=18, strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4)),
            head=dict(
                type='CPMStageHead', in_channels=512, num_keypoints=3, num_stages=2, channels=8,
                first_stage_channels=8, refine_kernel_size=5, norm_cfg=dict(type='BN'),
                decoder=MSRA_CODEC,
            ),
        )
    )  # fmt: skip
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
    assert shapes(head) == {
        'first.conv2': (8, 4, 1, 1),
        'later.0.refine.0': (4, 4 + 2, 3, 3),
        **{f'later.0.refine.{layer}': (4, 4, 3, 3) for layer in (1, 2, 3, 4)},
        'later.0.refine.5': (4, 4, 1, 1),
    }
    assert not head.stages.later[0].beliefs_first
    assert slim_head(beliefs_first=True).stages.later[0].beliefs_first
