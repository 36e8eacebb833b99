"""Networks of timm as encoders: their features, what goes in, and their weights."""

import sys
from functools import cache

import pytest
import torch
from cpm_testing.extras import needs_timm, timm
from cpm_testing.networks import random_norms
from torch import nn

from cpm_plugin.core import create_model, load_checkpoint, optimize_for_inference
from cpm_plugin.core.models.encoder_trunk import EncoderTrunk
from cpm_plugin.core.models.settings import TrunkSettings
from cpm_plugin.core.models.timm_encoder import TimmEncoder
from cpm_plugin.core.weights import write_checkpoint

# strides and channels of the features, as the papers have them
FAMILIES = {
    'resnet18': ((8, 16, 32), (128, 256, 512)),
    'tf_efficientnet_lite0': ((8, 16, 32), (40, 112, 320)),
    'mobilenetv3_small_050': ((8, 16, 32), (16, 24, 288)),
    'convnext_atto': ((8, 16, 32), (80, 160, 320)),
    'hrnet_w18_small': ((8, 16, 32), (256, 512, 1024)),  # as widened for classification
    'vit_tiny_patch16_224': ((16,), (192,)),
    'eva02_tiny_patch14_224': ((14,), (192,)),
    'swin_tiny_patch4_window7_224': ((8, 16, 32), (192, 384, 768)),  # channels last
}


@cache
def trunk_of(name):
    settings = TrunkSettings(encoder=f'timm/{name}', channels=4, center_map_sigma=7.0)
    trunk = EncoderTrunk(settings, norm_layer=nn.BatchNorm2d)
    for layer in trunk.modules():  # some networks begin with branches times 0
        if hasattr(layer, 'weight') and layer.weight is not None and layer.weight.ndim == 1:
            nn.init.ones_(layer.weight)
    return trunk


# -- features


@needs_timm
@pytest.mark.parametrize('name', FAMILIES)
def test_strides_and_channels(name):
    encoder = trunk_of(name).encoder.eval()
    strides, channels = FAMILIES[name]
    assert (encoder.strides, encoder.channels) == (strides, channels)
    side = 56 if 14 in strides else 64
    with torch.no_grad():
        levels = encoder(torch.rand(1, 3, side, 2 * side))
    assert [tuple(level.shape) for level in levels] == [
        (1, width, side // stride, 2 * side // stride) for width, stride in zip(channels, strides)
    ]


@needs_timm
@pytest.mark.parametrize('name', FAMILIES)
@pytest.mark.parametrize('size', [(64, 96), (72, 92)], ids=['multiples of 32', 'others'])
def test_the_trunk_gives_a_cell_for_every_8_pixels(name, size):
    with torch.no_grad():
        first, shared, center = trunk_of(name).eval()(torch.rand(1, 3, *size))
    assert first is shared
    assert tuple(first.shape) == (1, 4, -(-size[0] // 8), -(-size[1] // 8))
    assert center.shape[2:] == first.shape[2:]


@needs_timm
@pytest.mark.parametrize('name', FAMILIES)
def test_gradients_reach_all_that_features_come_from(name):
    trunk = trunk_of(name).train()
    trunk.zero_grad(set_to_none=True)
    features = trunk(torch.rand(2, 3, 64, 64) - 0.5)[0]
    (features * torch.rand_like(features)).sum().backward()
    without = [key for key, p in trunk.named_parameters() if p.grad is None or not p.grad.any()]
    if name == 'hrnet_w18_small':  # it keeps what gives features at stride 4 alone
        parts = ('network.incre_modules.0.', 'network.stage4.0.fuse_layers.0.')
        assert all(any(part in key for key in without) for part in parts)
        without = [key for key in without if not any(part in key for part in parts)]
    assert without == []


@needs_timm
def test_features_are_those_of_timm_for_the_colors_it_expects():
    encoder = TimmEncoder('resnet18').eval()
    stock = timm.create_model('resnet18', features_only=True).eval()
    stock.load_state_dict(encoder.network.state_dict())
    values = torch.randint(0, 256, (1, 3, 64, 96)).float()  # RGB
    mean, std = (torch.tensor(one)[:, None, None] for one in
                 ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))  # fmt: skip
    with torch.no_grad():
        ours = encoder((values.flip(1) - 128) / 256)
        theirs = stock((values / 255 - mean) / std)[2:]
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


class Recorder(nn.Module):
    """In place of a network: keeps what it is given, and gives fixed features."""

    def __init__(self, levels=()):
        super().__init__()
        self.levels = list(levels)

    def forward(self, x):
        self.given = x
        return self.levels


@needs_timm
def test_what_goes_into_the_network_and_into_the_state_dict():
    encoder = TimmEncoder('mobilenetv2_050')
    assert all(key.startswith('network.') for key in encoder.state_dict())
    encoder.network = Recorder()
    blue, green, red = 0.0, 128.0, 255.0
    image = (torch.tensor([blue, green, red])[None, :, None, None] - 128) / 256
    encoder(image.expand(1, 3, 30, 40))
    given = encoder.network.given
    assert given.shape == (1, 3, 32, 64)
    expected = torch.tensor([(1 - 0.485) / 0.229, (128 / 255 - 0.456) / 0.224, (0 - 0.406) / 0.225])
    torch.testing.assert_close(given[0, :, 0, 0], expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(given[0, :, 29, 39], expected, rtol=1e-6, atol=1e-6)
    gray = (128 / 255 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    for y, x in ((30, 0), (0, 40), (31, 63)):  # padded at the bottom and at the right
        torch.testing.assert_close(given[0, :, y, x], gray, rtol=1e-5, atol=1e-6)


@needs_timm
@pytest.mark.parametrize(('name', 'stride', 'side'), [('test_vit', 16, 7), ('eva', 14, 8)])
def test_coarse_features_stay_in_their_place(name, stride, side):
    """Each cell holds its middle, in pixels; so does each cell of the finer features."""
    trunk = trunk_of({'eva': 'eva02_tiny_patch14_224'}.get(name, name)).eval()
    middles = torch.arange(side) * stride + (stride - 1) / 2
    kept = trunk.encoder.network, trunk.lateral
    try:
        trunk.encoder.network = Recorder([middles.expand(1, 1, side, side)])
        trunk.lateral = nn.ModuleList([nn.Identity()])
        features = trunk(torch.zeros(1, 3, 104, 104))[0]  # 104: padded to 7 * 16 and 8 * 14
    finally:
        trunk.encoder.network, trunk.lateral = kept
    assert features.shape == (1, 1, 13, 13)
    inside = features[0, 0, 5, 1:12]  # farther out, the border is repeated
    torch.testing.assert_close(inside, torch.arange(1, 12) * 8 + 3.5)


# -- the published network


@needs_timm
def test_the_size_of_the_published_network():
    # 4,652,008 in all, less 320 x 1280 and its normalization, and 1280 x 1000 and its bias
    count = sum(p.numel() for p in TimmEncoder('tf_efficientnet_lite0').parameters())
    assert count == 4_652_008 - 320 * 1280 - 2 * 1280 - 1280 * 1000 - 1000


# Beliefs of cell (8, 6) in an image of waves, by the code that had trained the published weights:
# 14 joints and the background, of stages 1 and 3.
RECORDED = (
    (-0.002866, -0.001413, 0.002913, 0.000028, 0.004622, -0.001659, 0.003242, 0.001016,
     0.000802, -0.001101, 0.003456, -0.000180, -0.002730, -0.006011, 0.983557),
    (0.001292, 0.001599, -0.001694, 0.000893, -0.000947, 0.001898, -0.000735, 0.002503,
     -0.000647, 0.000466, 0.000535, 0.001045, 0.003069, 0.003911, 0.990764),
)  # fmt: skip


@needs_timm
@pytest.mark.parametrize('optimized', [False, True])
def test_published_weights_give_what_they_gave_where_they_were_trained(optimized):
    """Up to 6e-6: the first convolution is padded with timm's 127.5, where it was with 128."""
    model = create_model('cpm_lite0_3s', pretrained=True).eval()
    model = optimize_for_inference(model) if optimized else model
    y, x = torch.arange(128.0)[:, None], torch.arange(96.0)
    image = torch.stack([(x / 5 + c).sin() * (y / (7 + c)).cos() for c in range(3)])[None] / 2
    with torch.no_grad():
        first, _, last = model(image)
    for beliefs, expected in zip((first, last), RECORDED, strict=True):
        torch.testing.assert_close(beliefs[0, :, 8, 6], torch.tensor(expected), rtol=0, atol=1e-5)


# -- frozen groups


@needs_timm
@pytest.mark.parametrize('name', ['tf_efficientnet_lite0', 'mobilenetv3_small_050'])
def test_frozen_groups_keep_weights_and_statistics(name):
    settings = TrunkSettings(encoder=f'timm/{name}', channels=4, frozen_groups=2)
    trunk = EncoderTrunk(settings, norm_layer=nn.BatchNorm2d).eval().train()
    before = {key: value.clone() for key, value in trunk.encoder.state_dict().items()}
    optimizer = torch.optim.SGD(trunk.parameters(), 0.1)
    features = trunk(torch.rand(2, 3, 64, 64))[0]
    (features * torch.rand_like(features)).sum().backward()
    optimizer.step()
    after = trunk.encoder.state_dict()
    moved = {key for key in after if not torch.equal(after[key], before[key])}
    frozen = tuple(f'network.{part}.' for part in ('conv_stem', 'bn1', 'blocks.0', 'blocks.1'))
    assert not [key for key in moved if key.startswith(frozen)]
    others = {key for key in after if key.endswith(('.weight', 'running_mean'))}
    assert {key for key in others if not key.startswith(frozen)} <= moved
    trunk.eval()
    assert not any(part.training for part in trunk.modules())


@needs_timm
@pytest.mark.parametrize(
    ('name', 'count', 'groups'),
    [('tf_efficientnet_lite0', 8, 7), ('tf_efficientnet_lite0', -1, 7), ('resnet18', 2, 0)],
)
def test_more_frozen_groups_than_there_are_are_refused(name, count, groups):
    message = f"frozen_groups={count}: encoder 'timm/{name}' has {groups} groups .*0 to {groups};"
    with pytest.raises(ValueError, match=message):
        EncoderTrunk(TrunkSettings(encoder=f'timm/{name}', frozen_groups=count))


# -- in a whole network


def network(name='test_resnet'):
    torch.manual_seed(0)
    model = create_model('cpm_lite0_3s', encoder=f'timm/{name}', channels=8, first_stage_channels=8)
    random_norms(model)
    for layer in (model.stages.first, *model.stages.later):
        nn.init.normal_(layer.beliefs.weight)
    return model.eval()


@needs_timm
@pytest.mark.parametrize('name', ['test_resnet', 'test_vit'])
def test_optimized_and_exported_it_has_the_same_beliefs(name):
    model = network(name)
    fast = optimize_for_inference(model)
    image = torch.rand(2, 3, 64, 72) - 0.5
    exported = torch.export.export(
        fast, (image,), dynamic_shapes=({0: torch.export.Dim('batch')},)
    ).module()
    image = torch.rand(3, 3, 64, 72) - 0.5
    with torch.no_grad():
        for one, other, third in zip(model(image), fast(image), exported(image), strict=True):
            limit = 1e-4 * float(one.abs().max())
            assert limit > 1e-6
            torch.testing.assert_close(other, one, atol=limit, rtol=0)
            torch.testing.assert_close(third, one, atol=limit, rtol=0)


@needs_timm
def test_weights_of_the_whole_network_are_saved_and_loaded(tmp_path):
    model = network()
    write_checkpoint(tmp_path / 'model.pth', model.state_dict(), {})
    other = create_model(
        'cpm_lite0_3s', encoder='timm/test_resnet', channels=8, first_stage_channels=8,
        checkpoint=tmp_path / 'model.pth',
    ).eval()  # fmt: skip
    image = torch.rand(1, 3, 64, 64) - 0.5
    with torch.no_grad():
        assert torch.equal(other(image)[-1], model(image)[-1])
    different = create_model('cpm_lite0_3s', encoder='timm/resnet18', channels=8)
    with pytest.raises(ValueError, match='does not fit the model'):
        load_checkpoint(different, tmp_path / 'model.pth')


# -- weights of the encoder


def whole(name='test_resnet', **arguments):
    return timm.create_model(name, **arguments).state_dict()


@needs_timm
@pytest.mark.parametrize('ending', ['pth', 'safetensors'])
@pytest.mark.parametrize('name', ['test_resnet', 'test_convnext', 'test_vit'])
def test_a_file_of_timm_is_loaded_without_its_classifier(name, ending, tmp_path):
    state = whole(name, num_classes=7)
    path = tmp_path / f'weights.{ending}'
    if ending == 'pth':
        torch.save(state, path)
    else:
        from safetensors.torch import save_file

        state = {key: value for key, value in state.items() if 'num_batches' not in key}
        save_file(state, path)
    encoder = TimmEncoder(name)
    encoder.load_weights(str(path))
    # timm's names differ in the points of some blocks alone, and in a prefix
    given = {key.replace('.', '_'): value for key, value in state.items()}
    for key, value in encoder.network.state_dict().items():
        key = key.removeprefix('model.').replace('.', '_')
        assert 'num_batches' in key or torch.equal(given[key], value), key


@needs_timm
def test_timms_own_weights_are_asked_for_by_name(monkeypatch):
    state, asked = whole(), []

    def download(place, **arguments):
        asked.append(place)
        return dict(state)

    monkeypatch.setattr(timm.models._builder, 'load_state_dict_from_hf', download)
    encoder = TimmEncoder('test_resnet')
    assert asked == []
    encoder.load_weights()
    assert asked == ['timm/test_resnet.r160_in1k']
    assert torch.equal(encoder.network.conv1[0].weight, state['conv1.0.weight'])


@needs_timm
def test_weights_that_are_not_there_or_do_not_fit_are_refused(tmp_path):
    encoder = TimmEncoder('test_resnet')
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    with pytest.raises(ValueError, match=r"timm's weights of 'ghostnet_050' cannot be loaded \(No"):
        TimmEncoder('ghostnet_050').load_weights()
    torch.save(whole('test_vit'), tmp_path / 'vit.pth')
    message = r"vit\.pth does not fit; missing: .* of timm\.create_model\('test_resnet'\)"
    with pytest.raises(ValueError, match=message):
        encoder.load_weights(str(tmp_path / 'vit.pth'))
    for name in ('none.pth', 'none.safetensors'):
        with pytest.raises(ValueError, match=f'{name}: no such file'):
            encoder.load_weights(str(tmp_path / name))
    (tmp_path / 'broken.safetensors').write_bytes(b'not one')
    with pytest.raises(ValueError, match=r'broken\.safetensors cannot be read'):
        encoder.load_weights(str(tmp_path / 'broken.safetensors'))
    assert all(torch.equal(value, before[key]) for key, value in encoder.state_dict().items())


# -- what is refused


@needs_timm
@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('resnet181', "timm has no network 'resnet181'; close to it: resnet18"),
        ('resnet18.a9_in1k', r'close to it: resnet18\.a'),
        ('hf-hub:timm/resnet18', 'timm has no network'),
        ('', "timm has no network ''; see timm.list_models"),
        ('vit_base_patch8_224', None),
    ],
)
def test_unknown_names(name, message):
    if message is None:
        with torch.device('meta'):
            assert TimmEncoder(name).strides == (8,)
        return
    with pytest.raises(ValueError, match=message):
        EncoderTrunk(TrunkSettings(encoder=f'timm/{name}'))


@needs_timm
def test_a_network_of_one_image_size_takes_no_other():
    trunk = trunk_of('levit_128s').eval()
    assert trunk.encoder.only_size == (224, 224)
    with torch.no_grad():
        assert trunk(torch.rand(1, 3, 224, 224))[0].shape == (1, 4, 28, 28)
    message = "image of 64 x 224 pixels: encoder 'timm/levit_128s' takes 224 x 224 only"
    with pytest.raises(ValueError, match=message):
        trunk(torch.rand(1, 3, 64, 224))


def test_without_timm_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, 'timm', None)
    with pytest.raises(ImportError, match=r"need timm: pip install 'cpm_plugin\[timm\]'"):
        create_model('cpm_lite0_3s', pretrained=True)
    create_model('cpm_movenet_3s', pretrained=True)  # which needs none


@needs_timm
def test_checkpoints_by_the_names_of_before_are_refused(tmp_path):
    """Of a ``cpm_lite0_3s`` from when the package had an EfficientNet of its own."""
    state = create_model('cpm_lite0_3s').state_dict()
    old = {key.replace('network.conv_stem', 'stem.conv'): value for key, value in state.items()}
    write_checkpoint(tmp_path / 'old.pth', old, {})
    message = (
        r'old\.pth does not fit the model; missing: trunks\.encoder\.network\.conv_stem\.weight; '
        r'left over: trunks\.encoder\.stem\.conv\.weight'
    )
    with pytest.raises(ValueError, match=message):
        create_model('cpm_lite0_3s', checkpoint=tmp_path / 'old.pth')
