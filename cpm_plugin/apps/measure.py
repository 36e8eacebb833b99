"""Time, operations and memory, as ``tools/benchmark.py`` and ``tools/compare.py`` measure them."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ..core.conv.layer import LargeKernelConv2d, set_conv_method

# Above this, times are not worth comparing: other work on the computer took part in them.
LARGEST_SPREAD = 1.5


@dataclass(frozen=True)
class Timing:
    """Times of some runs of one call.

    Attributes:
        times: Time of each run in seconds.
    """

    times: tuple[float, ...]

    @property
    def median(self) -> float:
        """Median of the times in seconds."""
        return statistics.median(self.times)

    @property
    def spread(self) -> float:
        """Time of the slowest run, relative to the quickest: 1 or more, and 1 for a single run."""
        return max(self.times) / min(self.times)


def seconds(call: Callable[[], Any], device: str) -> float:
    """Time one call.

    Args:
        call: Function without arguments.
        device: ``'cpu'``, or a CUDA device to wait for.

    Returns:
        Time in seconds.
    """
    if not device.startswith('cpu'):
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    call()
    if not device.startswith('cpu'):
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def time_in_turns(
    calls: Mapping[str, Callable[[], Any]], rounds: Iterable[Any], device: str
) -> dict[str, Timing]:
    """Time calls in turns, after one run of each that is not counted.

    A computer whose speed changes over time therefore treats all alike.

    Args:
        calls: Functions without arguments, by name.
        rounds: One element for each counted run of every call, such as ``range(5)``, or that with
            a progress bar.
        device: See ``seconds``.

    Returns:
        Times by name.
    """
    for call in calls.values():
        call()
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in rounds:
        for name, call in calls.items():
            times[name].append(seconds(call, device))
    return {name: Timing(tuple(values)) for name, values in times.items()}


def operations(model: nn.Module, run: Callable[[nn.Module], Any]) -> int:
    """Count the operations of a run of a network, as those of direct convolutions.

    Args:
        model: Network.
        run: Function that gets the network and runs it.

    Returns:
        Number of operations, with a multiplication and an addition as two.
    """
    methods = {
        layer: layer.method for layer in model.modules() if isinstance(layer, LargeKernelConv2d)
    }
    set_conv_method(model, 'direct')
    try:
        with FlopCounterMode(display=False) as counter:
            run(model)
    finally:
        for layer, method in methods.items():
            layer.method = method
    return counter.get_total_flops()


def peak_megabytes(device: str) -> float:
    """Measure the most memory that was in use at one time.

    Args:
        device: ``'cpu'`` for this process since its start, on Linux, or a CUDA device for the
            allocator of PyTorch there.

    Returns:
        Memory in MB (1e6 bytes).
    """
    if not device.startswith('cpu'):
        return torch.cuda.max_memory_allocated(device) / 1e6
    # The peak of getrusage would begin with that of the process that started this one.
    status = Path('/proc/self/status').read_text()
    peak = next(line for line in status.splitlines() if line.startswith('VmHWM'))
    return int(peak.split()[1]) * 1024 / 1e6


def device_name(device: str) -> str:
    """Return the name of the processor or GPU.

    Args:
        device: ``'cpu'`` or a CUDA device.

    Returns:
        Model name; ``'cpu'`` if it is unknown.
    """
    if not device.startswith('cpu'):
        return torch.cuda.get_device_name(device)
    for line in Path('/proc/cpuinfo').read_text().splitlines():
        if line.startswith('model name'):
            return line.split(':', 1)[1].strip()
    return 'cpu'


def load_warning() -> str:
    """Tell whether other work keeps this computer from measuring times.

    Returns:
        A warning if the load average of the last minute is above the number of CPU cores, or
            ``''``.
    """
    load, cores = os.getloadavg()[0], len(os.sched_getaffinity(0))
    if load <= cores:
        return ''
    return (
        f'the load average is {load:.1f} on {cores} CPU cores: other work takes part in the times; '
        'measure on an idle computer'
    )


def spread_warning(name: str, spread: float) -> str:
    """Tell whether the times of a network are too uneven to be compared.

    Args:
        name: Name of the network, for the text.
        spread: See ``Timing``.

    Returns:
        A warning if the spread is above ``LARGEST_SPREAD``, or ``''``.
    """
    if spread <= LARGEST_SPREAD:
        return ''
    return (
        f'{name}: the slowest run took {spread:.2f} times as long as the quickest (at most '
        f'{LARGEST_SPREAD} can be compared); measure on an idle computer, with more --runs'
    )
