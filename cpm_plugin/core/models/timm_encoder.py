"""Encoders of timm (PyTorch Image Models), by name: any network of it that gives features.

timm is optional and imported when an encoder is made. All tensors are (N, C, H, W).
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping
from math import lcm
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..weights.archive import describe_unusable
from ..weights.checkpoints import describe_mismatch, read_checkpoint
from .settings import TIMM
from .torchvision_operators import fix_torchvision

# Strides of the features that are taken, in pixels, from and to. Most networks have 8, 16 and 32;
# vision transformers have one alone, such as 14 or 16.
_STRIDES = (8, 32)


class TimmEncoder(nn.Module):
    """A network of timm without its classifier: features at strides 8, 16 and 32.

    Of several features with the same stride, the last is taken. A network may lack some of the
    strides, as a vision transformer does. Then any from 8 to 32 will do. The mean and deviation of
    the network's weights are applied inside.

    Args:
        name: timm's name of the network, such as ``resnet18`` or ``resnet18.a1_in1k``. The latter
            says which of timm's weights ``load_weights`` takes.
        frozen_groups: See ``TrunkSettings``.

    Attributes:
        channels: Numbers of channels of the features.
        strides: Their strides, in pixels of the image.
        multiple: Number of pixels that the sides of the image are padded to a multiple of.
        only_size: Height and width of the only images that the network takes; None for any.

    Raises:
        ValueError: If timm has no such network, it has no such features, or fewer groups of blocks
            than ``frozen_groups``.
        ImportError: If timm is missing. The message says how to install it.

    Examples:
        >>> import torch
        >>> from cpm_plugin.core.models.timm_encoder import TimmEncoder
        >>> encoder = TimmEncoder('mobilenetv2_050').eval()
        >>> encoder.strides
        (8, 16, 32)
        >>> [tuple(features.shape) for features in encoder(torch.zeros(1, 3, 64, 96))]
        [(1, 16, 8, 12), (1, 48, 4, 6), (1, 160, 2, 3)]
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, name: str, *, frozen_groups: int = 0) -> None:
        super().__init__()
        self.name = name
        self.frozen_groups = frozen_groups
        plan = _whole(name)
        last = {part['reduction']: index for index, part in enumerate(plan.feature_info)}
        self.strides = tuple(one for one in sorted(last) if _STRIDES[0] <= one <= _STRIDES[1])
        if not self.strides:
            raise ValueError(
                f'encoder {TIMM + name!r} has features at strides {sorted(last)}; at least one '
                f'must be {_STRIDES[0]} to {_STRIDES[1]}. Take another network'
            )
        self._options: dict[str, Any] = {
            'features_only': True,
            'out_indices': tuple(last[stride] for stride in self.strides),
        }
        config = plan.pretrained_cfg
        fixed = bool(config.get('fixed_input_size'))
        if fixed and _has_argument(plan, 'dynamic_img_size'):
            self._options['dynamic_img_size'] = True
            fixed = False
        self.only_size: tuple[int, ...] | None = tuple(config['input_size'][1:]) if fixed else None
        self.multiple = 8 if fixed else lcm(8, *self.strides)
        self.network = self._features()
        self.channels = tuple(self.network.feature_info.channels())
        self._channels_last = str(getattr(self.network, 'output_fmt', 'NCHW')).endswith('NHWC')
        # (v / 255 - mean) / std of v = 256 x + 128
        mean, std = (
            torch.tensor(config[key], dtype=torch.float64)[:, None, None] for key in ('mean', 'std')
        )
        self.register_buffer('scale', (256 / 255 / std).float(), persistent=False)
        self.register_buffer('shift', ((128 / 255 - mean) / std).float(), persistent=False)
        for part in self._frozen():
            part.requires_grad_(False)

    def _frozen(self) -> list[nn.Module]:
        """Return what is not trained: all before the groups of blocks, and the first groups."""
        if not self.frozen_groups:
            return []
        # timm's classes EfficientNetFeatures and MobileNetV3Features have their groups here.
        groups = getattr(self.network, 'blocks', None)
        if not isinstance(groups, nn.Sequential):
            groups = nn.Sequential()
        if not 0 < self.frozen_groups <= len(groups):
            raise ValueError(
                f'frozen_groups={self.frozen_groups}: encoder {TIMM + self.name!r} has '
                f'{len(groups)} groups of blocks, so it must be 0 to {len(groups)}; or give the '
                'encoder a smaller learning rate'
            )
        children = list(self.network.children())
        return [*children[: children.index(groups)], *list(groups)[: self.frozen_groups]]

    def train(self, mode: bool = True) -> TimmEncoder:
        """Set the mode as ``nn.Module.train`` does; frozen parts stay in evaluation mode.

        Args:
            mode: True for training, False for evaluation.

        Returns:
            The network itself.
        """
        super().train(mode)
        for part in self._frozen():
            part.eval()
        return self

    def forward(self, image: Tensor) -> list[Tensor]:
        """Compute the features of an image.

        Args:
            image: (N, 3, H, W), BGR, with values (v - 128) / 256. At the right and bottom it is
                padded with 0, the gray 128, until all strides divide its sides.

        Returns:
            A tensor (N, C, h, w) for each stride, the smallest first, with h and w of the padded
                image.

        Raises:
            ValueError: If the network takes images of another size only.
        """
        x = _padded(image, self.multiple, self.only_size, self.name)
        x = x.flip(1) * self.scale + self.shift
        levels: list[Tensor] = self.network(x)
        if self._channels_last:
            levels = [level.permute(0, 3, 1, 2).contiguous() for level in levels]
        return levels

    def load_weights(self, source: str = 'timm') -> None:
        """Load weights of the network, which is random until then.

        Args:
            source: ``'timm'`` for timm's own, which it downloads if need be. Else a file of
                ``timm.create_model(name).state_dict()``, by ``torch.save`` or in the format
                safetensors. Its classifier is left out, and may have any number of classes.

        Raises:
            ValueError: If there are none, they cannot be had, or the file does not fit.
        """
        if source != 'timm':
            state = self._read(source)
            loaded = self._features({'state_dict': state, 'custom_load': False})
        else:
            try:
                loaded = self._features({})
            except Exception as error:  # of the network, the disk or timm
                raise ValueError(
                    f"timm's weights of {self.name!r} cannot be loaded ({_first_line(error)}). "
                    'Give the path of a file of weights, or a name of timm.list_pretrained()'
                ) from error
        self.network.load_state_dict(loaded.state_dict())

    def _features(self, weights: Mapping[str, Any] | None = None) -> Any:
        """Build the network; ``weights`` says where timm finds them. None: at random."""
        overlay = {} if weights is None else {'pretrained_cfg_overlay': dict(weights)}
        return timm_package().create_model(
            self.name, pretrained=weights is not None, **self._options, **overlay
        )

    def _read(self, path: str) -> dict[str, Tensor]:
        """Read weights of the whole network, without its classifier; ValueError if others."""
        state = _read_safetensors(path) if path.endswith('.safetensors') else None
        if state is None:
            state, _ = read_checkpoint(path)
        plan = _whole(self.name)
        names = plan.pretrained_cfg.get('classifier') or ()
        names = (names,) if isinstance(names, str) else tuple(names)
        classifier = tuple(f'{name}.' for name in names)
        state = {key: value for key, value in state.items() if not key.startswith(classifier)}
        expected = {
            key: value
            for key, value in plan.state_dict().items()
            # PyTorch counts batches from 0 where a file has no such number
            if not key.startswith(classifier)
            and (key in state or not key.endswith('num_batches_tracked'))
        }
        if problem := describe_mismatch(expected, state):
            raise ValueError(
                f'{path} does not fit; {problem}. It must be a state dict of '
                f'timm.create_model({self.name!r})'
            )
        return state


def _whole(name: str) -> Any:
    """Build a network of timm without memory for weights; raise ValueError if it is of no use."""
    timm = timm_package()
    bare, _, tag = name.partition('.')
    known = timm.list_models()
    if tag and bare in known:
        known = timm.list_pretrained(f'{bare}.*')
    if name not in known:
        close = difflib.get_close_matches(name, known)
        words = f'close to it: {", ".join(close)}' if close else 'see timm.list_models()'
        raise ValueError(f'timm has no network {name!r}; {words}')
    with torch.device('meta'):
        network = timm.create_model(name)
    if not getattr(network, 'feature_info', None) or len(network.pretrained_cfg['mean']) != 3:
        raise ValueError(
            f'encoder {TIMM + name!r} gives no features, or not of images in color. Take another '
            'network'
        )
    return network


def _has_argument(network: Any, name: str) -> bool:
    """Tell whether the class of a network, or one that it comes from, has an argument."""
    return any(name in inspect.signature(kind).parameters for kind in type(network).__mro__[:-1])


@torch.fx.wrap  # its shapes are known when it is called
def _padded(image: Tensor, multiple: int, only_size: tuple[int, ...] | None, name: str) -> Tensor:
    """Pad (N, C, H, W) at the right and bottom with 0 to sides that are multiples.

    A network that takes one size only gets the image as it is; ValueError if that has another.
    """
    if only_size is None:
        bottom, right = (-side % multiple for side in image.shape[2:])
        return F.pad(image, (0, right, 0, bottom)) if bottom or right else image
    if tuple(image.shape[2:]) != only_size:
        height, width = only_size
        raise ValueError(
            f'image of {image.shape[2]} x {image.shape[3]} pixels: encoder {TIMM + name!r} takes '
            f'{height} x {width} only; use that input size, or another encoder'
        )
    return image


def timm_package() -> Any:
    """Import timm.

    Returns:
        The package ``timm``.

    Raises:
        ImportError: If it is missing. The message says how to install it.
    """
    try:
        fix_torchvision()  # which timm imports
        import timm
    except ImportError as error:
        raise ImportError(
            f"encoders named '{TIMM}...' need timm: pip install 'cpm_plugin[timm]'"
        ) from error
    return timm


def _read_safetensors(path: str) -> dict[str, Tensor]:
    """Read a file in the format safetensors; raise ValueError if it cannot be read."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not Path(path).is_file():
        raise ValueError(f'weights {path}: no such file')
    try:
        state: dict[str, Tensor] = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ValueError(f'weights {path} cannot be read ({_first_line(error)})') from error
    if problem := describe_unusable(state):
        raise ValueError(f'weights {path}: {problem}')
    return state


def _first_line(error: Exception) -> str:
    return (str(error) or repr(error)).splitlines()[0]
