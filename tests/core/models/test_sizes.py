"""The published sizes and receptive fields, and images of any size."""

import pytest
import torch
from cpm_testing.networks import NARROW, VGG_STAGES

from cpm_plugin.core import (
    build_network,
)

ALL_KERNELS_OF_THE_PAPER = {
    # two trunks, three 9x9 convolutions each
    'trunks': 2 * (81 * 3 * 128 + 128 + 2 * (81 * 128 * 128 + 128)),
    # 5x5-32, 9x9-512, 1x1-512, 1x1-15
    'stage 1': (25 * 128 * 32 + 32) + (81 * 32 * 512 + 512) + (512 * 512 + 512) + (512 * 15 + 15),
    # 5x5-32, on 32 + 15 + 1 channels 11x11-128, 2 x 11x11-128, 1x1-128, 1x1-15
    'stages 2-6': 5
    * (
        (25 * 128 * 32 + 32)
        + (121 * 48 * 128 + 128)
        + 2 * (121 * 128 * 128 + 128)
        + (128 * 128 + 128)
        + (128 * 15 + 15)
    ),
}


def test_default_is_the_authors_lsp_network():
    """Without memory or arithmetic: on the meta device."""
    with torch.device('meta'):
        model = build_network()
        outputs = model(torch.zeros(2, 3, 368, 376))
    assert sum(p.numel() for p in model.parameters()) == 31_219_866
    assert sum(ALL_KERNELS_OF_THE_PAPER.values()) == 31_219_866
    trunks = sum(p.numel() for p in model.trunks.parameters())
    first = sum(p.numel() for p in model.stages.first.parameters())
    assert (trunks, first) == tuple(ALL_KERNELS_OF_THE_PAPER.values())[:2]
    assert [tuple(output.shape) for output in outputs] == [(2, 15, 46, 47)] * 6


@pytest.mark.parametrize('height, width', [(97, 104), (98, 96), (96, 103), (130, 12), (20, 105)])
@torch.no_grad()
def test_any_image_size_without_center_map(height, width):
    """Not only multiples of the stride: one cell for every 8 whole pixels."""
    model = build_network(**{**NARROW, 'channels': 2, 'center_map_sigma': None})
    outputs = model(torch.zeros(1, 3, height, width))
    assert [output.shape[2:] for output in outputs] == [(height // 8, width // 8)] * 3


def test_too_small_a_image_is_named():
    model = build_network(**{**NARROW, 'channels': 2, 'center_map_sigma': None})
    assert model(torch.zeros(1, 3, 8, 9))[-1].shape[2:] == (1, 1)
    with pytest.raises(ValueError, match='image of 40 x 7 pixels: sides must have at least 8'):
        model(torch.zeros(1, 3, 40, 7))


# VGG's 2x2 pools by the ceil rule: 97 -> 49 -> 25 -> 13, the center map's 97 -> 12
VGG = {**VGG_STAGES, 'vgg_tail': (3, 2)}


@pytest.mark.parametrize(
    'options, good, bad, rule',
    [
        ({}, (96, 97), (90, 95), 'side % 8 of 0 or 1'),
        ({'pool_padding': 1}, (96, 90, 95), (97, 105), 'side % 8 other than 1'),
        (VGG, (96, 90, 95), (97, 105), 'side % 8 other than 1'),
    ],
    ids=['paper', 'padded', 'vgg'],
)
@torch.no_grad()
def test_sizes_that_caffe_accepts_with_a_center_map(options, good, bad, rule):
    """Elsewhere Caffe's two pooling rules disagree, and its Concat layer refuses."""
    model = build_network(**{**NARROW, 'channels': 2, **options})
    for side in good:
        cells = -(-side // 8) if options else side // 8
        for height, width in ((side, 32), (32, side)):
            expected = (cells, 4) if width == 32 else (4, cells)
            assert model(torch.zeros(1, 3, height, width))[-1].shape[2:] == expected
    for side in bad:
        for height, width in ((side, 32), (32, side)):
            with pytest.raises(ValueError, match=f'{height} x {width} pixels.*{rule}'):
                model(torch.zeros(1, 3, height, width))


def test_stage_1_sees_167_pixels_and_stage_2_sees_407():
    """The paper says 160 for stage 1. Found by lighting columns under positive weights.

    Cell g of the trunk is the middle of the 15 pixels from 8 g on, so it is 8 g + 7.
    """
    model = build_network(
        num_keypoints=1, num_stages=2, background=False, center_map_sigma=None, in_channels=1,
        channels=1, reduced_channels=1, first_stage_channels=1,
    )  # fmt: skip
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.fill_(0 if name.endswith('bias') else 1 / parameter[0].numel())
        cell, half, width = 15, 83, 256
        first, last = 8 * cell + 7 - half, 8 * cell + 7 + half
        lit = torch.eye(width)[:, None, None].expand(-1, 1, 8, -1)  # image p: column p is 1
        seen = model(lit)[0][:, 0, 0, cell] != 0
        assert seen.nonzero().flatten().tolist() == list(range(first, last + 1))
        assert last - first + 1 == 167

        cell, half, width = 26, 203, 440
        first, last = 8 * cell + 7 - half, 8 * cell + 7 + half
        lit = torch.zeros(4, 1, 8, width)
        lit[0, ..., first] = 1
        lit[1, ..., last] = 1
        lit[2] = 1
        lit[2, ..., first : last + 1] = 0
        seen = model(lit)[1][:, 0, 0, cell] != 0
        assert seen.tolist() == [True, True, False, False]
        assert last - first + 1 == 407
