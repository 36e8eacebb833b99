"""CUDA graphs of a part of a network, one for each shape of its inputs.

A graph is a recording of all kernels of a forward pass. Its replay costs the CPU one call instead
of hundreds, which matters for small batches.
"""

from __future__ import annotations

import threading
import warnings
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..conv.layer import kept_kernels
from ..conv.modes import is_autocast, is_recorded, is_transformed

# Kinds of devices that can record; tests take others.
_DEVICES = ('cuda',)
# Shapes that are remembered as seen once, which costs no memory of a GPU.
_MOST_SEEN = 64
# Runs before a recording, in which libraries choose their algorithms and request their memory. The
# number of PyTorch's documentation.
_WARM_UPS = 3


class Recording(NamedTuple):
    """A recorded forward pass, whose inputs and outputs stay at one place in memory.

    Attributes:
        inputs: Inputs, into which new values are copied.
        outputs: What the forward pass returned; a replay writes new values there.
        replay: Function that runs the recording.
        held: What the kernels read beside inputs and weights; it must live as long.
    """

    inputs: list[Tensor | None]
    outputs: Any
    replay: Callable[[], None]
    held: Any = None


def record(function: Callable[..., Any], inputs: Sequence[Tensor | None]) -> Recording:
    """Record a function as a CUDA graph.

    Args:
        function: Function of tensors that does not wait for the GPU.
        inputs: Inputs on a GPU, or None for those that are not given.

    Returns:
        The recording; it has inputs of its own.
    """
    with torch.inference_mode(False):  # or they could not be written to outside of that mode
        own = [None if value is None else torch.empty_like(value) for value in inputs]
    for mine, value in zip(own, inputs):
        if mine is not None and value is not None:
            mine.copy_(value)
    device = next(value.device for value in inputs if value is not None)
    with torch.no_grad(), torch.cuda.device(device):
        now = torch.cuda.current_stream()
        aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        aside.wait_stream(now)
        with torch.cuda.stream(aside):
            for _ in range(_WARM_UPS):
                function(*own)
        now.wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        # PyTorch's own stream for recordings belongs to the GPU of the first recording. On another
        # GPU the graph would be empty. And after an error, PyTorch does not leave the stream.
        with (
            torch.cuda.stream(now),
            torch.cuda.graph(graph, stream=aside, capture_error_mode='thread_local'),
        ):
            outputs = function(*own)
    return Recording(own, outputs, graph.replay)


class GraphCache:
    """Runs a module, by recordings where it can.

    A shape is recorded when it comes for the second time, so that images of ever new sizes cost
    nothing. The recordings of the last ``limit`` shapes are kept, each with the memory of a forward
    pass. They are dropped when a weight or a part of the module is replaced, or a weight moves or
    is written: kernels that were transformed for the convolution would be those of old weights.
    Writing through ``.data`` is not seen.

    Where nothing can be recorded the module runs as always, and ``reason`` says why.

    Args:
        module: Module in evaluation mode.
        limit: Largest number of recordings that are kept.

    Attributes:
        reason: Why the last call was without a recording; None if it was with one.
    """

    def __init__(self, module: nn.Module, limit: int = 4) -> None:
        self.module = module
        self.limit = limit
        self._clear()

    def _clear(self) -> None:
        self.reason: str | None = None
        self._kept: OrderedDict[Any, Recording] = OrderedDict()
        self._seen: OrderedDict[Any, None] = OrderedDict()
        self._failed: dict[Any, str] = {}
        self._parts: list[tuple[dict[str, Any], str, Any, Any]] = []
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for copies and pickles, without recordings."""
        return {'module': self.module, 'limit': self.limit}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def run(self, function: Callable[..., Any], inputs: Sequence[Tensor | None]) -> Any:
        """Run a function of the module.

        Args:
            function: Forward pass of the module, always the same one.
            inputs: Its inputs.

        Returns:
            What the function returns; its tensors are the caller's own.
        """
        self.reason = self._obstacle(inputs)
        if self.reason is not None:
            return function(*inputs)
        with self._lock:  # two threads must not write into the same inputs
            recording = self._recording(function, inputs)
            if recording is None:
                return function(*inputs)
            for own, value in zip(recording.inputs, inputs):
                if own is not None and value is not None:
                    own.copy_(value)
            recording.replay()
            return map_tensors(torch.clone, recording.outputs)

    def _obstacle(self, inputs: Sequence[Tensor | None]) -> str | None:
        """Return why a call cannot be recorded, or None."""
        given = [value for value in inputs if value is not None]
        if any(is_recorded(value) for value in given) or is_transformed():
            return 'the model is traced, compiled, exported or transformed'
        devices = {value.device for value in given}
        if len(devices) != 1 or (kind := given[0].device.type) not in _DEVICES:
            return f'inputs on {", ".join(sorted(map(str, devices)))}: it takes one GPU'
        if self.module.training:
            return 'the model is in training mode'
        if torch.is_grad_enabled() and any(value.requires_grad for value in given):
            return 'gradients are asked for'
        if is_autocast(kind):
            return 'autocast is enabled'
        if kind == 'cuda' and torch.cuda.is_current_stream_capturing():
            return 'it is part of a recording already'
        return None

    def _recording(
        self, function: Callable[..., Any], inputs: Sequence[Tensor | None]
    ) -> Recording | None:
        """Return the recording for inputs of these shapes; make it if they come once more."""
        if not all(
            place.get(name) is part and _state_of(part) == state
            for place, name, part, state in self._parts
        ):
            self._kept.clear()
            self._seen.clear()
            self._parts = []
        shapes = [value if value is None else (value.shape, value.dtype) for value in inputs]
        key = (*shapes, _stream_of(inputs))
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        self.reason = self._failed.get(key)
        if self.reason is not None:
            return None
        if key not in self._seen:
            self.reason = 'the first call with inputs of these shapes'
            self._seen[key] = None
            if len(self._seen) > _MOST_SEEN:
                self._seen.popitem(last=False)
            return None
        try:
            recording = record(function, inputs)
        except Exception as error:  # of a library that waits for the GPU, or of memory
            self._failed[key] = self.reason = f'recording failed: {error}'.split('\n')[0]
            named = ', '.join(str(tuple(value.shape)) for value in inputs if value is not None)
            warnings.warn(
                f'no CUDA graph for inputs {named}, which are computed without: {self.reason}',
                stacklevel=2,
            )
            return None
        recording = recording._replace(held=kept_kernels(self.module))
        self._parts = self._parts or [
            (place, name, part, _state_of(part))
            for module in self.module.modules()
            for place in (module._parameters, module._buffers, module._modules)
            for name, part in place.items()
        ]
        self._kept[key] = recording
        if len(self._kept) > self.limit:
            self._kept.popitem(last=False)
        return recording


def _state_of(part: Tensor | nn.Module | None) -> Any:
    """Return what changes when a weight moves or is written; None for a module."""
    if not isinstance(part, Tensor):
        return None
    return part.data_ptr(), None if part.is_inference() else part._version


def _stream_of(inputs: Sequence[Tensor | None]) -> int:
    """Return the number of the stream that a GPU computes in: what runs there runs in order."""
    device = next(value.device for value in inputs if value is not None)
    return torch.cuda.current_stream(device).cuda_stream if device.type == 'cuda' else 0


def map_tensors(function: Callable[[Tensor], Tensor], value: Any) -> Any:
    """Apply a function to all tensors of what a forward pass returns.

    Args:
        function: Function of a tensor.
        value: A tensor, None, or lists, tuples and named tuples of such.

    Returns:
        The same with the results.
    """
    if isinstance(value, Tensor):
        return function(value)
    if not isinstance(value, list | tuple):
        return value
    parts = [map_tensors(function, part) for part in value]
    return type(value)(*parts) if hasattr(value, '_fields') else type(value)(parts)
