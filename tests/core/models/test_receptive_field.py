"""Receptive fields by hand, and by the pixels that have a gradient."""

import pytest
import torch
from torch import nn

from cpm_plugin.core import create_model
from cpm_plugin.core.models import effective_field, receptive_field
from cpm_plugin.core.models.receptive_field import Field, trunk_fields

# channels do not matter; few are quick
FEW = dict(channels=2, reduced_channels=2, first_stage_channels=2, conv_method='direct')


def pixels(model):
    return [field.pixels for field in receptive_field(model)]


def with_pools_of_2(model):
    """The paper's figure 2, where the authors' files have 3x3 pools."""
    for trunk in (model.trunks.stage1_trunk, model.trunks.shared_trunk):
        for number in (1, 2, 3):
            setattr(trunk, f'pool{number}', nn.MaxPool2d(2, 2))
    return model


def test_the_figures_of_the_paper_and_of_the_released_network():
    model = create_model('cpm_6s', **FEW)
    # 9, pool 3: 11, 9 at stride 2: 27, pool: 31, 9 at stride 4: 63, pool: 71; then at stride 8
    assert trunk_fields(model.trunks)[0].size == 71
    # 5x5: 103, 9x9: 167; three 11x11 are 30 cells of 8 pixels more
    assert pixels(model) == [167, 407, 647, 887, 1127, 1367]
    assert [field.cells for field in receptive_field(model)] == [13, *[31] * 5]
    # 9, pool 2: 10, 26, 28, 60, 64, 96, 160
    assert pixels(with_pools_of_2(model))[:2] == [160, 400]


def test_small_models_by_hand():
    # 5, 7, 15, 19, 35, 43; 3x3: 59, 3x3: 75; three 7x7 are 18 cells of 8 pixels
    assert pixels(create_model('cpm_slim_3s', **FEW)) == [75, 219, 363]
    # stem 3 at stride 2; 3x3: 7. To stride 4: 11, 19; to 8: 27, 43, 59; to 16: 75, 107, 139, 171;
    # 203, 235, 267; to 32: 299, 363, 427; 491. One cell more by upsampling: 523. Two 3x3 at
    # stride 8: 555
    movenet = create_model('cpm_movenet_3s', **FEW)
    # 18 cells are 4.5 steps of 32 pixels, and so 5 for some of them; 36 cells are 9
    assert pixels(movenet) == [555, 555 + 5 * 32, 555 + 9 * 32]
    assert receptive_field(movenet)[0].cells == 5


def test_the_vgg_networks():
    # two 3x3: 5, pool 2: 6; at stride 2: 14, 16; four at stride 4: 32+16=48, 52; seven at 8: 164
    model = create_model('cpm_mpii_vgg', channels=2, first_stage_channels=2)
    assert trunk_fields(model.trunks)[0].size == 164
    # 1x1 convolutions; then five 7x7
    assert pixels(model)[:2] == [164, 164 + 30 * 8]


def linear(model):
    """The same windows without a choice: all weights are positive, and nothing is cut off."""
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.MaxPool2d):
                pool = nn.AvgPool2d(child.kernel_size, child.stride, child.padding, child.ceil_mode)
                setattr(module, name, pool)
            elif isinstance(child, nn.ReLU | nn.ReLU6 | nn.BatchNorm2d):
                setattr(module, name, nn.Identity())
            elif isinstance(child, nn.Conv2d):
                nn.init.constant_(child.weight, 1 / child.weight[0].numel())
    return model.double().eval()


@pytest.mark.parametrize(
    ('name', 'changes', 'width'),
    [
        ('cpm_slim_3s', dict(), 448),
        ('cpm_slim_3s', dict(pool_padding=1, num_stages=2, reduced_channels=None), 320),
        ('cpm_movenet_3s', dict(num_stages=2), 896),
    ],
)
def test_it_is_where_there_is_a_gradient(name, changes, width):
    model = linear(create_model(name, **{**FEW, **changes}))
    image = torch.ones(1, 3, 32, width, dtype=torch.float64, requires_grad=True)
    beliefs = model(image)
    middle = beliefs[0].shape[3] // 2
    for stage, (maps, field) in enumerate(zip(beliefs, receptive_field(model))):
        sizes = []
        for cell in range(middle, middle + 4):  # all phases of the upsampling
            (slope,) = torch.autograd.grad(maps[0, 0, 2, cell], image, retain_graph=True)
            touched = slope[0].sum(dim=(0, 1)).nonzero()
            sizes.append(int(touched.max() - touched.min()) + 1)
        assert max(sizes) == field.pixels, stage


def test_what_matters_is_nearer_than_what_could():
    model = create_model('cpm_slim_3s').eval()
    sizes = effective_field(model, torch.rand(2, 3, 96, 96) - 0.5)
    assert len(sizes) == 3
    assert 8 <= sizes[0] <= 75 + 1  # the middle of a cell lies between pixels
    assert sizes[0] < sizes[1] <= 2 * 96
    nn.init.zeros_(model.stages.first.beliefs.weight)
    with pytest.raises(ValueError, match='stage 1 has no gradient'):
        effective_field(model, torch.rand(1, 3, 32, 32))


def test_maps_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r'strides \[1, 2\]'):
        Field().joined(Field().through(2, 2))
    with pytest.raises(ValueError, match='a layer of stride 2 after an upsampling'):
        Field(8).upsampled(2).through(3, 2)
    model = create_model('cpm_slim_3s', **FEW)
    model.stages.first.reduce = nn.Softmax(1)
    with pytest.raises(ValueError, match='of Softmax is not known'):
        receptive_field(model)
    model.stages.first.reduce = nn.MaxPool2d((1, 3))
    with pytest.raises(ValueError, match='must be square'):
        receptive_field(model)
    with pytest.raises(ValueError, match='Identity is no trunk whose layers are known'):
        trunk_fields(nn.Identity())
