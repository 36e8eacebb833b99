"""optimize_for_inference as for a GPU: half precision, device, CUDA graphs; on the CPU."""

import copy
import pickle

import pytest
import torch
from cpm_testing.networks import random_norms
from torch import nn

from cpm_plugin.core import build_affinity_network, build_network, optimize_for_inference
from cpm_plugin.core.models import cuda_graphs
from cpm_plugin.core.models.cuda_graphs import Recording, map_tensors

SMALL = dict(num_keypoints=3, channels=8, first_stage_channels=8, reduced_channels=4)
# Of the largest value. One rounding is 2^-9 and 2^-12; about ten layers follow each other.
ROUNDING = {torch.bfloat16: 3e-2, torch.float16: 4e-3}


def made(model):
    random_norms(model.eval())
    for name, layer in model.named_modules():
        if name.endswith(('beliefs', 'output')) and isinstance(layer, nn.Conv2d):
            nn.init.normal_(layer.weight, std=0.3)
    return model


@pytest.fixture
def model():
    return made(build_network(num_stages=3, norm_layer=nn.BatchNorm2d, **SMALL))


@pytest.fixture
def image():
    return torch.rand(2, 3, 40, 56) - 0.5


def close(found, expected, tolerance):
    for one, other in zip(found, expected, strict=True):
        assert other.std() > 0.01 and one.dtype == other.dtype == torch.float32
        torch.testing.assert_close(one, other, rtol=0, atol=tolerance * float(other.abs().max()))


@pytest.mark.parametrize('dtype', ROUNDING, ids=str)
def test_maps_of_half_precision_are_those_of_float32_to_rounding(model, image, dtype):
    fast = optimize_for_inference(model, dtype=dtype)
    assert {weight.dtype for weight in fast.parameters()} == {dtype}
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    assert all(
        weight.is_contiguous(memory_format=torch.channels_last)
        for weight in fast.parameters()
        if weight.ndim == 4
    )
    seen = []
    fast.stages.first.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].dtype))
    with torch.no_grad():
        close(fast(image), model(image), ROUNDING[dtype])
        close(fast(image.to(dtype)), model(image), ROUNDING[dtype])
    assert seen == [dtype, dtype]


def test_weights_are_folded_before_they_are_rounded(model):
    """So that each is rounded once."""
    exact, half = optimize_for_inference(model), optimize_for_inference(model, dtype=torch.float16)
    for one, other in zip(half.parameters(), exact.parameters(), strict=True):
        assert torch.equal(one, other.half())


def test_center_maps_by_name_and_by_place(model, image):
    fast = optimize_for_inference(model, dtype=torch.float16)
    center = torch.rand(2, 1, 40, 56)
    with torch.no_grad():
        expected = model(image, center)
        close(fast(image, center), expected, ROUNDING[torch.float16])
        features = fast.trunks(image=image, center_map=center)
        close(fast.stages(*features), expected, ROUNDING[torch.float16])


def test_fields_and_belief_maps_of_several_people(image):
    model = made(
        build_affinity_network(
            num_keypoints=3, num_limbs=2, num_stages=2, channels=8, vgg_tail=(8,),
        )
    )  # fmt: skip
    fast = optimize_for_inference(model, dtype=torch.float16, cuda_graphs=True)
    with torch.no_grad():
        for one, other in zip(fast(image), model(image), strict=True):
            assert type(one) is type(other)
            close(one, other, ROUNDING[torch.float16])


def test_a_stock_backbone_stays_as_it_is(model):
    holder = nn.Sequential(nn.Conv2d(3, 3, 1), model)
    fast = optimize_for_inference(holder, dtype=torch.float16)
    assert fast[0].weight.dtype == torch.float32
    assert fast[1].stages.first.beliefs.weight.dtype == torch.float16


def test_a_model_that_is_optimized_can_be_made_half(model, image):
    once = optimize_for_inference(model)
    twice = optimize_for_inference(optimize_for_inference(once, dtype=torch.float16))
    with torch.no_grad():
        close(twice(image), once(image), ROUNDING[torch.float16])


HALF, GRAPHS = {'dtype': torch.float16}, {'cuda_graphs': True}


@pytest.mark.parametrize(('first', 'then'), [(HALF, GRAPHS), (GRAPHS, HALF)])
def test_what_an_earlier_call_asked_for_stays(model, image, first, then):
    fast = optimize_for_inference(optimize_for_inference(model, **first), **then)
    for part in (fast.trunks, fast.stages):
        assert part.forward.dtype == torch.float16 and part.forward.graphs is not None
    with torch.no_grad():
        close(fast(image), model(image), ROUNDING[torch.float16])


def test_the_device_is_that_of_the_argument(model):
    fast = optimize_for_inference(model, device='meta', dtype=torch.bfloat16, cuda_graphs=True)
    assert {weight.device.type for weight in fast.parameters()} == {'meta'}
    maps = fast(torch.rand(2, 3, 40, 56, device='meta'))
    assert maps[-1].shape == (2, 4, 5, 7) and maps[-1].dtype == torch.float32
    assert next(model.parameters()).device.type == 'cpu'


@pytest.mark.parametrize('copied', [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_copies_compute_with_their_own_weights(model, image, copied):
    fast = optimize_for_inference(model, dtype=torch.float16, cuda_graphs=True)
    other = copied(fast)
    with torch.no_grad():
        close(other(image), fast(image), 0)
        for weight in other.parameters():
            weight.zero_()
        assert float(other(image)[-1].abs().max()) == 0 < float(fast(image)[-1].abs().max())


def test_graphs_of_trunks_and_stages_give_what_the_network_gives(monkeypatch, model, image):
    recorded = []

    def record(function, inputs):
        recorded.append([tuple(value.shape) for value in inputs if value is not None])
        own = [None if value is None else value.clone() for value in inputs]
        outputs = map_tensors(torch.clone, function(*own))

        def replay():
            for place, value in zip(outputs, function(*own)):
                place.copy_(value)

        return Recording(own, outputs, replay)

    monkeypatch.setattr(cuda_graphs, '_DEVICES', ('cpu',))
    monkeypatch.setattr(cuda_graphs, 'record', record)
    fast = optimize_for_inference(model, cuda_graphs=True)
    with torch.no_grad():
        for _ in range(3):
            other = torch.rand_like(image)
            close(fast(other), model(other), 1e-5)
    features = (2, 8, 5, 7)
    assert recorded == [[(2, 3, 40, 56)], [features, features, (2, 1, 5, 7)]]


def test_it_is_traced_and_compiled_without_graphs(model, image):
    fast = optimize_for_inference(model, dtype=torch.float16, cuda_graphs=True)
    with torch.no_grad():
        expected = fast(image)
        traced = torch.jit.trace(lambda x: tuple(fast(x)), image, check_trace=False)
        close(traced(image), expected, 1e-3)
        compiled = torch.compile(fast.trunks, backend='eager', fullgraph=True)
        for one, other in zip(compiled(image), fast.trunks(image), strict=True):
            assert torch.equal(one, other)


@pytest.mark.parametrize('dtype', [torch.float32, torch.int8, 'float16'])
def test_other_types_are_refused(model, dtype):
    with pytest.raises(ValueError, match=r'must be torch\.float16, torch\.bfloat16, or None'):
        optimize_for_inference(model, dtype=dtype)
