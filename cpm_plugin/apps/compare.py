"""Comparison of trained models by the same measurements, for ``tools/compare.py``."""

from __future__ import annotations

import contextlib
import copy
import io
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from torch import nn

from ..core.models.inference import optimize_for_inference
from ..core.models.layers import ConvBlock
from ..core.weights.checkpoints import read_checkpoint
from .configs import build_model, named, read_config
from .measure import operations, peak_megabytes, time_in_turns
from .results import metrics_of

from mmpose.registry import DATASETS


def evaluate(
    config: Path,
    checkpoint: Path,
    work_dir: Path,
    *,
    options: Mapping[str, Any],
    device: str,
    batch_size: int,
) -> dict[str, float]:
    """Test a model with MMPose's runner, and count what its network costs.

    Args:
        config: Path of the config.
        checkpoint: Path of the checkpoint.
        work_dir: Folder for the logs of the test.
        options: Changes of the config, by dotted name.
        device: Device for the memory, such as ``'cpu'`` or ``'cuda'``.
        batch_size: Number of images in the batch whose memory is measured.

    Returns:
        The metrics of the config's evaluator; parameters in 1e6; multiply-adds of direct
            convolutions for one image, in 1e9; peak memory in MB (1e6 bytes) of this process in
            test and in the forward pass of a batch (CPU), or of the allocator in that pass (GPU).

    Raises:
        ValueError: If the checkpoint does not fit the config.
    """
    cfg = read_config(config, options, needs=('model', 'test_dataloader'))
    cfg.work_dir = str(work_dir)
    cfg.load_from = str(checkpoint)
    runner = Runner.from_cfg(cfg)
    try:  # the runner would only warn, and test random weights
        runner.model.load_state_dict(read_checkpoint(checkpoint)[0])
    except RuntimeError as error:
        raise ValueError(f'{checkpoint} does not fit {config}: {error}') from error
    row = metrics_of(runner.test())
    model = runner.model.eval()
    row['M parameters'] = round(sum(p.numel() for p in model.parameters()) / 1e6, 3)
    if not device.startswith('cpu'):
        torch.cuda.reset_peak_memory_stats(device)
    Network(optimized(model.to(device)), input_of(cfg)).forward(batch_size, device)
    row['peak MB'] = round(peak_megabytes(device))  # before the count, which needs memory, too
    row['G multiply-adds'] = round(multiply_adds(model.cpu(), input_of(cfg)) / 1e9, 3)
    return row


def input_of(cfg: Config) -> torch.Tensor:
    """Make an input of random values for the network of a config.

    Args:
        cfg: Config.

    Returns:
        (1, 3, H, W), from -0.5 to 0.5.
    """
    width, height = cfg.model.head.decoder.input_size
    return torch.rand(1, 3, height, width) - 0.5


def optimized(model: nn.Module) -> nn.Module:
    """Optimize a model for inference if it has a component of ours.

    Args:
        model: A ``TopdownPoseEstimator``.

    Returns:
        The optimized model, or the model itself.
    """
    ours = any(isinstance(layer, ConvBlock) for layer in model.modules())
    return optimize_for_inference(model) if ours else model


class Network(NamedTuple):
    """A network to be timed.

    Attributes:
        model: A ``TopdownPoseEstimator``, on the device.
        image: (1, 3, H, W).
    """

    model: nn.Module
    image: torch.Tensor

    @torch.no_grad()
    def forward(self, batch_size: int, device: str) -> None:
        """Compute the output for a batch of the image.

        Args:
            batch_size: Number of images in the batch.
            device: Device of the model.
        """
        self.model(self.image.to(device).repeat(batch_size, 1, 1, 1), None, mode='tensor')


def load_network(
    config: Path, checkpoint: Path, *, options: Mapping[str, Any], device: str
) -> Network:
    """Load the network of a model, as ``time_networks`` takes it.

    Args:
        config: Path of the config.
        checkpoint: Path of the checkpoint.
        options: Changes of the config, by dotted name.
        device: Device, such as ``'cpu'`` or ``'cuda'``.

    Returns:
        The network, after ``optimize_for_inference`` if it has a component of ours.

    Raises:
        ValueError: If the config cannot be built, or the checkpoint does not fit.
    """
    cfg = read_config(config, options, needs=('model', 'test_dataloader'))
    return Network(optimized(build_model(cfg, checkpoint, device)), input_of(cfg))


def time_networks(
    networks: Mapping[str, Network], batch_size: int, rounds: Iterable[Any], device: str
) -> dict[str, dict[str, float]]:
    """Time the forward passes of networks, in turns.

    Other work on the computer then slows all of them, and does not turn their order round.

    Args:
        networks: Networks by label.
        batch_size: Number of images in a batch.
        rounds: One element for each counted run of every network, after one to warm up.
        device: Device of the networks.

    Returns:
        For each label ``images/s`` through the network alone, without flip test, of the median
            run, and ``spread``, the time of the slowest run relative to the quickest.
    """
    calls = {
        label: partial(network.forward, batch_size, device) for label, network in networks.items()
    }
    return {
        label: {
            'images/s': round(batch_size / timing.median, 2),
            'spread': round(timing.spread, 2),
        }
        for label, timing in time_in_turns(calls, rounds, device).items()
    }


def test_set(cfg: Config) -> dict[str, Any]:
    """Return what says on which images a config tests, and what it measures there.

    Args:
        cfg: Config.

    Returns:
        The settings of its test dataset, without the pipeline, and ``test_evaluator``.
    """
    dataset = cfg.test_dataloader.dataset
    settings = {key: value for key, value in dataset.items() if key != 'pipeline'}
    return {**settings, 'test_evaluator': cfg.get('test_evaluator')}


def check_test_data(cfg: Config) -> None:
    """Build the test dataset of a config, so that data that is missing is found at once.

    Args:
        cfg: Config of ``read_config``.

    Raises:
        ValueError: If it cannot be built. The message names the config.
    """
    init_default_scope(cfg.default_scope)
    with named(cfg.filename), contextlib.redirect_stdout(io.StringIO()):  # COCO's reader talks
        DATASETS.build(copy.deepcopy(cfg.test_dataloader.dataset))


def other_test_sets(sets: Mapping[str, Mapping[str, Any]]) -> str:
    """Tell which models are not tested on the images of the first one, or by its metrics.

    Args:
        sets: Label of each model -> ``test_set``.

    Returns:
        A warning that names the settings that differ, or ``''``.
    """
    (first, its), *others = sets.items()
    found = []
    for label, other in others:
        names = [key for key in dict.fromkeys((*its, *other)) if its.get(key) != other.get(key)]
        if names:
            differing = ', '.join(f'{key}={other.get(key)!r}' for key in names)
            found.append(f'{label}, with {differing}')
    if not found:
        return ''
    return (
        f'not tested as {first} is, on other images or by other metrics: {"; ".join(found)}. '
        'Do not compare their accuracies'
    )


@torch.no_grad()
def multiply_adds(model: nn.Module, image: torch.Tensor) -> float:
    """Count the multiply-adds of one forward pass, as direct convolutions.

    Args:
        model: A ``TopdownPoseEstimator``.
        image: (1, 3, H, W).

    Returns:
        Number of multiply-adds, half of the operations.
    """
    return operations(model, lambda model: model(image, None, mode='tensor')) / 2
