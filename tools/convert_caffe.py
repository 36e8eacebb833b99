"""Convert weights that the authors trained with Caffe; Caffe itself is not needed.

    python tools/convert_caffe.py pose_iter_985000_addLEEDS.caffemodel cpm_mpii.pth --model cpm_mpii
    python tools/convert_caffe.py pose_iter_40000.caffemodel cpm_flic.pth --model cpm_flic

testing/get_model.sh of the authors' release downloads these files into its folder model/
(github.com/shihenw/convolutional-pose-machines-release):

    --model        file                                            what it is
    cpm_mpii       _trained_MPI/pose_iter_985000_addLEEDS          MPII and LSP, 6 stages
                   _trained_MPI/pose_iter_630000                   MPII alone
    cpm_lsp        _trained_LEEDS_PC/pose_iter_395000              LSP alone
    cpm_flic       _trained_FLIC/pose_iter_40000                   FLIC, 4 stages
    cpm_mpii_vgg   _trained_MPI/pose_iter_320000                   MPII, VGG trunk
    cpm_person     _trained_person_MPI/pose_iter_70000             where people are, VGG trunk

models/getModels.sh of OpenPose downloads these into its folder models/pose/
(github.com/CMU-Perceptual-Computing-Lab/openpose), for several people:

    --model          file                                          what it is
    openpose_coco    coco/pose_iter_440000                         COCO, 18 keypoints
    openpose_body25  body_25/pose_iter_584000                      25 keypoints, with feet

It writes the new file OUT.pth and prints what is in it. To use the file:

- without MMPose: cpm_plugin.create_model('cpm_mpii', checkpoint='cpm_mpii.pth');
- in MMPose: as the checkpoint of a config of the same network. OpenPose's have no config.

cpm_mpii and cpm_lsp are the same network. Give the one that the weights are of.

Exit codes: 0 when done; 2 for wrong arguments, or weights that do not fit. Then nothing is written.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from pathlib import Path

from cpm_plugin.apps.arguments import check_there

MODELS = (  # CAFFE_MODELS
    'cpm_mpii', 'cpm_lsp', 'cpm_flic', 'cpm_mpii_vgg', 'cpm_person', 'openpose_coco',
    'openpose_body25',
)  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    """Run the program; return 0, or exit with code 2."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'source', metavar='MODEL.caffemodel', type=Path, help="the authors' weights"
    )
    parser.add_argument(
        'out', metavar='OUT.pth', type=Path, help='new file to write; makes its folder'
    )
    parser.add_argument('--model', required=True, choices=MODELS, help='network of the weights')
    args = parser.parse_args(argv)
    try:
        check_there(args.source)
    except ValueError as error:
        parser.exit(2, f'{parser.prog}: {error}\n')
    import torch

    from cpm_plugin.core.conversion.caffe_networks import load_caffemodel
    from cpm_plugin.core.models.registry import create_model
    from cpm_plugin.core.weights.checkpoints import to_mmpose, write_checkpoint

    with torch.device('meta'):
        joints = list(create_model(args.model).joints.names)
    try:
        state = load_caffemodel(args.source, args.model)
        sha256 = hashlib.sha256(args.source.read_bytes()).hexdigest()
        meta = dict(model=args.model, joints=joints, source=args.source.name, sha256=sha256)
        write_checkpoint(args.out, to_mmpose(state), meta)
    except (ValueError, OSError) as error:
        parser.exit(2, f'{parser.prog}: {error}\n')
    count = sum(value.numel() for value in state.values())
    layers = len({key.rpartition('.')[0] for key in state})
    print(f'{args.source} (sha256 {sha256}): {layers} layers of {args.model}')
    print(f'joints: {", ".join(joints)}')
    print(f'{args.out}: {count:,} weights')
    print(f'to use: cpm_plugin.create_model({args.model!r}, checkpoint={str(args.out)!r})')
    return 0


if __name__ == '__main__':
    sys.exit(main())
