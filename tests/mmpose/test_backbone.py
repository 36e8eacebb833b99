"""CPMBackbone: the core's trunks, built from a config."""

from functools import partial

import numpy as np
import pytest
import torch
from cpm_testing import networks
from torch import nn

from cpm_plugin.core.models.settings import TrunkSettings
from cpm_plugin.core.models.trunks import FeatureTrunks, VggTrunk
from cpm_plugin.mmpose import CPMBackbone
from cpm_plugin.mmpose.backbone import norm_layer_of

from mmpose.registry import MODELS

IMAGE = (64, 48)  # width, height
random_image = partial(networks.random_image, IMAGE[1], IMAGE[0], dtype=torch.float32)


def test_outputs_equal_those_of_the_core_with_the_same_weights():
    backbone = MODELS.build(
        dict(
            type='CPMBackbone',
            in_channels=4,
            channels=6,
            kernel_size=5,
            center_map_sigma=7.0,
            norm_cfg=dict(type='BN'),
        )
    )
    core = FeatureTrunks(
        TrunkSettings(in_channels=4, channels=6, kernel_size=5, center_map_sigma=7.0),
        norm_layer=nn.BatchNorm2d,
    )
    core.load_state_dict(backbone.trunks.state_dict())
    image = random_image(channels=4)
    for ours, theirs in zip(backbone(image), core(image), strict=True):
        assert torch.equal(ours, theirs)


def test_first_layers_as_one_give_the_same():
    settings = dict(channels=4, kernel_size=3, norm_cfg=dict(type='BN'))
    joint = CPMBackbone(**settings, joint_first_layers=True)
    apart = CPMBackbone(**settings)
    apart.load_state_dict(joint.state_dict())
    assert joint.trunks.joint_first_layers and not apart.trunks.joint_first_layers
    for one, other in zip(joint(random_image()), apart(random_image()), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ('arguments', 'shapes'),
    [
        (dict(), [(2, 4, 6, 8), (2, 4, 6, 8)]),
        (dict(center_map_sigma=9.0), [(2, 4, 6, 8), (2, 4, 6, 8), (2, 1, 6, 8)]),
        (dict(shared_trunk=False), [(2, 4, 6, 8)]),
    ],
    ids=['two trunks', 'center map', 'one trunk'],
)
def test_shapes_of_the_outputs(arguments, shapes):
    outputs = CPMBackbone(channels=4, kernel_size=3, **arguments)(random_image())
    assert isinstance(outputs, tuple)
    assert [tuple(output.shape) for output in outputs] == shapes


def test_center_map_is_the_mean_of_a_gaussian_in_the_middle():
    sigma = 9.0
    _, _, center = CPMBackbone(channels=2, kernel_size=3, center_map_sigma=sigma)(random_image())
    x, y = np.arange(64), np.arange(48)
    gaussian = np.exp(-((x[None] - 31.5) ** 2 + (y[:, None] - 23.5) ** 2) / (2 * sigma**2))
    # 9x9 windows 8 pixels apart, clipped at the border
    expected = [[gaussian[8 * i : 8 * i + 9, 8 * j : 8 * j + 9].mean() for j in range(8)]
                for i in range(6)]  # fmt: skip
    np.testing.assert_allclose(center[0, 0], expected, atol=1e-6)
    assert torch.equal(center[0], center[1])


@pytest.mark.parametrize(
    ('norm_cfg', 'kind', 'has_bias'),
    [
        (None, None, True),
        (dict(type='BN'), nn.BatchNorm2d, False),
        (dict(type='GN', num_groups=2), nn.GroupNorm, False),
    ],
    ids=['none', 'BN', 'GN'],
)
def test_norm_cfg_puts_its_layer_after_each_convolution(norm_cfg, kind, has_bias):
    backbone = CPMBackbone(channels=4, kernel_size=3, norm_cfg=norm_cfg)
    convs = [layer for layer in backbone.modules() if isinstance(layer, nn.Conv2d)]
    norms = [layer for layer in backbone.modules() if 'Norm' in type(layer).__name__]
    assert len(convs) == 6
    assert all((conv.bias is not None) == has_bias for conv in convs)
    assert [type(norm) for norm in norms] == ([kind] * 6 if kind else [])
    backbone(random_image())  # channels of the layers fit


def test_norm_cfg_arguments_arrive():
    layer = norm_layer_of(dict(type='BN', eps=0.25, momentum=0.5, requires_grad=False))(3)
    assert (layer.num_features, layer.eps, layer.momentum) == (3, 0.25, 0.5)
    assert not layer.weight.requires_grad


def test_init_weights_keeps_the_initialization_of_the_core():
    backbone = CPMBackbone(channels=8, kernel_size=5)
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    backbone.init_weights()
    assert all(torch.equal(value, before[key]) for key, value in backbone.state_dict().items())
    weight = before['trunks.shared_trunk.conv2.conv.weight']
    assert weight.std().item() == pytest.approx((2 / (8 * 25)) ** 0.5, rel=0.1)  # He's rule


def test_init_cfg_replaces_it():
    backbone = CPMBackbone(
        channels=4, kernel_size=3, init_cfg=dict(type='Constant', val=0.25, layer='Conv2d')
    )
    backbone.init_weights()
    assert (backbone.trunks.stage1_trunk.conv1.conv.weight == 0.25).all()


def test_center_map_without_shared_trunk_is_refused():
    with pytest.raises(ValueError, match='center_map_sigma'):
        CPMBackbone(channels=4, shared_trunk=False, center_map_sigma=21.0)


# -- the center map as a fourth channel


def with_center(heat):
    return torch.cat([random_image(), heat], dim=1)


@pytest.mark.parametrize(
    'settings', [dict(channels=2, kernel_size=3), dict(vgg_tail=(3, 2))], ids=['paper', 'vgg']
)
def test_fourth_channel_is_the_center_map(settings):
    backbone = CPMBackbone(center_map_sigma=9.0, **settings)
    image = with_center(torch.rand(2, 1, 48, 64))
    stage1, shared, center = backbone(image)
    for i in range(6):  # 9x9 windows 8 pixels apart, clipped at the border
        for j in range(8):
            window = image[:, 3, 8 * i : 8 * i + 9, 8 * j : 8 * j + 9]
            torch.testing.assert_close(center[:, 0, i, j], window.mean(dim=(1, 2)))
    without = backbone(image[:, :3])  # the map changes no feature, and the middle is another
    assert torch.equal(without[0], stage1) and torch.equal(without[1], shared)
    assert not torch.allclose(without[2], center, atol=0.1)


def test_map_of_the_middle_as_a_channel_is_the_default():
    backbone = CPMBackbone(channels=2, kernel_size=3, center_map_sigma=9.0)
    x, y = torch.arange(64) - 31.5, torch.arange(48)[:, None] - 23.5
    image = with_center(torch.exp(-(x**2 + y**2) / (2 * 9.0**2)).expand(2, 1, 48, 64))
    for ours, default in zip(backbone(image), backbone(image[:, :3]), strict=True):
        torch.testing.assert_close(ours, default)


def test_gray_image_with_a_center_map():
    backbone = CPMBackbone(in_channels=1, channels=2, kernel_size=3, center_map_sigma=9.0)
    heat = torch.rand(2, 1, 48, 64)
    center = backbone(torch.cat([random_image(channels=1), heat], dim=1))[2]
    assert center[0, 0, 0, 0].item() == pytest.approx(heat[0, 0, :9, :9].mean().item(), rel=1e-5)


def test_center_map_for_a_backbone_without_is_refused():
    with pytest.raises(ValueError, match='takes no center map; build it with center_map_sigma'):
        CPMBackbone(channels=2, kernel_size=3)(random_image(channels=4))


def test_five_channels_are_refused():
    backbone = CPMBackbone(channels=2, kernel_size=3, center_map_sigma=9.0)
    with pytest.raises(ValueError, match=r'\(2, 5, 48, 64\): this network takes \(N, 3, H, W\)'):
        backbone(random_image(channels=5))


# -- other trunks


def test_vgg_backbone_equals_the_core_and_serves_all_stages_alike():
    backbone = MODELS.build(
        dict(type='CPMBackbone', vgg_tail=(5, 3), center_map_sigma=9.0, norm_cfg=dict(type='BN'))
    )
    core = VggTrunk(TrunkSettings(vgg_tail=(5, 3), center_map_sigma=9.0), norm_layer=nn.BatchNorm2d)
    core.load_state_dict(backbone.trunks.state_dict())
    image = random_image()
    outputs = backbone(image)
    for ours, theirs in zip(outputs, core(image), strict=True):
        assert torch.equal(ours, theirs)
    assert outputs[0] is outputs[1]
    assert [tuple(output.shape) for output in outputs] == [(2, 3, 6, 8), (2, 3, 6, 8), (2, 1, 6, 8)]


def test_pool_padding_reaches_the_pools():
    """Stock's windows begin a pixel earlier: 3x3, stride 2, of 6 pixels around 0, 2, 4."""
    backbone = CPMBackbone(channels=2, kernel_size=3, pool_padding=1)
    row = torch.tensor([5.0, 1.0, 2.0, 9.0, 3.0, 4.0]).expand(1, 1, 6, 6)
    for trunk in (backbone.trunks.stage1_trunk, backbone.trunks.shared_trunk):
        assert trunk.pool1(row)[0, 0, 0].tolist() == [5, 9, 9]
    (default,) = CPMBackbone(channels=2, kernel_size=3).trunks.stage1_trunk.pool1(row)
    assert default[0, 0].tolist() == [5, 9, 4]


@pytest.mark.parametrize('padding', [2, -1])
def test_other_pool_paddings_are_refused(padding):
    with pytest.raises(ValueError, match=f'pool_padding={padding} must be 0'):
        CPMBackbone(channels=2, pool_padding=padding)


def test_encoder_weights_are_read_to_train_and_checked(tmp_path):
    from cpm_plugin.core.models.encoders import MobileEncoder
    from cpm_plugin.core.weights.checkpoints import write_checkpoint

    source = MobileEncoder('movenet_thunder')
    path = tmp_path / 'encoder.pth'
    write_checkpoint(path, source.state_dict(), {})
    arguments = {'encoder': 'movenet_thunder', 'channels': 4}
    backbone = CPMBackbone(encoder_weights=str(path), **arguments)
    weight = 'blocks.9.project.conv.weight'
    assert not torch.equal(
        backbone.trunks.encoder.state_dict()[weight], source.state_dict()[weight]
    )
    backbone.init_weights()
    assert torch.equal(backbone.trunks.encoder.state_dict()[weight], source.state_dict()[weight])

    # not before it is to be trained
    with pytest.raises(ValueError, match=r'missing\.pth: no .*encoder_weights=None'):
        CPMBackbone(encoder_weights='missing.pth', **arguments).init_weights()
    other = tmp_path / 'other.pth'
    write_checkpoint(other, {'stem.conv.weight': torch.rand(1)}, {})
    with pytest.raises(ValueError, match=r'other\.pth do not fit; missing'):
        CPMBackbone(encoder_weights=str(other), **arguments).init_weights()
    with pytest.raises(ValueError, match='needs an encoder'):
        CPMBackbone(encoder_weights=str(path))
    pretrained = dict(type='Pretrained', checkpoint=str(path))
    with pytest.raises(ValueError, match='would replace weights of init_cfg'):
        CPMBackbone(encoder_weights=str(path), init_cfg=pretrained, **arguments)


def test_weights_of_timm_are_loaded_to_train_alone(tmp_path, monkeypatch):
    timm = pytest.importorskip('timm', reason='needs the extra [timm]')
    state = timm.create_model('test_resnet').state_dict()

    def download(place, **arguments):
        assert place == 'timm/test_resnet.r160_in1k'
        return dict(state)

    monkeypatch.setattr(timm.models._builder, 'load_state_dict_from_hf', download)
    torch.save({**state, 'conv1.0.weight': state['conv1.0.weight'] + 1}, tmp_path / 'one.pth')
    arguments = {'encoder': 'timm/test_resnet', 'channels': 4}
    for source, more in (('timm', 0), (str(tmp_path / 'one.pth'), 1)):
        backbone = CPMBackbone(encoder_weights=source, **arguments)
        weight = backbone.trunks.encoder.network.conv1[0].weight
        assert not torch.equal(weight, state['conv1.0.weight'] + more)
        backbone.init_weights()
        assert torch.equal(weight, state['conv1.0.weight'] + more)
    assert backbone(torch.rand(1, 3, 64, 72))[0].shape == (1, 4, 8, 9)

    message = r'encoder_weights: checkpoint missing\.pth: no such file.*encoder_weights=None'
    with pytest.raises(ValueError, match=message):
        CPMBackbone(encoder_weights='missing.pth', **arguments).init_weights()
    with pytest.raises(ValueError, match='would replace weights of init_cfg'):
        CPMBackbone(
            encoder_weights='timm', init_cfg=dict(type='Pretrained', checkpoint='a'), **arguments
        )
    with pytest.raises(ValueError, match=r"'timm' is for .*, not for 'movenet_thunder'"):
        CPMBackbone(encoder_weights='timm', encoder='movenet_thunder')


def test_vgg_weights_are_read_to_train_and_checked(tmp_path):
    """Torchvision's, of which two layers are looked at; the layers after them begin anew."""
    widths = [(3, 64), (64, 64), (64, 128), (128, 128), (128, 256), *[(256, 256)] * 3]
    widths += [(256, 512), (512, 512)]
    generator = torch.Generator().manual_seed(0)
    state = {}
    for (inward, out), number in zip(widths, (0, 2, 5, 7, 10, 12, 14, 16, 19, 21)):
        state[f'features.{number}.weight'] = torch.rand(out, inward, 3, 3, generator=generator)
        state[f'features.{number}.bias'] = torch.rand(out, generator=generator)
    path = tmp_path / 'vgg19.pth'
    torch.save(state, path)
    arguments = dict(vgg_tail=(512, 512, 8), encoder_weights=str(path))
    backbone = CPMBackbone(**arguments)
    last = backbone.trunks.layers.conv4_3.conv.weight.clone()
    backbone.init_weights()
    layers = backbone.trunks.layers
    assert torch.equal(layers.conv2_1.conv.weight, state['features.5.weight'])
    assert torch.equal(layers.conv4_2.conv.bias, state['features.21.bias'])
    assert torch.equal(layers.conv4_3.conv.weight, last)

    with pytest.raises(ValueError, match=r"missing\.pth: no .* It is torchvision's file of VGG-19"):
        CPMBackbone(vgg_tail=(512, 512), encoder_weights='missing.pth').init_weights()
    for other in (dict(vgg_tail=(512, 256)), dict(norm_cfg=dict(type='BN')), dict(in_channels=1)):
        with pytest.raises(ValueError, match=r'of VGG-19 fit a vgg_tail that begins with \(512'):
            CPMBackbone(**{**arguments, **other})
    del state['features.21.bias']
    torch.save(state, path)
    with pytest.raises(ValueError, match=r'vgg19\.pth: no features\.21\.bias'):
        CPMBackbone(**arguments).init_weights()
