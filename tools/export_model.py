"""Write a trained network as a file for other programs: ONNX, TorchScript or PyTorch's pt2.

    python tools/export_model.py cpm_movenet_3s movenet.onnx
    python tools/export_model.py cpm_movenet_3s joints.onnx --decode
    python tools/export_model.py cpm_slim_3s slim.pt --format torchscript --half
    python tools/export_model.py cpm_slim_3s own.pt2 --format pt2 --checkpoint epoch_12.pth

The file takes batches of any size of crops around people, and gives the belief maps of the last
stage. With --decode it gives keypoints (N, K, 2), x and y in pixels of the crop, and scores (N, K).
A flip test is not in the file: it averages belief maps, so it needs a file without --decode.

Names of joints, colors, scaling, crop, coordinates and outputs are in it, as JSON: in the metadata
of ONNX (cpm.json), or as an extra file (torch.jit.load and torch.export.load take _extra_files and
extra_files). The file is compared with the network on random crops, in batches of 1, 2 and 5, and
is not written if it computes something else.

The format onnx needs pip install '.[onnx]'.

Exit codes: 0 when done; 1 if the network cannot be exported; 2 for wrong arguments.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from cpm_plugin.apps.arguments import check_packaged, check_there

FORMATS = ('onnx', 'torchscript', 'pt2')


def main(argv: list[str] | None = None) -> int:
    """Run the program; return its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('model', metavar='MODEL', help='one of cpm_plugin.list_models()')
    parser.add_argument('out', metavar='FILE', type=Path, help='new file to write')
    parser.add_argument(
        '--format', default='onnx', choices=FORMATS, help='kind of file (default: %(default)s)'
    )
    parser.add_argument('--half', action='store_true', help='compute in float16')
    parser.add_argument(
        '--decode', action='store_true', help='give keypoints and scores instead of belief maps'
    )
    parser.add_argument(
        '--checkpoint',
        metavar='FILE',
        type=Path,
        help='weights (default: those of the package)',
    )
    args = parser.parse_args(argv)
    try:
        if args.checkpoint is None:
            check_packaged(args.model)
        else:
            check_there(args.checkpoint)
        if args.out.exists():
            raise ValueError(f'{args.out} exists; give the name of a new file')
    except ValueError as error:
        parser.error(str(error))
    from cpm_plugin.core.models.registry import create_model
    from cpm_plugin.core.prediction.export import export_network

    try:
        own = args.checkpoint is not None
        network = create_model(args.model, pretrained=not own, checkpoint=args.checkpoint)
        found = export_network(
            network, args.out, format=args.format, half=args.half, decode=args.decode
        )
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        print(f'error: {" ".join(str(error).split())[:500]}', file=sys.stderr)
        return 1
    size = args.out.stat().st_size / 1e6
    print(f'{args.out}: {args.format}, {size:.1f} MB, differs by {found:.1e} of the largest belief')
    return 0


if __name__ == '__main__':
    sys.exit(main())
