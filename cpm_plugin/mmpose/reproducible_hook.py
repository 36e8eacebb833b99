"""Training whose random numbers depend only on the seed, the epoch and the sample.

MMEngine keeps no random state in its checkpoints. A run that was resumed therefore differs from
one that was not interrupted. Here no state has to be kept: every sample and every iteration
begins with a seed of its own.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from mmengine.dataset import InfiniteSampler
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import Runner

from .pipelines import pipelines_of

from mmpose.registry import HOOKS


class Draw(int):
    """Index of a sample that also knows in which pass over the dataset it is drawn.

    MMEngine's wrappers of datasets subtract from an index and take remainders of it. The result
    knows the pass too, and the number that was drawn: one sample may be drawn several times in a
    pass, as of a ``RepeatDataset``.

    Attributes:
        epoch: Number of the pass, from 0.
        drawn: Index as the sampler has drawn it.
    """

    epoch: int
    drawn: int

    def __new__(cls, index: int, epoch: int, drawn: int | None = None) -> Draw:
        draw = super().__new__(cls, index)
        draw.epoch = epoch
        draw.drawn = int(index) if drawn is None else drawn
        return draw

    def __getnewargs__(self) -> tuple[int, int, int]:  # type: ignore[override]  # for pickling
        return int(self), self.epoch, self.drawn

    def __add__(self, other: int) -> Draw:
        return Draw(int(self) + int(other), self.epoch, self.drawn)

    def __sub__(self, other: int) -> Draw:
        return Draw(int(self) - int(other), self.epoch, self.drawn)

    def __mod__(self, other: int) -> Draw:
        return Draw(int(self) % int(other), self.epoch, self.drawn)


class DrawSampler:
    """Sampler that gives the indices of another sampler as ``Draw`` objects.

    Args:
        sampler: MMEngine's ``DefaultSampler``, ``InfiniteSampler`` or a similar one.
    """

    def __init__(self, sampler: Any) -> None:
        self.sampler = sampler
        self.epoch = 0

    def __iter__(self) -> Iterator[Draw]:
        if not isinstance(self.sampler, InfiniteSampler):
            # MMEngine's loop by iterations tells the epoch to the sampler inside alone.
            epoch = getattr(self.sampler, 'epoch', self.epoch)
            yield from (Draw(index, epoch) for index in self.sampler)
            return
        rank, world, size = (getattr(self.sampler, n) for n in ('rank', 'world_size', 'size'))
        for number, index in enumerate(self.sampler):
            yield Draw(index, (rank + number * world) // size)

    def __len__(self) -> int:
        return len(self.sampler)

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the indices that follow; called before each epoch.

        Args:
            epoch: Number of the epoch, from 0.
        """
        self.epoch = epoch
        if hasattr(self.sampler, 'set_epoch'):
            self.sampler.set_epoch(epoch)


class SeedSample:
    """First transform of a pipeline, which seeds the generators that later ones draw from.

    Args:
        seed: Seed of the run.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        index = results.get('sample_idx')
        if isinstance(index, Draw):
            seed_generators(self.seed, index.epoch, index.drawn)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(seed={self.seed})'


def seed_generators(*key: int) -> None:
    """Seed the global random generators of Python, NumPy and PyTorch.

    Args:
        key: Numbers of at least 0 that determine the seed.
    """
    state = np.random.SeedSequence(key).generate_state(3)
    random.seed(int(state[0]))
    np.random.seed(int(state[1]))  # noqa: NPY002  (MMPose's transforms use the global generator)
    torch.manual_seed(int(state[2]))


def order_state(wrapper: OptimWrapper | OptimWrapperDict) -> None:
    """Give what an optimizer keeps for each weight the memory order of the weight, in place.

    A checkpoint keeps the order of the run that saved it, and ``ChannelsLastHook`` may be new. A
    fused optimizer takes the values as they lie in memory: on a CPU its updates would be wrong,
    without an error (PyTorch 2.13).

    Args:
        wrapper: Optimizer wrapper of a runner.
    """
    if isinstance(wrapper, OptimWrapperDict):
        for one in wrapper.values():
            order_state(one)
        return
    for weight, state in wrapper.optimizer.state.items():
        for name, value in state.items():
            of_weight = isinstance(value, torch.Tensor) and value.shape == weight.shape
            if of_weight and value.stride() != weight.stride():
                state[name] = torch.empty_like(weight, dtype=value.dtype).copy_(value)


@HOOKS.register_module()
class ReproducibleHook(Hook):
    """Make a resumed run end with the same weights as a run that was never interrupted.

    The augmentation of a sample is seeded by (seed, epoch, index), in whichever worker it is
    loaded. The random numbers of the model, such as dropout, are seeded by (seed, iteration). A
    run without ``randomness.seed`` keeps the seed that it has drawn.

    The weights are equal bit for bit on a CPU with the same number of threads. On a GPU they are
    equal as far as its kernels are deterministic.

    Samples of a ``ClassBalancedDataset`` are not seeded one by one, because it hides the index.

    Examples:
        In a config; the configs of this project have it in their base:

        >>> default_hooks = dict(reproducible=dict(type='ReproducibleHook'))
    """

    priority = 'VERY_HIGH'

    def before_train(self, runner: Runner) -> None:
        """Wrap the sampler of the training data, seed its pipelines, and order what was loaded."""
        if isinstance(runner.optim_wrapper, OptimWrapper | OptimWrapperDict):
            order_state(runner.optim_wrapper)
        loader = runner.train_dataloader
        sampler = loader.batch_sampler.sampler
        if isinstance(sampler, DrawSampler):
            return
        if hasattr(sampler, 'seed') and not runner._randomness_cfg.get('diff_rank_seed', False):
            sampler.seed = runner.seed  # the seed of the run that is resumed
        self._draws = DrawSampler(sampler)
        loader.batch_sampler.sampler = self._draws
        for steps in pipelines_of(loader.dataset):
            steps.insert(0, SeedSample(runner.seed))

    def before_train_epoch(self, runner: Runner) -> None:
        """Tell the sampler the epoch."""
        self._draws.set_epoch(runner.epoch)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Seed the generators that the model draws from."""
        seed_generators(runner.seed, runner.iter, runner.rank)
