"""Arguments and inputs that make no network are refused by name."""

import pytest
import torch
from cpm_testing.networks import (
    NARROW,
)

from cpm_plugin.core import (
    build_network,
)


@pytest.mark.parametrize(
    'option',
    ['trunk_kernel_size', 'reduce_kernel_size', 'first_stage_kernel_size', 'refine_kernel_size'],
)
def test_even_kernel_is_named(option):
    name = option.removeprefix('trunk_')
    with pytest.raises(ValueError, match=f'^{name}=4 must be odd'):
        build_network(**{**NARROW, option: 4})


@pytest.mark.parametrize('option', [{'num_stages': 0}, {'num_stages': -1}, {'num_keypoints': 0}])
def test_at_least_one_stage_and_joint(option):
    name, value = next(iter(option.items()))
    with pytest.raises(ValueError, match=f'{name}={value}.* at least 1'):
        build_network(**{**NARROW, **option})


@pytest.mark.parametrize('shape', [(1, 1, 32, 32), (3, 32, 32), (1, 4, 32, 32)])
def test_image_of_another_shape_is_named(shape):
    model = build_network(**NARROW)
    with pytest.raises(ValueError, match=r'takes \(N, 3, H, W\)') as error:
        model(torch.zeros(shape))
    assert str(shape) in str(error.value)


@pytest.mark.parametrize('shape', [(2, 32, 40), (1, 1, 32, 40), (2, 1, 40, 32), (2, 1, 4, 5)])
def test_center_map_of_another_shape_is_named(shape):
    model = build_network(**NARROW)
    with pytest.raises(ValueError, match='one channel as large as the image') as error:
        model(torch.zeros(2, 3, 32, 40), torch.zeros(shape))
    assert str(shape) in str(error.value)
    assert '(2, 1, 32, 40)' in str(error.value)


def test_center_map_for_a_network_without():
    model = build_network(**{**NARROW, 'center_map_sigma': None})
    with pytest.raises(ValueError, match='no center map; build it with center_map_sigma'):
        model(torch.zeros(1, 3, 32, 32), torch.zeros(1, 1, 32, 32))


def test_center_map_for_a_network_of_one_stage_blames_the_stage():
    """Such a network has center_map_sigma=21 by default: that is not what is wrong."""
    model = build_network(**{**NARROW, 'num_stages': 1})
    with pytest.raises(ValueError, match='stage'):
        model(torch.zeros(1, 3, 32, 32), torch.zeros(1, 1, 32, 32))


@pytest.mark.parametrize(
    'arguments',
    [dict(channels=0), dict(num_stages=2.0), dict(num_stages='3'), dict(num_keypoints=0)],
)
def test_numbers_that_make_no_network_are_named(arguments):
    (value,) = arguments.values()
    with pytest.raises(ValueError, match=str(value)):
        build_network(**arguments)


@pytest.mark.parametrize('sigma', [0.0, -1.0])
def test_center_map_sigma_must_be_positive(sigma):
    with pytest.raises(ValueError, match=f'center_map_sigma={sigma} must be positive'):
        build_network(center_map_sigma=sigma)
