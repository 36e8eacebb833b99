"""Compare our networks with the authors' deploy files, which OpenCV's importer of Caffe nets runs.

    python tools/dev/compare_caffe.py model/_trained_FLIC/pose_deploy.prototxt --model cpm_flic
    python tools/dev/compare_caffe.py DEPLOY.prototxt --model cpm_mpii --weights MODEL.caffemodel

Both engines get the same .caffemodel, random weights by default, a random image and, where
the network has one, a random center map.

It prints a table: for each size and stage the standard deviation of OpenCV's belief maps or fields,
and the largest difference between the two, relative to the largest value of these maps. It writes
nothing without --golden.

The deploy files are in the model/ folder of the authors' release
(github.com/shihenw/convolutional-pose-machines-release), and in models/pose/ of OpenPose
(github.com/CMU-Perceptual-Computing-Lab/openpose):

    cpm_mpii, cpm_lsp    pose_deploy_centerMap
    cpm_flic             pose_deploy
    cpm_mpii_vgg         pose_deploy_resize
    cpm_person           pose_deploy_copy_4sg_resize
    openpose_coco        coco/pose_deploy_linevec
    openpose_body25      body_25/pose_deploy

It needs OpenCV 4 (tested with 4.11). OpenCV 5 does not have this importer.

Exit codes: 0 if all agree; 1 if a difference is above 1e-4; 2 for wrong arguments or files.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import textwrap
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from random_caffe import random_inputs, random_layers, write_caffemodel

from cpm_plugin.core.conversion.caffe_networks import (
    CAFFE_MODELS,
    load_caffemodel,
    output_layers,
)
from cpm_plugin.core.models.affinity_network import AffinityPoseMachine
from cpm_plugin.core.models.registry import create_model

LIMIT = 1e-4
Maps = list[NDArray[np.float32]]  # (1, C, h, w), in the order of output_layers


def size(text: str) -> tuple[int, int]:
    """Parse ``HEIGHTxWIDTH``, such as ``104x136``; return height and width."""
    match = re.fullmatch(r'(\d+)x(\d+)', text)
    if not match:
        raise argparse.ArgumentTypeError(f'{text!r} is no HEIGHTxWIDTH, such as 104x136')
    return int(match[1]), int(match[2])


def run_opencv(deploy: Path, weights: Path, name: str, data: NDArray[np.float32]) -> Maps:
    """Compute the maps of every stage by OpenCV.

    Args:
        deploy: The authors' deploy file.
        weights: A ``.caffemodel``.
        name: Name of our network.
        data: (1, 3 or 4, H, W), image and center map.

    Returns:
        Maps (1, C, h, w) in the order of ``output_layers``.

    Raises:
        ValueError: If the file is no deploy file, or does not fit the weights.
    """
    dims = iter(data.shape)
    text, count = re.subn(
        r'(?<=input_dim:)\s*\d+',
        lambda _: f' {next(dims)}',
        deploy.read_text(errors='replace'),
        count=4,
    )
    if count != 4:
        raise ValueError(f'{deploy} is no deploy file of the authors: it has not four input_dim')
    try:
        net = cv2.dnn.readNetFromCaffe(
            np.frombuffer(text.encode(), np.uint8), np.fromfile(weights, np.uint8)
        )
        # Plain convolutions in float32, one layer at a time.
        net.enableWinograd(False)
        net.enableFusion(False)
        net.setInput(data)
        return list(net.forward(list(output_layers(name))))
    except cv2.error as error:
        reason = textwrap.shorten(error.err, 100, placeholder=' ...')
        raise ValueError(
            f"OpenCV cannot run {deploy} with the weights of {name}; is it that network's deploy "
            f'file? ({reason})'
        ) from error


@torch.no_grad()
def run_ours(model: torch.nn.Module, name: str, *inputs: NDArray[np.float32]) -> Maps:
    """Compute the maps of every stage by our network, in the order of ``output_layers``."""
    stages = model(*map(torch.from_numpy, inputs))
    if isinstance(model, AffinityPoseMachine):
        stages = [getattr(stages[stage], kind) for stage, kind in output_layers(name).values()]
    return [maps.numpy() for maps in stages]


def difference(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> float:
    """Return the largest difference over the largest value; infinite if the shapes differ."""
    if ours.shape != theirs.shape:
        return float('inf')
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


def golden(maps: Maps, layers: dict) -> dict:
    """Return 9 cells of each stage of OpenCV's maps, for ``test_caffe_networks.py``."""
    height, width = maps[0].shape[2:]
    cells = [(y, x) for y in (0, height // 2, height - 1) for x in (0, width // 2, width - 1)]
    first = next(iter(layers.values()))[0]
    return {
        'first_weights': numbers(first.ravel()[:4]),
        'largest': numbers(np.array([np.abs(stage).max() for stage in maps])),
        'cells': [
            {'y': y, 'x': x, 'stages': [numbers(stage[0, :, y, x]) for stage in maps]}
            for y, x in cells
        ],
    }


def numbers(values: NDArray[np.float32]) -> list[float]:
    """Convert to floats with as many digits as float32 needs."""
    return [float(f'{value:.9g}') for value in values]


def main(argv: list[str] | None = None) -> int:
    """Run the program; return 0 or 1, or exit with code 2."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('deploy', metavar='DEPLOY.prototxt', type=Path, help="the authors' file")
    parser.add_argument('--model', required=True, choices=CAFFE_MODELS, help='our network')
    parser.add_argument(
        '--weights',
        metavar='MODEL.caffemodel',
        type=Path,
        help="the authors' weights (default: random ones)",
    )
    parser.add_argument(
        '--seed', type=int, default=0, help='seed of random weights and image (default: 0)'
    )
    text = 'HEIGHTxWIDTH (default: 104x136, 105x137 or for cpm_mpii_vgg 106x138, and 368x368)'
    parser.add_argument('--size', type=size, nargs='+', help=text)
    text = "add OpenCV's values at the first size to the tests' file (random weights only)"
    parser.add_argument('--golden', metavar='FILE.json', type=Path, help=text)
    args = parser.parse_args(argv)
    if not hasattr(cv2.dnn, 'readNetFromCaffe'):
        parser.error(
            f'OpenCV {cv2.__version__} has no importer of Caffe nets; install version 4.11'
        )
    if args.golden and args.weights:
        parser.error('--golden is for random weights; leave out --weights')
    # At 105, Caffe's pools give image and center map different sizes for cpm_mpii_vgg.
    odd = (106, 138) if args.model == 'cpm_mpii_vgg' else (105, 137)
    try:
        return compare(args, args.size or [(104, 136), odd, (368, 368)])
    except (ValueError, OSError) as error:
        parser.exit(2, f'{parser.prog}: {" ".join(str(error).split())}\n')


def compare(args: argparse.Namespace, sizes: list[tuple[int, int]]) -> int:
    """Compare at all sizes and print the table; return the exit code, or raise ValueError."""
    if not args.deploy.is_file():
        raise ValueError(f'{args.deploy} is no file')
    cv2.setLogLevel(0)  # silent: OpenCV raises its errors as well
    with tempfile.TemporaryDirectory() as folder:
        weights = args.weights
        if weights is None:
            layers, weights = random_layers(args.model, args.seed), Path(folder) / 'random'
            write_caffemodel(weights, layers)
        model = create_model(args.model).eval()
        model.load_state_dict(load_caffemodel(weights, args.model))
        found: list[float] = []
        for height, width in sizes:
            inputs = random_inputs(height, width, args.seed)
            several = isinstance(model, AffinityPoseMachine)
            inputs = inputs if not several and model.stages.center_map else inputs[:1]
            ours = run_ours(model, args.model, *inputs)
            theirs = run_opencv(args.deploy, weights, args.model, np.concatenate(inputs, axis=1))
            if not found:
                weights_of = args.weights or f'random, {args.seed}'
                print(f'{args.model}, {args.deploy}, weights: {weights_of}')
                print('| size | stage | maps | deviation | difference / largest value |')
                print('| --- | --- | --- | --- | --- |')
            for (stage, kind), *maps in zip(output_layers(args.model).values(), ours, theirs):
                found.append(difference(*maps))
                start = f'| {height}x{width} | {stage + 1} | {kind}'
                print(f'{start} | {maps[1].std():.3f} | {found[-1]:.1e} |')
            if args.golden and (height, width) == sizes[0]:
                known = json.loads(args.golden.read_text()) if args.golden.exists() else {}
                known[args.model] = {
                    'engine': f'OpenCV {cv2.__version__}',
                    'seed': args.seed,
                    'size': [height, width],
                    **golden(theirs, layers),
                }
                lines = (f'"{name}": {json.dumps(entry)}' for name, entry in known.items())
                args.golden.write_text('{\n' + ',\n'.join(lines) + '\n}\n')
    print(f'largest difference: {max(found):.1e} ({LIMIT} is allowed)')
    return int(not all(one <= LIMIT for one in found))  # NaN is no agreement


if __name__ == '__main__':
    sys.exit(main())
