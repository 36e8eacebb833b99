"""Networks as files for other programs: ONNX, TorchScript and PyTorch's exported programs."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..models.affinity_network import REFUSAL, AffinityPoseMachine
from ..models.inference import optimize_for_inference
from ..models.network import ConvolutionalPoseMachine
from ..weights.files import whole_file
from .crops import PADDING

FORMATS = {'onnx': '.onnx', 'torchscript': '.pt', 'pt2': '.pt2'}
METADATA = 'cpm.json'  # name of the entry with what a user of the file has to know
# Batches that the exported network is compared with the original on.
_BATCHES = (1, 2, 5)
# Largest difference of belief maps, relative to the largest belief, that is rounding.
_TOLERANCE = {torch.float32: 1e-4, torch.float16: 2e-2}

_Run = Callable[[Tensor], Tensor]


class LastStage(nn.Module):
    """A network that gives the belief maps of its last stage alone.

    Args:
        network: A ``ConvolutionalPoseMachine``.
    """

    def __init__(self, network: ConvolutionalPoseMachine) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        """Compute the belief maps: (N, 3, H, W) -> (N, K + background, h, w)."""
        beliefs: Tensor = self.network(image)[-1]
        return beliefs


def describe_network(network: ConvolutionalPoseMachine) -> dict[str, Any]:
    """Describe what a user of an exported network has to know.

    Args:
        network: Network with ``joints`` and ``input_size``.

    Returns:
        Names of the joints, links, size, colors and scaling of the input, the crop around a person,
            and where the center of a cell lies. It can be written as JSON.

    Raises:
        ValueError: If the network has no ``joints`` or no ``input_size``, or is for several people.
    """
    if isinstance(network, AffinityPoseMachine):
        raise ValueError(f'this network cannot be exported: {REFUSAL}')
    if network.joints is None or network.input_size is None:
        raise ValueError('the network has no joints or no input_size; build it with both')
    names = network.joints.names
    stride = network.trunks.stride
    return {
        'joints': list(names),
        'skeleton': [[names.index(a), names.index(b)] for a, b in network.joints.links],
        'background': network.stages.background,
        'input': {
            'shape': ['batch', 3, network.input_size, network.input_size],
            'colors': 'BGR',
            'mean': 128,
            'std': 256,
            'crop': f'square of {PADDING:g} x the longer side of the box, black outside the image',
        },
        'stride': stride,
        'cell_0_center': stride / 2 - 0.5,
    }


def export_network(
    network: ConvolutionalPoseMachine,
    path: str | Path,
    *,
    format: str = 'onnx',
    half: bool = False,
) -> float:
    """Write a network as a file for other programs, and compare it with the original.

    The file takes batches of any size of crops of ``network.input_size``, and gives the belief maps
    of the last stage. What a user has to know (``describe_network``) is in it as JSON: in ONNX's
    metadata, or in the extra file ``METADATA`` of the other two.

    Args:
        network: Trained network with ``joints`` and ``input_size``. It is not changed.
        path: File to write. It must not be there yet.
        format: ``'onnx'``, ``'torchscript'`` or ``'pt2'`` (``torch.export``).
        half: Compute in float16, with an input and an output in float16.

    Returns:
        Largest difference of the belief maps of the file from those of the network, for random
            crops in batches of 1, 2 and 5, relative to the largest belief.

    Raises:
        ValueError: If the format is unknown, the file exists, the network cannot be described, or
            the file computes something else. Nothing is left then.
        ImportError: If ``onnx``, ``onnxscript`` or ``onnxruntime`` is needed and missing.

    Examples:
        >>> import tempfile
        >>> from cpm_plugin.core import create_model
        >>> from cpm_plugin.core.prediction import export_network
        >>> network = create_model('cpm_slim_3s', pretrained=True)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     export_network(network, f'{folder}/slim.pt2', format='pt2') < 1e-4
        True
    """
    if format not in FORMATS:
        raise ValueError(f'format={format!r}: there are {", ".join(FORMATS)}')
    about = json.dumps(describe_network(network))
    dtype = torch.float16 if half else torch.float32
    exact = LastStage(optimize_for_inference(network).float())
    model = LastStage(optimize_for_inference(network).to(dtype))
    size = network.input_size or 0  # which describe_network has looked at
    image = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0)) - 0.5
    write = {'onnx': _write_onnx, 'torchscript': _write_torchscript, 'pt2': _write_pt2}[format]
    try:
        with whole_file(Path(path), new=True) as part, torch.no_grad():
            run = write(model, image.to(dtype), part, {METADATA: about})
            found = difference(run, exact, image, dtype)
            if not found <= _TOLERANCE[dtype]:
                raise ValueError(
                    f'{path} is not written: as {format} the network computes something else, a '
                    f'difference of {found:.1e} of the largest belief; give another format'
                )
    except FileExistsError as error:
        raise ValueError(f'{path} exists; give the name of a new file') from error
    return found


def difference(run: _Run, model: nn.Module, image: Tensor, dtype: torch.dtype) -> float:
    """Compare an exported network with the original.

    Args:
        run: The exported network: (N, 3, H, W) -> (N, C, h, w).
        model: The original, in float32.
        image: (N, 3, H, W) in float32; its values are taken for batches of 1, 2 and 5.
        dtype: Type of the input of ``run``.

    Returns:
        Largest difference, relative to the largest belief. Infinite for another shape.
    """
    largest = 0.0
    for count in _BATCHES:
        batch = torch.cat([image.roll(shift, dims=3) for shift in range(count)])[:count]
        expected, found = model(batch), run(batch.to(dtype)).float()
        if found.shape != expected.shape:
            return float('inf')
        error = float((found - expected).abs().max() / expected.abs().max())
        largest = max(largest, error if error == error else float('inf'))
    return largest


def _exported(model: nn.Module, image: Tensor) -> torch.export.ExportedProgram:
    shapes = ({0: torch.export.Dim('batch')},)
    return torch.export.export(model, (image,), dynamic_shapes=shapes)


def _write_pt2(model: nn.Module, image: Tensor, part: Path, extra: Mapping[str, str]) -> _Run:
    with open(part, 'wb') as file:
        torch.export.save(_exported(model, image), file, extra_files=dict(extra))
    with open(part, 'rb') as file:
        run: _Run = torch.export.load(file).module()
    return run


def _write_torchscript(
    model: nn.Module, image: Tensor, part: Path, extra: Mapping[str, str]
) -> _Run:
    with warnings.catch_warnings():  # about checks of shapes; other batches are compared below
        warnings.simplefilter('ignore', torch.jit.TracerWarning)
        traced = torch.jit.trace(model, image, check_trace=False)  # type: ignore[no-untyped-call]
    torch.jit.save(traced, str(part), _extra_files=dict(extra))
    run: _Run = torch.jit.load(str(part))  # type: ignore[no-untyped-call]
    return run


def _write_onnx(model: nn.Module, image: Tensor, part: Path, extra: Mapping[str, str]) -> _Run:
    try:
        import onnxruntime
        import onnxscript  # noqa: F401  (torch.onnx needs it)
    except ImportError as error:
        raise ImportError(
            f"the format 'onnx' needs {error.name}: pip install 'cpm_plugin[onnx]'", name=error.name
        ) from error
    program = torch.onnx.export(
        _exported(model, image),
        input_names=['image'],
        output_names=['beliefs'],
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    program.model.metadata_props.update(extra)
    program.save(str(part))
    session = onnxruntime.InferenceSession(part.read_bytes())

    def run(batch: Tensor) -> Tensor:
        (beliefs,) = session.run(None, {'image': np.asarray(batch)})
        return torch.from_numpy(beliefs)

    return run
