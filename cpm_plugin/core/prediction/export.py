"""Networks as files for other programs: ONNX, TorchScript and PyTorch's exported programs."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
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
from .decoded import DecodedPeaks, peaks_apart

FORMATS = {'onnx': '.onnx', 'torchscript': '.pt', 'pt2': '.pt2'}
METADATA = 'cpm.json'  # name of the entry with what a user of the file has to know
# Batches that the exported network is compared with the original on.
_BATCHES = (1, 2, 5)
# Largest difference of belief maps, relative to the largest belief, that is rounding.
_TOLERANCE = {torch.float32: 1e-4, torch.float16: 2e-2}

_Run = Callable[[Tensor], Any]
_OUTPUTS = {False: ('beliefs',), True: ('keypoints', 'scores')}  # by whether they are decoded


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


def describe_network(network: ConvolutionalPoseMachine, *, decode: bool = False) -> dict[str, Any]:
    """Describe what a user of an exported network has to know.

    Args:
        network: Network with ``joints`` and ``input_size``.
        decode: Whether the file gives keypoints and scores, see ``export_network``.

    Returns:
        Names of the joints, links, size, colors and scaling of the input, the crop around a person,
            where the center of a cell lies, and the outputs. It can be written as JSON.

    Raises:
        ValueError: If the network has no ``joints`` or no ``input_size``, or is for several people.
    """
    if isinstance(network, AffinityPoseMachine):
        raise ValueError(f'this network cannot be exported: {REFUSAL}')
    if network.joints is None or network.input_size is None:
        raise ValueError(
            'the network has no joints or no input_size; give both to create_model or '
            'build_network, for example joints=JointSet(names) (of cpm_plugin.core)'
        )
    names = network.joints.names
    stride = network.trunks.stride
    channels = len(names) + network.stages.background
    beliefs = {'beliefs': ['batch', channels, 'height', 'width']}
    keypoints = {'keypoints': ['batch', len(names), 2], 'scores': ['batch', len(names)]}
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
        'decoded': decode,  # then keypoints are x, y in pixels of the input
        'outputs': keypoints if decode else beliefs,
    }


def export_network(
    network: ConvolutionalPoseMachine,
    path: str | Path,
    *,
    format: str = 'onnx',
    half: bool = False,
    decode: bool = False,
) -> float:
    """Write a network as a file for other programs, and compare it with the original.

    The file takes batches of any size of crops of ``network.input_size``, and gives the belief maps
    of the last stage, or the keypoints in them. The flip test of ``predict`` is not in it: it
    averages the belief maps of an image and its mirror image. What a user has to know
    (``describe_network``) is in the file as JSON: in ONNX's metadata, or in the extra file
    ``METADATA`` of the other two.

    Args:
        network: Trained network with ``joints`` and ``input_size``. It is not changed.
        path: File to write. It must not be there yet.
        format: ``'onnx'``, ``'torchscript'`` or ``'pt2'`` (``torch.export``).
        half: Compute in float16, with an input and an output in float16.
        decode: Give keypoints (N, K, 2), x and y in pixels of the input, and scores (N, K), as
            ``decode_peaks`` finds them in the belief maps. They are in float32, also with ``half``.

    Returns:
        Largest difference of the belief maps of the file from those of the network, for random
            crops in batches of 1, 2 and 5, relative to the largest belief. With ``decode``, that
            of keypoints and scores, see ``peaks_apart``.

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
    about = json.dumps(describe_network(network, decode=decode))
    dtype = torch.float16 if half else torch.float32
    exact = LastStage(optimize_for_inference(network).float())
    model: nn.Module = LastStage(optimize_for_inference(network).to(dtype))
    apart: Callable[[Any, Tensor], float] = beliefs_apart
    if decode:
        stride = network.trunks.stride
        model = DecodedPeaks(model, network.stages.num_keypoints, stride).eval()
        apart = partial(peaks_apart, stride=stride)
    size = network.input_size or 0  # which describe_network has looked at
    image = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0)) - 0.5
    write = {'onnx': _write_onnx, 'torchscript': _write_torchscript, 'pt2': _write_pt2}[format]
    try:
        with whole_file(Path(path), new=True) as part, torch.no_grad():
            run = write(model, image.to(dtype), part, {METADATA: about}, _OUTPUTS[decode])
            found = difference(run, exact, image, dtype, apart)
            if not found <= _TOLERANCE[dtype]:
                raise ValueError(
                    f'{path} is not written: as {format} the network computes something else, a '
                    f'difference of {found:.1e} of the largest belief; give another format'
                )
    except FileExistsError as error:
        raise ValueError(f'{path} exists; give the name of a new file') from error
    return found


def difference(
    run: _Run,
    model: nn.Module,
    image: Tensor,
    dtype: torch.dtype,
    apart: Callable[[Any, Tensor], float],
) -> float:
    """Compare an exported network with the original.

    Args:
        run: The exported network: (N, 3, H, W) -> its outputs.
        model: The original, in float32: (N, 3, H, W) -> belief maps.
        image: (N, 3, H, W) in float32; its values are taken for batches of 1, 2 and 5.
        dtype: Type of the input of ``run``.
        apart: Measures by how much outputs of ``run`` miss belief maps of ``model``.

    Returns:
        Largest difference of a batch.
    """
    batches = (
        torch.cat([image.roll(shift, dims=3) for shift in range(count)])[:count]
        for count in _BATCHES
    )
    return max(apart(run(batch.to(dtype)), model(batch)) for batch in batches)


def beliefs_apart(found: Tensor, expected: Tensor) -> float:
    """Measure by how much belief maps differ.

    Args:
        found: (N, C, h, w), in any type.
        expected: (N, C, h, w), in float32.

    Returns:
        Largest difference, relative to the largest belief. Infinite for other shapes and NaN.
    """
    if found.shape != expected.shape:
        return float('inf')
    error = float((found.float() - expected).abs().max() / expected.abs().max())
    return error if error == error else float('inf')


def _exported(model: nn.Module, image: Tensor) -> torch.export.ExportedProgram:
    shapes = ({0: torch.export.Dim('batch')},)
    return torch.export.export(model, (image,), dynamic_shapes=shapes)


def _write_pt2(
    model: nn.Module, image: Tensor, part: Path, extra: Mapping[str, str], outputs: Sequence[str]
) -> _Run:
    with open(part, 'wb') as file:
        torch.export.save(_exported(model, image), file, extra_files=dict(extra))
    with open(part, 'rb') as file:
        run: _Run = torch.export.load(file).module()
    return run


def _write_torchscript(
    model: nn.Module, image: Tensor, part: Path, extra: Mapping[str, str], outputs: Sequence[str]
) -> _Run:
    with warnings.catch_warnings():  # about checks of shapes; other batches are compared below
        warnings.simplefilter('ignore', torch.jit.TracerWarning)
        traced = torch.jit.trace(model, image, check_trace=False)  # type: ignore[no-untyped-call]
    torch.jit.save(traced, str(part), _extra_files=dict(extra))
    run: _Run = torch.jit.load(str(part))  # type: ignore[no-untyped-call]
    return run


def _write_onnx(
    model: nn.Module, image: Tensor, part: Path, extra: Mapping[str, str], outputs: Sequence[str]
) -> _Run:
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
        output_names=list(outputs),
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    program.model.metadata_props.update(extra)
    program.save(str(part))
    session = onnxruntime.InferenceSession(part.read_bytes())

    def run(batch: Tensor) -> Any:
        found = session.run(list(outputs), {'image': np.asarray(batch)})
        tensors = [torch.from_numpy(one) for one in found]
        return tensors if len(tensors) > 1 else tensors[0]

    return run
