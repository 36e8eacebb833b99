"""Timing of networks on a GPU, in all ways to run them, row by row within a limit of time."""

from __future__ import annotations

import gc
import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..core.conv.layer import set_conv_method
from ..core.models.inference import optimize_for_inference
from ..core.models.part_call import PartCall
from ..core.models.trunks import FeatureTrunks
from .benchmark import (
    DTYPES,
    OWN_SIZES,
    build,
    gigaflops,
    maps,
    matrix_peak,
    random_image,
    relative,
    runner,
)
from .clock import Clock
from .errors import one_line
from .measure import device_name, time_in_turns


class Way(NamedTuple):
    """A network and how it is run.

    Attributes:
        network: Name for the table.
        kind: ``'ours'``, or a key of ``benchmark.STOCK``.
        precision: Key of ``benchmark.DTYPES``, or ``'fp16'`` for the weights of ``graphs``.
        tuned: Run in channels-last order, with cuDNN's choice of the fastest algorithm
            (``cudnn.benchmark``).
        method: Method of our convolutions.
        compiled: Run what ``torch.compile`` makes of the network.
        graphs: Forward passes alone, as ``optimize_for_inference`` makes them for a GPU: weights
            of float16, and CUDA graphs.
        joint: Compute the first layers of our two trunks as one.
    """

    network: str
    kind: str
    precision: str = 'bf16'
    tuned: bool = True
    method: str = 'direct'
    compiled: bool = False
    graphs: bool = False
    joint: bool = False


# What matters most comes first, since the time may be over; compiling takes longest.
WAYS = (
    Way('stock CPM', 'stock CPM', precision='float32', tuned=False),
    Way('stock CPM tuned', 'stock CPM'),
    Way('ours direct', 'ours'),
    Way('ours fourier', 'ours', method='fourier'),
    Way('ours direct graphs', 'ours', precision='fp16', graphs=True),
    Way('ours fourier graphs', 'ours', precision='fp16', method='fourier', graphs=True),
    Way('ours direct joint', 'ours', joint=True),
    Way('stock ResNet-50', 'stock ResNet-50'),
    Way('stock HRNet-W32', 'stock HRNet-W32'),
    Way('stock Hourglass', 'stock Hourglass'),
    Way('stock CPM compiled', 'stock CPM', compiled=True),
    Way('ours fourier compiled', 'ours', method='fourier', compiled=True),
)
OF_CPM = ('stock CPM', 'ours')


class Shape(NamedTuple):
    """What is measured of a way.

    Attributes:
        task: ``'forward'`` or ``'train'``.
        batch: Number of images.
        size: Height x width.
    """

    task: str
    batch: int
    size: str


def time_ways(
    ways: Sequence[Way],
    shapes: Sequence[Shape],
    *,
    device: str,
    runs: int,
    limit: float,
    tell: Callable[[str], None],
) -> Iterator[dict[str, Any]]:
    """Time networks, one after the other, and yield a row as soon as it is measured.

    A row begins only if the longest one of its kind so far would end within the limit. A row that
    cannot be measured does not keep the next ones from it.

    Args:
        ways: Networks and how they are run. Others are compared with the first one, stock CPM.
            Networks that are no CPM are measured at 256x192, or the size that they need instead.
        shapes: What is measured of each; those of a task together.
        device: ``'cuda'``. With ``'cpu'`` all is done as there, to see that it can be.
        runs: Number of counted runs, after a first one. The results are their medians.
        limit: Limit of the time in seconds.
        tell: Called with the peak, and with each row that is not measured and the reason.

    Yields:
        Rows by column name, as ``benchmark.time_networks`` returns them, and ``peak_MB``.
            ``peak_fraction`` is relative to products of bfloat16 for all. ``difference`` is that of
            the belief maps to those of the first way in float32, without TF32.
            Compiled training steps have none.
    """
    clock = Clock(limit)
    rows = _Rows(device, runs, matrix_peak(device, torch.bfloat16))
    tell(f'peak, a product of large matrices in bfloat16: {rows.peak / 1e3:.4g} TFLOP/s')
    for way, task in itertools.product(ways, dict.fromkeys(shape.task for shape in shapes)):
        model: nn.Module | None = None
        for shape in shapes:
            fits = way.kind in OF_CPM or shape.size == '256x192'
            if shape.task != task or not fits or (way.graphs and task == 'train'):
                continue
            shape = shape._replace(size=OWN_SIZES.get(way.kind, shape.size))
            what = f'{way.network}, {task}, {shape.batch} x {shape.size}'
            if not clock.has_time(way.compiled):
                tell(f'{what}: no time left')
                continue
            row = None
            with clock.row(way.compiled):
                try:
                    model = model or _build(way, task, device)
                    row = rows.measure(way, shape, model)
                except Exception as error:  # of compilers, too
                    tell(f'{what}: {one_line(error)}')
            if row is not None:
                yield row
        del model
        gc.collect()
        if way.compiled:
            torch.compiler.reset()


def _build(way: Way, task: str, device: str) -> nn.Module:
    """Build a network for a way to run it."""
    model = build(way.kind, task, device)
    set_conv_method(model, way.method)
    for trunks in model.modules():
        if isinstance(trunks, FeatureTrunks):
            trunks.joint_first_layers = way.joint
    if way.graphs:
        optimize_for_inference(model, inplace=True, dtype=torch.float16, cuda_graphs=True)
    return model.to(memory_format=torch.channels_last) if way.tuned else model  # type: ignore[call-overload]


def _autocast(way: Way) -> torch.dtype:
    """Return the type of autocast; float32, for none, if the weights are of half precision."""
    return torch.float32 if way.graphs else DTYPES[way.precision]


def _without_graph(model: nn.Module) -> str | None:
    """Return why a part of a network was computed without a CUDA graph, or None."""
    calls = [part.forward for part in model.modules() if isinstance(part.forward, PartCall)]
    reasons = [call.graphs.reason for call in calls if call.graphs is not None]
    return next((reason for reason in reasons if reason is not None), None)


@contextmanager
def _cudnn(**settings: bool) -> Iterator[None]:
    """Change settings of cuDNN for a while."""
    before = {name: getattr(torch.backends.cudnn, name) for name in settings}
    try:
        for name, value in settings.items():
            setattr(torch.backends.cudnn, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(torch.backends.cudnn, name, value)


class _Rows:
    """Measures rows; it keeps what later ones are compared with.

    Args:
        device: ``'cuda'`` or ``'cpu'``.
        runs: Number of counted runs.
        peak: GFLOP/s of a product of matrices.
    """

    def __init__(self, device: str, runs: int, peak: float) -> None:
        self.peak = peak
        self._device = device
        self._runs = runs
        self._seconds: dict[Shape, float] = {}  # of the first way
        self._maps: dict[Shape, list[Tensor]] = {}
        self._gigaflops: dict[tuple[str, str, str], float] = {}

    def measure(self, way: Way, shape: Shape, model: nn.Module) -> dict[str, Any]:
        """Measure one row.

        Args:
            way: How the network is run.
            shape: What is measured.
            model: The network, in the mode of the task.

        Returns:
            The row by column name.
        """
        task, batch, size = shape
        image = random_image(batch, size, self._device)
        if way.tuned:
            image = image.to(memory_format=torch.channels_last)
        run = torch.compile(maps, dynamic=False) if way.compiled else maps
        dtype = _autocast(way)
        flops = batch * self._flops(way.kind, task, size, model)
        with _cudnn(benchmark=way.tuned):
            error = self._difference(way, shape, model, image, run)
            if way.graphs and self._device != 'cpu' and (reason := _without_graph(model)):
                raise RuntimeError(f'no CUDA graph: {reason}')
            if self._device != 'cpu':
                torch.cuda.reset_peak_memory_stats()
            call = runner(model, image, task, dtype, run=run, rate=0)
            timing = time_in_turns({'': call}, range(self._runs), self._device)['']
        seconds = timing.median
        first = self._seconds.setdefault(shape, seconds)
        memory = '' if self._device == 'cpu' else f'{torch.cuda.max_memory_allocated() / 1e6:.0f}'
        return {
            'device': device_name(self._device),
            'threads': torch.get_num_threads(),
            'torch': torch.__version__,
            'precision': way.precision,
            'task': task,
            'batch': batch,
            'size': size,
            'network': way.network,
            'runs': self._runs,
            'seconds': f'{seconds:.5f}',
            'images_per_s': f'{batch / seconds:.2f}',
            'stock_over_this': f'{first / seconds:.2f}' if way.kind in OF_CPM else '',
            'difference': '' if error is None else f'{error:.1e}',
            'peak_MB': memory,
            'GFLOP': f'{flops:.0f}',
            'peak_fraction': f'{flops / seconds / self.peak:.2f}',
            'spread': f'{timing.spread:.2f}',
        }

    def _difference(
        self,
        way: Way,
        shape: Shape,
        model: nn.Module,
        image: Tensor,
        run: Callable[[nn.Module, Tensor], list[Tensor]],
    ) -> float | None:
        """Compare the belief maps with those of the first way in float32, without TF32."""
        # Compiling a training step's forward pass once more, for this alone, would take too long.
        if way.kind not in OF_CPM or (way.compiled and shape.task == 'train'):
            return None
        if shape not in self._maps:
            with _cudnn(allow_tf32=False):
                self._maps[shape] = runner(model, image, 'forward', torch.float32)()
        forward = runner(model, image, 'forward', _autocast(way), run=run)
        if way.graphs:  # recorded the second time, replayed the third
            forward(), forward()
        found = forward()
        return max(relative(one, other) for one, other in zip(found, self._maps[shape]))

    def _flops(self, kind: str, task: str, size: str, model: nn.Module) -> float:
        """Count the operations of one image in 1e9, as those of direct convolutions."""
        key = ('a CPM' if kind in OF_CPM else kind, task, size)
        if key not in self._gigaflops:
            self._gigaflops[key] = gigaflops(model, random_image(1, size, 'cpu').shape, task)
        return self._gigaflops[key]
