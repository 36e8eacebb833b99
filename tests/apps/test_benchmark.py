"""What the benchmark counts and compares. Times are not tested; tests/tools runs the program."""

import pytest
import torch
from torch import nn

from cpm_plugin.apps import benchmark


class Tiny(nn.Module):
    """Two stages: a convolution, and its output halved."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Conv2d(3, 4, 3, padding=1)
        self.head = lambda maps: [maps, maps / 2]


def test_operations_are_those_of_a_convolution_and_of_its_backward_pass():
    forward = 2 * 2 * (5 * 7) * (3 * 3) * 3 * 4  # two images; a multiplication and an addition
    for task, times in (('forward', 1), ('train', 2)):  # no gradient of the image is needed
        found = benchmark.gigaflops(Tiny(), (2, 3, 5, 7), task)
        assert found == pytest.approx(times * forward / 1e9, rel=1e-12)


def test_difference_is_the_largest_of_the_stages_in_units_of_a_stage():
    stock, ours = Tiny(), Tiny()
    ours.load_state_dict(stock.state_dict())
    ours.head = lambda maps: [maps, maps / 2 + 0.25 * maps.abs().max()]
    image = torch.rand(1, 3, 6, 6)
    assert benchmark.difference(stock, stock, image, torch.float32) == 0
    found = benchmark.difference(ours, stock, image, torch.float32)
    assert found == pytest.approx(0.5, rel=1e-4)


def test_images_are_always_the_same():
    one, other = (benchmark.random_image(2, '5x7', 'cpu') for _ in range(2))
    assert one.shape == (2, 3, 5, 7) and torch.equal(one, other)


def test_a_training_step_changes_the_weights_and_a_forward_pass_does_not():
    model, image = Tiny(), torch.rand(1, 3, 6, 6)
    before = model.backbone.weight.clone()
    found = benchmark.runner(model, image, 'forward', torch.float32)()
    assert len(found) == 2 and torch.equal(found[1], found[0] / 2)
    assert torch.equal(model.backbone.weight, before)
    benchmark.runner(model, image, 'train', torch.float32)()
    assert not torch.equal(model.backbone.weight, before)
