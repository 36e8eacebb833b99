"""A model that is exported or traced symbolically takes other batches, optimized or not."""

import pytest
import torch

from cpm_plugin.core import create_model, optimize_for_inference, set_conv_method


@pytest.fixture(scope='module', params=['cpm_slim_3s', 'cpm_movenet_3s'])
def model(request):
    return create_model(request.param, pretrained=True).eval()


def assert_equal_beliefs(found, expected):
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5 * float(other.abs().max()))


def test_an_optimized_model_that_is_exported_takes_other_batches():
    model = optimize_for_inference(create_model('cpm_slim_3s', pretrained=True))
    images = torch.rand(5, 3, 64, 64) - 0.5
    exported = torch.export.export(
        model, (images[:2],), dynamic_shapes=({0: torch.export.Dim('batch')},)
    ).module()
    with torch.no_grad():
        for count in (1, 5):
            assert_equal_beliefs(exported(images[:count]), model(images[:count]))


@pytest.mark.parametrize('optimized', [False, True])
@pytest.mark.parametrize('method', ['auto', 'direct'])
def test_a_symbolic_trace_takes_other_sizes_and_a_center_map(model, optimized, method):
    model = optimize_for_inference(model) if optimized else model
    set_conv_method(model, method)
    traced = torch.fx.symbolic_trace(model)
    with torch.no_grad():
        for shape in ((1, 3, 64, 64), (2, 3, 48, 80)):
            image = torch.rand(shape) - 0.5
            assert_equal_beliefs(traced(image), model(image))
        center = 10 * torch.rand(2, 1, 48, 80)  # what a model makes of a real one may be little
        found = traced(image, center)
        assert_equal_beliefs(found, model(image, center))
        assert float((found[-1] - model(image)[-1]).abs().max()) > 1e-3  # it has an effect
