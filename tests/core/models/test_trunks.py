"""Trunks by themselves: what they give, their names, and their pools."""

import pytest
import torch
from cpm_testing.networks import center_pool

from cpm_plugin.core import FeatureTrunks
from cpm_plugin.core.models.settings import TrunkSettings
from cpm_plugin.core.models.trunks import FeatureTrunk, VggTrunk


def test_trunks_give_what_the_stages_need():
    image = torch.zeros(2, 3, 24, 16)
    one = FeatureTrunks(TrunkSettings(channels=2, kernel_size=3, shared_trunk=False))(image)
    two = FeatureTrunks(TrunkSettings(channels=2, kernel_size=3))(image)
    three = FeatureTrunks(TrunkSettings(channels=2, kernel_size=3, center_map_sigma=21.0))(image)
    assert [len(features) for features in (one, two, three)] == [1, 2, 3]
    assert [tuple(f.shape) for f in three] == [(2, 2, 3, 2), (2, 2, 3, 2), (2, 1, 3, 2)]


def test_center_map_without_the_trunk_that_takes_it():
    with pytest.raises(ValueError, match=r'center_map_sigma=9\.0 needs the shared trunk'):
        FeatureTrunks(TrunkSettings(shared_trunk=False, center_map_sigma=9.0))


def test_max_pools_are_caffes():
    """Windows start at pixel 0, without padding; the last one is clipped."""
    layer = FeatureTrunk(TrunkSettings(in_channels=1, channels=1, kernel_size=1))
    column = torch.tensor([0.0, 1.0, 2.0, 9.0, 4.0, 5.0])
    image = (column[:, None] + 10 * torch.arange(4.0)).expand(1, 1, 6, 4)
    # rows 0-2, 2-4, 4-5; columns 0-2, 2-3
    expected = torch.tensor([[[[22.0, 32.0], [29.0, 39.0], [25.0, 35.0]]]])
    for name in ('pool1', 'pool2', 'pool3'):
        torch.testing.assert_close(layer.get_submodule(name)(image), expected, rtol=0, atol=0)
    negative = layer.get_submodule('pool1')(torch.full((1, 1, 6, 4), -3.0))
    torch.testing.assert_close(negative, torch.full((1, 1, 3, 2), -3.0), rtol=0, atol=0)


@pytest.mark.parametrize('height, width', [(16, 24), (16, 17), (8, 105), (9, 25)])
def test_center_map_is_averaged_over_clipped_windows(height, width):
    """9x9 windows 8 pixels apart; the last of 16 pixels has 8 rows and divides by 8."""
    trunks = FeatureTrunks(TrunkSettings(channels=1, kernel_size=1, center_map_sigma=21.0))
    heat = torch.rand(2, 1, height, width, generator=torch.Generator().manual_seed(0))
    stage1, shared, pooled = trunks(torch.zeros(2, 3, height, width), heat)
    assert stage1.shape == shared.shape == (2, 1, height // 8, width // 8)
    expected = center_pool(heat, height // 8, width // 8)
    torch.testing.assert_close(pooled, expected, rtol=1e-6, atol=0)


def test_center_map_pool_by_hand():
    """Mean row of 0..8 is 4, of 8..15 is 11.5; columns 0..8, 8..16 and 16..23."""
    trunks = FeatureTrunks(TrunkSettings(channels=1, kernel_size=1, center_map_sigma=21.0))
    heat = (100 * torch.arange(16.0)[:, None] + torch.arange(24.0))[None, None]
    pooled = trunks(torch.zeros(1, 3, 16, 24), heat)[2]
    expected = torch.tensor([[[[404.0, 412.0, 419.5], [1154.0, 1162.0, 1169.5]]]])
    torch.testing.assert_close(pooled, expected, rtol=1e-6, atol=0)


def test_names_and_channels_of_the_vgg_trunk():
    """VGG-19's to conv4_2, then the authors' conv4_3_CPM to conv4_7_CPM."""
    trunk = VggTrunk(TrunkSettings(vgg_tail=(512, 512, 256, 256, 256, 256, 128)))
    widths = [3]
    expected = {}
    for group, channels in enumerate(
        [[64] * 2, [128] * 2, [256] * 4, [512, 512, 256, 256, 256, 256, 128]], start=1
    ):
        for number, width in enumerate(channels, start=1):
            prefix = f'layers.conv{group}_{number}.conv'
            expected[f'{prefix}.weight'] = (width, widths[-1], 3, 3)
            expected[f'{prefix}.bias'] = (width,)
            widths.append(width)
    assert {name: tuple(value.shape) for name, value in trunk.state_dict().items()} == expected
    order = [name for name, _ in trunk.layers.named_children()]
    assert [name for name in order if name.startswith('pool')] == ['pool1', 'pool2', 'pool3']
    for pool, before, after in (('pool1', 'conv1_2', 'conv2_1'), ('pool3', 'conv3_4', 'conv4_1')):
        place = order.index(pool)
        assert order[place - 1 : place + 2] == [before, pool, after]


@torch.no_grad()
def test_vgg_pools_are_caffes():
    """2x2 from pixel 0 on, the last one clipped: 105 -> 53 -> 27 -> 14 and 16 -> 8 -> 4 -> 2."""
    trunk = VggTrunk(TrunkSettings(vgg_tail=(2,), in_channels=1))
    sizes = []
    for number in (1, 2, 3):
        trunk.layers.get_submodule(f'pool{number}').register_forward_hook(
            lambda layer, seen, pooled: sizes.append(tuple(pooled.shape[2:]))
        )
    first, second = trunk(torch.zeros(1, 1, 105, 16))
    assert sizes == [(53, 8), (27, 4), (14, 2)]
    assert first is second and tuple(first.shape) == (1, 2, 14, 2)
    pixels = 10 * torch.arange(5.0)[:, None] - torch.arange(4.0)
    expected = [[10.0, 8.0], [30.0, 28.0], [40.0, 38.0]]  # rows 0-1, 2-3, 4; columns 0-1, 2-3
    for number in (1, 2, 3):
        pooled = trunk.layers.get_submodule(f'pool{number}')(pixels[None, None])
        assert pooled.tolist() == [[expected]]


def test_vgg_trunk_without_a_tail_is_refused():
    with pytest.raises(ValueError, match='vgg_tail is empty: give the channels of at least one'):
        VggTrunk(TrunkSettings(vgg_tail=()))
