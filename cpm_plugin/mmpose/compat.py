"""Fixes that let stock MMPose 1.3 import, load checkpoints, draw and train on a current stack.

``import cpm_plugin.mmpose`` applies them all. Each acts only where something is missing, and
otherwise does nothing:

- ``fix_torchvision``: The import fails for a torchvision whose compiled operators do not load,
  such as a CUDA build beside a CPU build of PyTorch.
- ``fix_mmcv_ops``: ``mmpose.models`` imports ``mmcv.ops``, which needs the compiled
  ``mmcv._ext``. mmcv-lite does not have it.
- ``fix_safe_loading``: PyTorch from 2.6 on loads with ``weights_only=True``, which refuses
  what MMEngine keeps in its checkpoints.
- ``fix_drawing``: NumPy from 2.4 on refuses ``int(array of one element)``, which MMPose's
  visualizer does.
- ``fix_cpu_training``: MMEngine gives every process of a distributed training a CUDA device.

The same import then changes MMEngine and MMPose for every config, in nine more places:

- ``loading.install``: MMEngine reads weights only, so that no code in a checkpoint is run, and
  verifies what it downloads.
- ``checkpoint_hook.install``: MMEngine's backend for local files writes a file completely or not
  at all, and ``--resume`` continues from a complete checkpoint.
- ``checked_datasets.install``: MMPose's COCO-style datasets check their labels when they are
  loaded, and log who is left out.
- ``heatmap_drawing.install``: MMPose's visualizer leaves out the background of target maps.
- ``hooks.install``: A config can leave out any default hook by None.
- ``load_image.install``: MMPose's ``LoadImage`` names the image that it cannot read.
- ``compiling.install``: ``compile=True`` compiles backbone and head of a model with a part of ours,
  in place of the whole training step.
- ``pinning.install``: ``pin_memory=True`` of a data loader pins the samples, too, and not only the
  images.
- ``strict.install``: MMEngine's runner says when a training starts, the only time at which
  ``strict_load=False`` takes what fits.

Scripts that import ``mmpose`` before they read a config run as
``python -m cpm_plugin.mmpose SCRIPT ARGUMENTS...``.
"""

from __future__ import annotations

import atexit
import importlib.util
import os
import pickle
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import numpy as np
import torch

from cpm_plugin.core.models.torchvision_operators import fix_torchvision, missing_operator
from cpm_plugin.core.weights.checkpoints import allow_list_is_needed, numpy_safe_globals


def apply() -> list[str]:
    """Apply all fixes in the order in which they are needed.

    Returns:
        Names of the fixes that acted.
    """
    fixes = (
        fix_torchvision,
        fix_mmcv_ops,
        fix_safe_loading,
        fix_drawing,
        fix_cpu_training,
    )
    return [fix.__name__ for fix in fixes if fix()]


def fix_mmcv_ops() -> bool:
    """Put a substitute in place of ``mmcv._ext`` where MMCV has no compiled operators (mmcv-lite).

    The substitute has every name. ``nms`` works, in plain PyTorch, since detectors need it. A call
    of another operator raises an error with its name and the remedy. The spec has no loader.
    MMEngine's ``mmcv_full_available()`` therefore stays False, and nothing takes mmcv-lite for the
    full MMCV.

    Returns:
        Whether the substitute was needed.
    """
    # This looks for mmcv/_ext in the path of mmcv, and does not run it.
    if importlib.util.find_spec('mmcv') is None or 'mmcv._ext' in sys.modules:
        return False
    if importlib.util.find_spec('mmcv._ext') is not None:
        return False
    stand_in = _StandIn('mmcv._ext', 'Stand-in of cpm_plugin.mmpose.compat: no compiled operators.')
    stand_in.__spec__ = ModuleSpec('mmcv._ext', loader=None)
    stand_in.nms = nms  # type: ignore[attr-defined]
    sys.modules['mmcv._ext'] = stand_in
    return True


class _StandIn(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith('__'):
            raise AttributeError(name)
        return missing_operator(f'mmcv._ext.{name}', 'install full mmcv, built with its operators')


def nms(
    bboxes: torch.Tensor, scores: torch.Tensor, iou_threshold: float, offset: int
) -> torch.Tensor:
    """Choose boxes by non-maximum suppression, as the operator ``nms`` of MMCV.

    Args:
        bboxes: (N, 4), x1, y1, x2, y2.
        scores: (N,).
        iou_threshold: A box that overlaps a better one by more is left out, as intersection over
            union.
        offset: 1 if x2 and y2 belong to the box, else 0.

    Returns:
        Indices of the boxes that stay, the best first.
    """
    sides = (bboxes[:, 2:] - bboxes[:, :2] + offset).clamp(min=0)
    areas = sides.prod(dim=1)
    left, kept = scores.argsort(descending=True, stable=True), []
    while len(left):
        best, left = left[0], left[1:]
        kept.append(best)
        low = torch.maximum(bboxes[left, :2], bboxes[best, :2])
        high = torch.minimum(bboxes[left, 2:], bboxes[best, 2:])
        shared = (high - low + offset).clamp(min=0).prod(dim=1)
        left = left[shared <= iou_threshold * (areas[left] + areas[best] - shared)]
    return torch.stack(kept) if kept else scores.new_zeros(0, dtype=torch.long)


def fix_safe_loading() -> bool:
    """Allow what MMEngine's checkpoints contain, so that safe loading can stay on.

    The message hub in a checkpoint keeps ``HistoryBuffer`` objects, with NumPy arrays and
    scalars. It also keeps the methods of the buffer, pickled as
    ``getattr(HistoryBuffer, 'mean')``. ``_history_buffer_method`` answers that ``getattr`` and
    gives nothing else. The names under which NumPy 1 pickled its objects are allowed too, for
    older checkpoints.

    Returns:
        Whether something was added to PyTorch's list of allowed objects.
    """
    if not allow_list_is_needed():
        return False
    from mmengine.logging import HistoryBuffer

    allowed: list[Any] = [
        HistoryBuffer,
        (_history_buffer_method, 'builtins.getattr'),
        *numpy_safe_globals(),
    ]
    known = set(torch.serialization.get_safe_globals())
    new = [entry for entry in allowed if entry not in known]
    torch.serialization.add_safe_globals(new)
    return bool(new)


def _history_buffer_method(owner: Any, name: str) -> Any:
    from mmengine.logging import HistoryBuffer

    if owner is not HistoryBuffer or name not in ('min', 'max', 'mean', 'current', 'statistics'):
        raise pickle.UnpicklingError(f'getattr({owner!r}, {name!r}) in a checkpoint is not allowed')
    return getattr(HistoryBuffer, name)


def fix_drawing() -> bool:
    """Let MMPose's visualizer draw with the radius that it computes, an array of one element.

    Returns:
        Whether the visualizer was changed.
    """
    if np.lib.NumpyVersion(np.__version__) < '2.4.0':
        return False
    from mmpose.visualization.opencv_backend_visualizer import OpencvBackendVisualizer

    draw_circles = OpencvBackendVisualizer.draw_circles
    if getattr(draw_circles, 'takes_arrays', False):
        return False

    def draw_circles_of_array(
        self: Any, center: Any, radius: Any, *args: Any, **kwargs: Any
    ) -> Any:
        if self.backend == 'opencv':
            radius = np.ravel(radius)[0]
        return draw_circles(self, center, radius, *args, **kwargs)

    draw_circles_of_array.takes_arrays = True  # type: ignore[attr-defined]
    OpencvBackendVisualizer.draw_circles = draw_circles_of_array
    return True


def fix_cpu_training() -> bool:
    """Let several processes train on CPUs, where MMEngine wants a CUDA device for each.

    Without CUDA, no device is set, and the backend ``nccl`` becomes ``gloo``.
    ``MMDistributedDataParallel`` gets no device ids for a model on a CPU.

    Returns:
        Whether MMEngine was changed.
    """
    if torch.cuda.is_available():
        return False
    from mmengine.dist import utils
    from mmengine.model import MMDistributedDataParallel

    if getattr(utils, 'trains_on_cpus', False):
        return False
    for name in ('_init_dist_pytorch', '_init_dist_slurm'):
        setattr(utils, name, _without_cuda(getattr(utils, name)))
    wrap = MMDistributedDataParallel.__init__

    def wrap_on_cpu(self: Any, module: Any, *args: Any, **kwargs: Any) -> None:
        if all(parameter.device.type == 'cpu' for parameter in module.parameters()):
            kwargs.pop('device_ids', None)
            kwargs.pop('output_device', None)
        wrap(self, module, *args, **kwargs)

    MMDistributedDataParallel.__init__ = wrap_on_cpu
    utils.trains_on_cpus = True
    return True


def end_distributed() -> None:
    """End a process of a distributed training on CPUs, with exit code 0, when all is done.

    MMEngine leaves the process group to the end of the process. There the threads of gloo may abort
    it (``terminate called without an active exception``), in about one of six trainings. So all is
    ended here that Python would end, and the rest is left to the system. Without a process group,
    or with CUDA, nothing is done.
    """
    if not torch.distributed.is_initialized() or torch.cuda.is_available():
        return
    torch.distributed.destroy_process_group()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _without_cuda(init: Any) -> Any:
    def init_on_cpus(backend: str, *args: Any, **kwargs: Any) -> None:
        set_device = torch.cuda.set_device
        torch.cuda.set_device = lambda device: None
        try:
            init('gloo' if backend == 'nccl' else backend, *args, **kwargs)
        finally:
            torch.cuda.set_device = set_device

    return init_on_cpus
