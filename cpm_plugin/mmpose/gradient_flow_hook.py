"""Hook that records how large the gradients of each layer are in a training."""

from __future__ import annotations

import csv
import functools
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import Runner
from torch import Tensor, nn

from .head import CPMStageHead

from mmpose.registry import HOOKS

FILE = 'gradient_flow.csv'
PERCENTILES = (5, 25, 50, 75, 95)
COLUMNS = (
    'epoch', 'iter', 'depth', 'layer', 'stage', 'values', 'mean',
    *(f'p{percent}' for percent in PERCENTILES), 'zeros', 'not_finite',
)  # fmt: skip


@HOOKS.register_module()
class GradientFlowHook(Hook):
    """Write the magnitudes of gradients per layer into ``gradient_flow.csv`` of the work folder.

    ``tools/analysis/gradient_flow.py`` draws them, as figure 5 of the paper does. A layer is a
    parameter of two axes or more: the weights of a convolution or of a linear layer. Biases and
    normalization are left out. The columns:

    - ``epoch``, ``iter``: From 1. ``depth``: Number of the layer, from 0, in the order in which the
      model calls its modules.
    - ``stage``: Of a ``CPMStageHead``, from 1; empty for all before the stages.
    - ``values``: Number of weights. ``mean``, ``p5`` to ``p95``: Mean and percentiles of the
      absolute values, of those that are finite. Empty if there is no gradient, as of frozen layers.
    - ``zeros``, ``not_finite``: Shares of the values that are exactly 0, and that are NaN or
      infinite.

    They are the gradients that the optimizer is given: the sum of accumulated batches, the mean of
    all processes, and without the factor that mixed precision scales the loss by. Clipping comes
    after. A resumed training continues the file.

    Args:
        interval: Number of iterations from one record to the next. An update with accumulated
            gradients is recorded if an iteration of the interval is among its batches.

    Raises:
        ValueError: If the interval is below 1. At the start of a training: if it has several
            optimizers.

    Examples:
        In a config:

        >>> custom_hooks = [dict(type='GradientFlowHook', interval=25)]
    """

    priority = 'LOW'  # around the update of FiniteHook, which does not let all gradients pass

    def __init__(self, interval: int = 50) -> None:
        if interval < 1:
            raise ValueError(f'interval={interval} must be at least 1')
        self.interval = interval
        self._next = interval
        self._order: dict[str, int] = {}  # names of modules, in the order of their calls
        self._watching: list[Any] = []

    def before_train(self, runner: Runner) -> None:
        """Begin the file, and look at the gradients before every update of the weights.

        Raises:
            ValueError: If the training has several optimizers.
        """
        wrapper = runner.optim_wrapper
        if isinstance(wrapper, OptimWrapperDict) or not isinstance(wrapper, OptimWrapper):
            raise ValueError(
                f'GradientFlowHook needs a single optimizer, the training has '
                f'{type(wrapper).__name__}; leave the hook out'
            )
        self._next = (runner.iter // self.interval + 1) * self.interval
        if hasattr(wrapper, 'recorded_by') or not is_main_process():
            return
        wrapper.recorded_by = self
        self._path = Path(runner.work_dir) / FILE
        _begin(self._path, runner.iter)
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        self._watch(model)
        step = wrapper.step

        @functools.wraps(step)  # keeps the mark that MMEngine's schedulers set on it
        def recorded_step(**kwargs: Any) -> None:
            if runner.iter + 1 >= self._next:
                self._next = ((runner.iter + 1) // self.interval + 1) * self.interval
                self._record(runner, model, loss_scale(wrapper))
            step(**kwargs)

        wrapper.step = recorded_step

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """After the first iteration, the order of the layers is known."""
        self._unwatch()

    def _watch(self, model: nn.Module) -> None:
        """Note the order in which the modules with weights are called."""

        def note(name: str) -> Any:
            def called(*_: Any) -> None:
                self._order.setdefault(name, len(self._order))

            return called

        self._order = {}
        self._watching = [
            module.register_forward_pre_hook(note(name)) for name, module in model.named_modules()
        ]

    def _unwatch(self) -> None:
        for handle in self._watching:
            handle.remove()
        self._watching = []

    def _record(self, runner: Runner, model: nn.Module, scale: float) -> None:
        """Append a row for each layer."""
        rows = [
            {
                'epoch': runner.epoch + 1,
                'iter': runner.iter + 1,
                'depth': depth,
                'layer': name.removesuffix('.weight'),
                'stage': stage_of(name, model) or '',
                **magnitudes(parameter, scale),
            }
            for depth, (name, parameter) in enumerate(layers_of(model, self._order))
        ]
        with self._path.open('a', newline='') as file:
            csv.DictWriter(file, COLUMNS, lineterminator='\n').writerows(rows)


def loss_scale(wrapper: OptimWrapper) -> float:
    """Return the factor on the gradients of an optimizer wrapper before its update.

    Args:
        wrapper: Optimizer wrapper, such as MMEngine's ``AmpOptimWrapper``.

    Returns:
        The factor by which mixed precision scales the loss; 1 without it.
    """
    scaler = getattr(wrapper, 'loss_scaler', None)
    return 1.0 if scaler is None else float(scaler.get_scale())


def layers_of(model: nn.Module, calls: Mapping[str, int]) -> list[tuple[str, nn.Parameter]]:
    """List the layers of a model in the order in which it calls them.

    Args:
        model: Model.
        calls: Numbers of the first calls of its modules, by name. A module without one stands where
            the module around it does; if no such has one, at the end.

    Returns:
        Names and values of parameters with two axes or more.
    """

    def place(name: str) -> int:
        around = name
        while '.' in around:
            around = around.rpartition('.')[0]
            if around in calls:
                return calls[around]
        return len(calls) if '.' in name else calls.get('', len(calls))

    layers = [(name, value) for name, value in model.named_parameters() if value.ndim >= 2]
    return sorted(layers, key=lambda layer: place(layer[0]))


def stage_of(name: str, model: nn.Module) -> int | None:
    """Return the stage that a layer belongs to.

    Args:
        name: Name of a parameter of the model.
        model: Model.

    Returns:
        Number of the stage of a ``CPMStageHead``, from 1; None for other layers.
    """
    if not isinstance(getattr(model, 'head', None), CPMStageHead):
        return None
    parts = name.split('.')
    if parts[:3] == ['head', 'stages', 'first']:
        return 1
    return int(parts[3]) + 2 if parts[:3] == ['head', 'stages', 'later'] else None


def magnitudes(parameter: Tensor, scale: float = 1.0) -> dict[str, float | int | str]:
    """Summarize the absolute values of a gradient.

    Args:
        parameter: Parameter with its gradient, or with none.
        scale: Factor that the gradient has, and that is taken out.

    Returns:
        The columns from ``values`` on; see ``GradientFlowHook``. Numbers have six digits.
    """
    values = parameter.numel()
    gradient = parameter.grad
    statistics = [f'p{percent}' for percent in PERCENTILES]
    if gradient is None:
        return {'values': values, **dict.fromkeys(['mean', *statistics, 'zeros', 'not_finite'], '')}
    sizes = gradient.detach().float().abs().flatten()
    finite = sizes[sizes.isfinite()]
    found: dict[str, float | int | str] = {'values': values, 'mean': ''}
    found |= dict.fromkeys(statistics, '')
    if len(finite):
        # Percentiles as numpy's, on the device of the gradient. torch.quantile has a largest size.
        ordered = finite.sort().values
        places = [percent / 100 * (len(ordered) - 1) for percent in PERCENTILES]
        below, above = (
            ordered[[int(rounded(p)) for p in places]].tolist()
            for rounded in (math.floor, math.ceil)
        )
        found['mean'] = _short(finite.mean().item() / scale)
        for name, place, one, other in zip(statistics, places, below, above):
            found[name] = _short((one + (other - one) * (place % 1)) / scale)
    found['zeros'] = _short((sizes == 0).sum().item() / values)
    found['not_finite'] = _short((values - len(finite)) / values)
    return found


def _short(value: float) -> float:
    return float(f'{value:.6g}')


def _begin(path: Path, done: int) -> None:
    """Write the header of the file, and keep the rows up to iteration ``done``."""
    kept = []
    if done and path.is_file():
        with path.open(newline='') as file:
            whole = (row for row in csv.DictReader(file) if None not in row.values())
            kept = [row for row in whole if int(row['iter']) <= done]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open('w', newline='') as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator='\n', extrasaction='ignore')
        writer.writeheader()
        writer.writerows(kept)
