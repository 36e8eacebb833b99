"""``optimize_for_inference``, which makes a trained network faster and keeps its maps."""

from __future__ import annotations

import copy
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..conv.layer import LargeKernelConv2d
from ..conv.modes import is_recorded
from ..conv.tile_grid import ALLOCATOR_BYTES
from .layers import ConvBlock
from .part_call import call_parts
from .trunks import FeatureTrunk

_DTYPES = (None, torch.float16, torch.bfloat16)
_Module = TypeVar('_Module', bound=nn.Module)

# Number of pooled rows that are computed together: the outputs of the convolution for them stay in
# the cache.
_BAND = 16


def optimize_for_inference(
    model: _Module,
    *,
    inplace: bool = False,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    cuda_graphs: bool = False,
) -> _Module:
    """Make a faster model with the same maps, to rounding, that cannot be trained.

    The model is a ``ConvolutionalPoseMachine`` or an ``AffinityPoseMachine``, or holds parts of
    one, such as an MMPose estimator with ``CPMBackbone`` and ``CPMStageHead``. The changes are:

    - Batch normalization is folded into the convolution before it.
    - In the trunks, pools come before ReLU, which does not change the result.
    - On a CPU, the first convolution is computed and pooled in bands.
    - The memory format is channels-last.

    An encoder of timm gets the memory format alone.

    For a GPU there are ``dtype`` and ``cuda_graphs``, too. They act on our trunks and stages.
    Other parts, such as a stock backbone, stay as they are.

    The weights of the new model have other names: load checkpoints before. Do not change weights
    through ``.data`` afterwards. A model that is optimized already stays as it is, but for what the
    arguments ask for.

    Args:
        model: Trained model.
        inplace: Change and return ``model`` itself instead of a copy.
        device: Device to move it to, such as ``'cuda'``. None: where it is.
        dtype: Type of the weights and of the computation: ``torch.float16`` or
            ``torch.bfloat16``. Images may still be float32; they are converted. The maps are
            float32. None: as it is. On a CPU, half precision gives up the fast convolution.
        cuda_graphs: Record the kernels for each shape of images that comes twice, up to four
            shapes, and replay them. Elsewhere than on a GPU it has no effect.

    Returns:
        The faster model, in evaluation mode.

    Raises:
        ValueError: If the model has no parts of such a network, something wraps one of its
            convolutions, or the type is another one.

    Examples:
        >>> import torch
        >>> from cpm_plugin.core import create_model, optimize_for_inference
        >>> model = create_model('cpm_slim_3s', pretrained=True).eval()
        >>> faster = optimize_for_inference(model)
        >>> image = torch.rand(1, 3, 64, 64) - 0.5
        >>> with torch.no_grad():
        ...     torch.allclose(faster(image)[-1], model(image)[-1], atol=1e-4)
        True

        On a GPU:

        >>> half = dict(device='cuda', dtype=torch.float16, cuda_graphs=True)
        >>> fastest = optimize_for_inference(model, **half)  # doctest: +SKIP
    """
    if dtype not in _DTYPES:
        raise ValueError(
            f'dtype={dtype!r} must be torch.float16, torch.bfloat16, or None for the type of the '
            'weights'
        )
    if not any(isinstance(layer, ConvBlock | ConvPool) for layer in model.modules()):
        raise ValueError(
            f'{type(model).__name__} has no parts of a CPM to optimize; this is for '
            "create_model's networks and MMPose models with CPMBackbone or CPMStageHead. A "
            'LargeKernelConv2d needs only eval() and torch.no_grad()'
        )
    if not inplace:
        model = copy.deepcopy(model)
    model.eval()
    model.requires_grad_(False)
    for block in [layer for layer in model.modules() if isinstance(layer, ConvBlock)]:
        _fold_norm(block)
    for trunk in [layer for layer in model.modules() if isinstance(layer, FeatureTrunk)]:
        if hasattr(trunk, 'conv1'):  # not yet
            _join_pools(trunk)
    for layer in model.modules():
        if isinstance(layer, LargeKernelConv2d):
            layer.frozen = True
    if device is not None:
        model.to(device)
    call_parts(model, dtype, cuda_graphs)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model


def _fold_norm(block: ConvBlock) -> None:
    """Fold batch normalization into the convolution before it. Other normalizations stay."""
    norm = getattr(block, 'norm', None)
    if not isinstance(norm, nn.modules.batchnorm._BatchNorm) or norm.running_var is None:
        return
    conv = _conv_of(block)
    # In float64 on the CPU, since not all devices have it. An error here would be in all images.
    scale = (_exact(norm.running_var) + norm.eps).rsqrt()
    if norm.affine:
        scale = scale * _exact(norm.weight)
    shift = -_exact(norm.running_mean) * scale
    if norm.affine:
        shift = shift + _exact(norm.bias)
    if conv.bias is not None:
        shift = shift + _exact(conv.bias) * scale
    weight = _exact(conv.weight) * scale[:, None, None, None]
    conv.bias = nn.Parameter(shift.to(conv.weight), requires_grad=False)
    conv.weight = nn.Parameter(weight.to(conv.weight), requires_grad=False)
    del block.norm


def _exact(value: Any) -> Tensor:
    """Return a value as a float64 tensor on the CPU."""
    return torch.as_tensor(value).detach().cpu().double()


def _conv_of(block: ConvBlock) -> nn.Conv2d:
    """Return the convolution of a block; raise ValueError if something wraps it."""
    conv = block.get_submodule('conv')
    if not isinstance(conv, nn.Conv2d):
        raise ValueError(
            f'a convolution is a {type(conv).__name__}, not an nn.Conv2d: merge or remove what '
            'wraps it before optimizing for inference'
        )
    return conv


def _join_pools(trunk: FeatureTrunk) -> None:
    """Replace each convolution and the pool after it by a ``ConvPool``.

    The first two, whose tensors are large, become an ``ImageByImage``.
    """
    joined = []
    for number in (1, 2, 3):
        block, pool = (trunk.get_submodule(f'{kind}{number}') for kind in ('conv', 'pool'))
        assert isinstance(block, ConvBlock) and isinstance(pool, nn.MaxPool2d)
        joined.append(ConvPool(block, pool))
        delattr(trunk, f'conv{number}')
        delattr(trunk, f'pool{number}')
    trunk.add_module('front', ImageByImage(*joined[:2]))
    trunk.add_module('conv3', joined[2])


class ImageByImage(nn.Module):
    """The first two layers of a trunk, computed for a few images at a time.

    The tensor between the layers then stays below the size for which glibc requests memory from
    the system at every call (``ALLOCATOR_BYTES``).

    Args:
        first: First layer.
        second: Second layer.
    """

    def __init__(self, first: ConvPool, second: ConvPool) -> None:
        super().__init__()
        self.first = first
        self.second = second

    def forward(self, x: Tensor) -> Tensor:
        """Compute both layers: (N, C, H, W) -> (N, D, h, w), pooled twice."""
        if is_recorded(x) or x.device.type != 'cpu':
            return self.second(self.first(x))
        cells = x.shape[2] * x.shape[3] // 4
        size = self.first.conv.out_channels * cells * x.element_size()
        parts = torch.split(x, max(1, ALLOCATOR_BYTES // max(1, size)))
        made = [self.second(self.first(part)) for part in parts]
        return made[0] if len(made) == 1 else torch.cat(made)


class ConvPool(nn.Module):
    """A ``ConvBlock`` and its 3x3 pool of stride 2.

    ReLU comes last, on a quarter of the values. A convolution of few channels (an image) is pooled
    in bands. Its outputs would be larger than any other tensor of the network, and are never held
    all at once.

    Args:
        block: Convolution, optional normalization, and ReLU.
        pool: Pool after it.
    """

    def __init__(self, block: ConvBlock, pool: nn.MaxPool2d) -> None:
        super().__init__()
        self.conv = _conv_of(block)
        self.pool_padding = int(pool.padding)  # type: ignore[arg-type]
        self.ceil_mode = pool.ceil_mode
        self.norm = block.get_submodule('norm') if hasattr(block, 'norm') else None
        self.pool = pool
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the layer: (N, C, H, W) -> (N, D, h, w), pooled."""
        in_bands = self.norm is None and not is_recorded(x) and x.device.type == 'cpu'
        if in_bands and x.shape[1] <= 4 and len(x) > 0:
            return self.relu(self._in_bands(x))
        values = self.conv(x)
        if self.norm is not None:
            values = self.norm(values)
        return self.relu(self.pool(values))

    def _in_bands(self, x: Tensor) -> Tensor:
        """Compute the convolution and the pool in bands of rows, without ReLU."""
        conv, top = self.conv, self.pool_padding
        border = conv.kernel_size[0] // 2
        count, _, height, width = x.shape
        pooled_height, pooled_width = map(self._pooled, (height, width))
        padded = F.pad(x, (border,) * 4).contiguous(memory_format=torch.channels_last)
        shape = (count, conv.out_channels, pooled_height, pooled_width)
        result: Tensor | None = None
        for image in range(count):
            for first in range(0, pooled_height, _BAND):
                last = min(first + _BAND, pooled_height)
                begin, end = 2 * first - top, 2 * last + 1 - top  # output rows of the convolution
                inside = slice(max(begin, 0), min(end, height) + 2 * border)
                rows = F.conv2d(padded[image : image + 1, :, inside], conv.weight, conv.bias)
                if begin < 0 or end > height:
                    edges = (0, 0, max(-begin, 0), max(end - height, 0))
                    rows = F.pad(rows, edges, value=-torch.inf)
                band = F.max_pool2d(rows, 3, 2, padding=(0, top), ceil_mode=self.ceil_mode)
                if result is None:  # made here, since under autocast the dtype is another
                    result = torch.empty(
                        shape, dtype=band.dtype, device=x.device, memory_format=torch.channels_last
                    )
                result[image, :, first:last] = band[0]
        assert result is not None
        return result

    def _pooled(self, side: int) -> int:
        """Return the side of the pool's output, with either padding of ``FeatureTrunk``."""
        span = side + 2 * self.pool_padding - 3
        return (-(-span // 2) if self.ceil_mode else span // 2) + 1
