"""The cache of CUDA graphs, with recordings of a CPU in place of a GPU's."""

import copy
import pickle
import threading
import weakref
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.fx.experimental.proxy_tensor import make_fx

from cpm_plugin.core import LargeKernelConv2d
from cpm_plugin.core.models import cuda_graphs
from cpm_plugin.core.models.cuda_graphs import GraphCache, Recording, map_tensors


class Scale(nn.Module):
    """Doubles an image, and adds the other if there is one."""

    def __init__(self):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(2.0), requires_grad=False)
        self.calls = 0

    def forward(self, image, other=None):
        self.calls += 1
        return [image * self.factor, other]


@pytest.fixture
def recorded(monkeypatch):
    """Shapes that were recorded. A replay computes the function on the recording's inputs."""
    shapes = []

    def record(function, inputs):
        shapes.append(tuple(inputs[0].shape))
        own = [None if value is None else value.clone() for value in inputs]
        outputs = function(*own)

        def replay():
            for place, value in zip(outputs, function(*own)):
                if value is not None:
                    place.copy_(value)

        return Recording(own, outputs, replay)

    monkeypatch.setattr(cuda_graphs, '_DEVICES', ('cpu',))
    monkeypatch.setattr(cuda_graphs, 'record', record)
    return shapes


@pytest.fixture
def cache():
    return GraphCache(Scale().eval(), limit=2)


def run(cache, value, size=1):
    return cache.run(cache.module, (torch.full((size,), float(value)), None))[0].tolist()


def test_a_shape_is_recorded_when_it_comes_again_and_gives_what_its_inputs_give(recorded, cache):
    assert run(cache, 1) == [2.0] and recorded == []
    assert cache.reason == 'the first call with inputs of these shapes'
    assert run(cache, 2) == [4.0] and recorded == [(1,)] and cache.reason is None
    assert run(cache, 3) == [6.0] and recorded == [(1,)]


def test_results_are_the_callers_own(recorded, cache):
    image = torch.ones(1)
    cache.run(cache.module, (image, None))
    first, _ = cache.run(cache.module, (image, None))
    assert run(cache, 5) == [10.0] and first.tolist() == [2.0]
    first += 1
    assert run(cache, 5) == [10.0] and image.tolist() == [1.0]


def test_the_shapes_of_the_last_calls_are_kept(recorded, cache):
    for size in (1, 1, 2, 2, 1, 3, 3, 1, 2):
        run(cache, 1, size)
    assert recorded == [(1,), (2,), (3,), (2,)]  # 2 made room for 3, since 1 came after it


def test_images_of_ever_new_sizes_are_not_recorded(recorded, cache):
    for size in [*range(1, 70), 1]:
        run(cache, 1, size)
    assert recorded == []  # 1 is forgotten
    run(cache, 1, 69)
    assert recorded == [(69,)]


def test_inputs_that_are_not_given_make_another_recording(recorded, cache):
    image = torch.ones(1)
    for other in (None, None, image, image, None):
        found = cache.run(cache.module, (image, other))
    assert recorded == [(1,), (1,)] and found[1] is None
    image = torch.ones(1, dtype=torch.float64)
    cache.run(cache.module, (image, None))
    assert cache.reason.startswith('the first call')


@pytest.mark.parametrize('change', ['moved', 'replaced', 'written', 'loaded'])
def test_weights_that_change_drop_the_recordings(recorded, cache, change):
    run(cache, 1)
    run(cache, 1)
    assert run(cache, 1) == [2.0] and recorded == [(1,)]
    if change == 'moved':
        cache.module.factor.data = torch.tensor(5.0)
    elif change == 'written':
        cache.module.factor.fill_(5)
    elif change == 'loaded':
        cache.module.load_state_dict({'factor': torch.tensor(5.0)})
    else:
        cache.module.factor = nn.Parameter(torch.tensor(5.0), requires_grad=False)
    assert run(cache, 1) == [5.0] and cache.reason is not None
    assert run(cache, 1) == [5.0] and recorded == [(1,), (1,)]


def traced(function, inputs):
    """Record as CUDA does: operators on tensors, and nothing of the Python around them."""
    own = [value.clone() for value in inputs]
    function(*own)  # transformed kernels are made before a recording
    graph = make_fx(lambda *values: function(*values))(*own)
    outputs = graph(*own)
    return Recording(own, outputs, lambda: outputs.copy_(graph(*own)))


def test_transformed_kernels_live_as_long_as_their_recording_and_follow_the_weights(
    monkeypatch, recorded
):
    monkeypatch.setattr(cuda_graphs, 'record', traced)
    layer = LargeKernelConv2d(16, 16, 7, padding=3, method='fourier').eval().requires_grad_(False)
    layer.frozen = True
    cache, image = GraphCache(layer), torch.rand(1, 16, 20, 20)

    def error():
        expected = nn.functional.conv2d(image, layer.weight, layer.bias, padding=3)
        return float((cache.run(layer, (image,)) - expected).abs().max())

    assert error() < 1e-5 and error() < 1e-5 and cache.reason is None
    kept = weakref.ref(layer._kept)
    layer.eval()  # drops what it keeps
    assert layer._kept is None and kept() is not None
    assert error() < 1e-5 and cache.reason is None
    layer.weight.mul_(2)
    assert error() < 1e-5 and kept() is None  # not those of the old weights
    assert error() < 1e-5 and cache.reason is None


def test_a_part_that_is_replaced_drops_the_recordings(recorded):
    cache = GraphCache(nn.Sequential(nn.Linear(1, 1)).eval().requires_grad_(False))
    image = torch.ones(1, 1)
    for _ in range(2):
        cache.run(cache.module, (image,))
    assert cache.reason is None
    cache.module[0] = nn.Linear(1, 1).requires_grad_(False)
    found = cache.run(cache.module, (image,))
    assert cache.reason is not None and torch.equal(found, cache.module(image))


class Streams:
    """In place of ``torch.cuda``: streams that are only noted, and no graphs."""

    def __init__(self, monkeypatch):
        self.current, self.recorded = [self.Stream()], []
        for name in ('device', 'current_stream', 'Stream', 'stream', 'CUDAGraph', 'graph'):
            monkeypatch.setattr(torch.cuda, name, getattr(self, name))

    def device(self, device):
        return nullcontext()

    def current_stream(self):
        return self.current[-1]

    def Stream(self):
        return SimpleNamespace(wait_stream=lambda other: None)

    def CUDAGraph(self):
        return SimpleNamespace(replay=len)

    @contextmanager
    def stream(self, stream):
        depth = len(self.current)
        self.current.append(stream)
        try:
            yield
        finally:
            del self.current[depth:]

    @contextmanager
    def graph(self, graph, *, stream, capture_error_mode):
        self.recorded.append(stream)
        self.current.append(stream)
        yield  # after an error PyTorch does not leave the stream
        self.current.pop()


@pytest.mark.parametrize('fails', [False, True])
def test_a_recording_is_made_in_a_stream_of_its_gpu_which_is_left_again(monkeypatch, fails):
    streams, seen = Streams(monkeypatch), []
    (now,) = streams.current

    def function(image):
        seen.append(streams.current_stream())
        if fails and len(seen) == 4:
            raise RuntimeError('it waits for the GPU')
        return image + 1

    with pytest.raises(RuntimeError, match='waits') if fails else nullcontext():
        recording = cuda_graphs.record(function, [torch.ones(1)])
        assert recording.outputs.tolist() == [2.0]
    # Three runs before, and the recording, in the stream that was made for this GPU.
    assert seen == [streams.recorded[0]] * 4 and now not in seen
    assert streams.current == [now]


def test_a_recording_that_fails_warns_once_and_says_why(monkeypatch, recorded, cache):
    def fail(function, inputs):
        raise RuntimeError('operation not permitted\nwhen stream is capturing')

    monkeypatch.setattr(cuda_graphs, 'record', fail)
    run(cache, 1)
    with pytest.warns(UserWarning, match=r'no CUDA graph for inputs \(1,\).*not permitted'):
        assert run(cache, 2) == [4.0]
    assert run(cache, 3) == [6.0]  # a warning would be an error
    assert cache.reason == 'recording failed: operation not permitted'


def test_what_cannot_be_recorded_says_why(recorded, cache):
    image, learned = torch.ones(1), torch.ones(1, requires_grad=True)

    def reason(value, *others):
        cache.run(cache.module, (value, *others))
        return cache.reason

    assert reason(learned, None) == 'gradients are asked for'
    with torch.autocast('cpu', torch.bfloat16):
        assert reason(image, None) == 'autocast is enabled'
    assert reason(image, torch.ones(1, device='meta')) == 'inputs on cpu, meta: it takes one GPU'
    cache.module.train()
    assert reason(image, None) == 'the model is in training mode'
    cache.module.eval()
    traced = torch.jit.trace(
        lambda x: cache.run(cache.module, (x, None))[0], image, check_trace=False
    )
    assert traced(3 * image).tolist() == [6.0] and 'traced' in cache.reason
    assert recorded == []


def test_without_a_gpu_all_is_as_always(cache):
    assert [run(cache, value) for value in (1, 2, 3)] == [[2.0], [4.0], [6.0]]
    assert cache.reason == 'inputs on cpu: it takes one GPU' and cache.module.calls == 3


@pytest.mark.parametrize('copied', [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_copies_have_no_recordings_and_modules_of_their_own(recorded, cache, copied):
    run(cache, 1)
    run(cache, 1)
    other = copied(cache)
    assert other.module is not cache.module and other.limit == 2
    other.module.factor.fill_(7)
    assert [run(other, 1), run(other, 1), run(cache, 1)] == [[7.0], [7.0], [2.0]]
    assert recorded == [(1,), (1,)]


def test_threads_take_turns(recorded, cache):
    run(cache, 0)
    found = {}

    def many(value):
        found[value] = {tuple(run(cache, value, 1)) for _ in range(200)}

    threads = [threading.Thread(target=many, args=(value,)) for value in (1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {value: {(2.0 * value,)} for value in (1, 2, 3)}


def test_mapped_tensors_keep_their_lists_and_named_tuples():
    recording = Recording([torch.ones(1), None], (torch.ones(2),), len)
    found = map_tensors(lambda value: value + 1, recording)
    assert type(found) is Recording and found.replay is len
    assert found.inputs[0].tolist() == [2.0] and found.inputs[1] is None
    assert type(found.outputs) is tuple and found.outputs[0].tolist() == [2.0, 2.0]
