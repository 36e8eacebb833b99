"""The network for several people: on every trunk, in every way that networks are used."""

import pytest
import torch
from cpm_testing.networks import random_norms
from torch import nn

from cpm_plugin.core import (
    AffinityPoseMachine,
    AffinityStages,
    AffinityStageSettings,
    JointSet,
    LargeKernelConv2d,
    PartMaps,
    build_affinity_network,
    optimize_for_inference,
    predict,
)
from cpm_plugin.core.models import TrunkSettings
from cpm_plugin.core.models.encoder_trunk import EncoderTrunk
from cpm_plugin.core.models.layers import ConvBlock
from cpm_plugin.core.models.network import build_trunks
from cpm_plugin.core.models.trunks import FeatureTrunks, VggTrunk
from cpm_plugin.core.prediction import export_network

SMALL = {
    'channels': 6, 'first_stage_channels': 5, 'hidden_channels': 7,
    'first_stage_hidden_channels': 8, 'num_stages': 3,
}  # fmt: skip
TRUNKS = {
    'vgg': ({'vgg_tail': (6, 4)}, VggTrunk),
    'paper': ({'vgg_tail': None, 'trunk_kernel_size': 3}, FeatureTrunks),
    'movenet': ({'encoder': 'movenet_thunder'}, EncoderTrunk),
}
KINDS = {
    'both': {},
    'fields_first': {
        'field_stages': 2, 'dense': True, 'prelu': True, 'features_first': True,
        'refine_depth': 2, 'first_stage_depth': 2, 'refine_kernel_size': 3,
    },
}  # fmt: skip


def network_of(kind='both', trunk='vgg', **changes):
    torch.manual_seed(0)
    settings = {'joints': 'lsp', **SMALL, **KINDS[kind], **TRUNKS[trunk][0], **changes}
    return build_affinity_network(**settings)


def flat(stages):
    return [maps for stage in stages for maps in stage if maps is not None]


@pytest.mark.parametrize('trunk', TRUNKS)
@pytest.mark.parametrize('kind', KINDS)
def test_every_trunk(kind, trunk):
    """LSP: 14 joints and the background, 13 limbs."""
    network = network_of(kind, trunk).eval()
    assert type(network.trunks) is TRUNKS[trunk][1]
    with torch.no_grad():
        stages = network(torch.rand(2, 3, 48, 64) - 0.5)
    found = [tuple(m if m is None else tuple(m.shape) for m in stage) for stage in stages]
    beliefs, fields = (2, 15, 6, 8), (2, 26, 6, 8)
    if kind == 'both':
        assert found == [(beliefs, fields)] * 3
    else:
        assert found == [(None, fields)] * 2 + [(beliefs, None)]


@pytest.mark.parametrize('norm', [None, nn.BatchNorm2d], ids=['none', 'batch'])
@pytest.mark.parametrize('trunk', TRUNKS)
@pytest.mark.parametrize('kind', KINDS)
def test_optimized_for_inference(kind, trunk, norm):
    network = network_of(kind, trunk, norm_layer=norm).eval()
    random_norms(network)
    for name, layer in network.named_modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, -1.5, 1.5)
            nn.init.normal_(layer.bias, std=0.2)
        elif isinstance(layer, nn.PReLU):
            nn.init.uniform_(layer.weight, -0.5, 0.5)
        elif name.endswith('output'):
            nn.init.normal_(layer.weight, std=1.0)
    image = torch.rand(2, 3, 56, 40) - 0.5
    faster = optimize_for_inference(network)
    assert not any(hasattr(m, 'norm') for m in faster.modules() if isinstance(m, ConvBlock))
    with torch.no_grad():
        pairs = list(zip(flat(faster(image)), flat(network(image)), strict=True))
    for one, other in pairs:
        assert other.std() > 0.005 and one.is_contiguous()
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5 * float(other.abs().max()))


@pytest.mark.parametrize('kind', KINDS)
def test_both_methods_of_convolution(kind):
    direct = network_of(kind, conv_method='direct').eval()
    tiled = network_of(kind, conv_method='tiled').eval()
    tiled.load_state_dict(direct.state_dict())
    methods = {c.method for c in tiled.modules() if isinstance(c, LargeKernelConv2d)}
    assert methods == {'tiled'}
    image = torch.rand(1, 3, 48, 56) - 0.5
    with torch.no_grad():
        for one, other in zip(flat(tiled(image)), flat(direct(image)), strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-5)


def test_prelu_of_the_trunk():
    """OpenPose's BODY_25: PReLU after the last three convolutions only."""
    trunk = network_of(vgg_tail=(6, 6, 6, 4), vgg_prelu=3).trunks
    last = [type(block[-1]) for block in trunk.modules() if isinstance(block, ConvBlock)]
    assert last == [nn.ReLU] * 9 + [nn.PReLU] * 3


@pytest.mark.parametrize(
    'settings, message',
    [
        ({'vgg_prelu': -1}, r'vgg_prelu=-1: must be 0 to 10'),
        ({'vgg_prelu': 11}, r'vgg_prelu=11: must be 0 to 10'),
        ({'vgg_tail': None, 'vgg_prelu': 1}, r'vgg_prelu=1: must be 0 to 0.*vgg_tail=None'),
        ({'joints': 'flic'}, 'these joints have no limbs'),
        ({'joints': None}, 'num_keypoints and num_limbs missing; give joints'),
        ({'joints': None, 'num_limbs': 3}, 'num_keypoints missing'),
        ({'num_limbs': 3}, '13 limbs of the joints, but num_limbs=3'),
        ({'num_keypoints': 3}, 'num_keypoints=3; make the two agree'),
        ({'center_map_sigma': 21.0}, 'a network for several people has no center map'),
        ({'reduced_channels': 3}, 'unknown setting reduced_channels; .*field_stages'),
    ],
)
def test_wrong_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        network_of(**settings)


def test_parts_that_do_not_fit_are_refused():
    trunks = build_trunks(TrunkSettings(vgg_tail=(4,)))
    stages = AffinityStages((5, 5), AffinityStageSettings(num_keypoints=3, num_limbs=2))
    with pytest.raises(ValueError, match=r'\(4, 4\) channels, the stages take \(5, 5\)'):
        AffinityPoseMachine(trunks, stages)


def test_numbers_without_joints_and_joints_of_ones_own():
    network = network_of(joints=None, num_keypoints=3, num_limbs=2, num_stages=1)
    assert network.joints is None
    own = JointSet(('a', 'b'), limbs=(('a', 'b'),))
    network = network_of(trunk='paper', joints=own, num_stages=1)
    assert network.joints is own and network.trunks.shared_trunk is None
    (maps,) = network(torch.zeros(1, 3, 32, 32))
    assert (maps.beliefs.shape[1], maps.fields.shape[1]) == (3, 2)


def test_predict_and_export_say_what_to_use(tmp_path):
    network = network_of(input_size=64).eval()
    image = torch.zeros(8, 8, 3, dtype=torch.uint8).numpy()
    for use in (
        lambda: predict(image, model=network),
        lambda: predict(image, model='openpose_coco'),
        lambda: export_network(network, tmp_path / 'a.onnx'),
    ):
        with pytest.raises(ValueError, match=r'cannot be .*several people.*propose_people'):
            use()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('record', ['fx', 'export'])
@pytest.mark.parametrize('kind', KINDS)
def test_recorded_networks_give_the_same_maps(kind, record):
    network = network_of(kind).eval()
    image = torch.rand(1, 3, 32, 40) - 0.5
    if record == 'fx':
        recorded = torch.fx.symbolic_trace(network)
    else:
        recorded = torch.export.export(network, (image,)).module()
    with torch.no_grad():
        expected, found = network(image), recorded(image)
    assert [type(stage) for stage in found] == [PartMaps] * 3
    for one, other in zip(flat(found), flat(expected), strict=True):
        torch.testing.assert_close(one, other)
