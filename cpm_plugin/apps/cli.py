"""The command ``cpm``: programs of ``tools/``, and what needs nothing of OpenMMLab."""

from __future__ import annotations

import argparse
import runpy
import sys
from pathlib import Path

from .arguments import expand, packaged_models

PACKAGE = Path(__file__).resolve().parents[1]
# Commands that are programs of tools/, with what they do.
PROGRAMS = {
    'demo': ('demo.py', 'draw poses in images, folders and videos, with MMPose'),
    'app': ('app.py', 'a page in the browser: beliefs of every stage, and what came before'),
    'train': ('train.py', "train by a config (MMPose's own script)"),
    'test': ('test.py', "test a checkpoint (MMPose's own script)"),
    'stages': ('analysis/stages.py', 'accuracy and belief maps of every stage'),
    'compare': ('compare.py', 'compare trained models'),
    'check': ('check_dataset.py', 'check images and annotations before training'),
    'publish': ('publish_model.py', 'publish trained weights'),
    'convert-caffe': ('convert_caffe.py', "convert the authors' Caffe weights"),
    'convert-mmpose': ('convert_mmpose_cpm.py', "convert checkpoints of MMPose's CPM"),
    'export': ('export_model.py', 'write a network as ONNX, TorchScript or pt2'),
    'benchmark': ('benchmark.py', "time the network beside MMPose's"),
}
HELP = """Convolutional Pose Machines.

    cpm predict IMAGE ...     poses in images, without OpenMMLab
    cpm models                the networks, and those with weights
{programs}

cpm COMMAND --help says more. Exit codes: 0 when done, 1 if something failed, 2 for wrong arguments.
"""


def main(argv: list[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: The command and its arguments; by default those of the process.

    Returns:
        Exit code: 0 when done, 1 if something failed, 2 for wrong arguments.
    """
    words = sys.argv[1:] if argv is None else argv
    if not words or words[0] in ('-h', '--help'):
        programs = '\n'.join(f'    cpm {name:22}{about}' for name, (_, about) in PROGRAMS.items())
        print(HELP.format(programs=programs), end='')
        return 0 if words else 2
    name, *arguments = words
    if name == 'predict':
        return predict(arguments)
    if name == 'models':
        return models(arguments)
    if name not in PROGRAMS:
        commands = ', '.join(['predict', 'models', *PROGRAMS])
        print(f'cpm: error: no command {name!r}; there are: {commands}', file=sys.stderr)
        return 2
    return run_program(PROGRAMS[name][0], arguments)


def run_program(name: str, arguments: list[str]) -> int:
    """Run a program of ``tools/``, of the clone or of the wheel.

    Args:
        name: File name of the program.
        arguments: Its arguments.

    Returns:
        Its exit code.
    """
    places = [PACKAGE.parent / 'tools' / name, PACKAGE / '.mim' / 'tools' / name]
    script = next((place for place in places if place.is_file()), None)
    if script is None:
        print(f'cpm: error: {name} is not installed; looked at {places}', file=sys.stderr)
        return 2
    before = sys.argv
    sys.argv = [str(script), *arguments]
    try:
        runpy.run_path(str(script), run_name='__main__')
    except SystemExit as stopped:
        if isinstance(stopped.code, str):
            print(stopped.code, file=sys.stderr)
            return 1
        return stopped.code or 0
    finally:
        sys.argv = before
    return 0


def models(argv: list[str]) -> int:
    """Print the names of all networks, and which have weights in the package.

    Args:
        argv: Arguments of ``cpm models``.

    Returns:
        Exit code.
    """
    parser = argparse.ArgumentParser(prog='cpm models', description='List the named networks.')
    parser.parse_args(argv)
    from ..core.models.registry import MODELS, list_models
    from ..core.weights.zoo import read_index

    index, names = read_index(), list_models()
    width = max(map(len, names)) + 1
    for name in names:
        summary = (MODELS[name].__doc__ or '').splitlines()[0]
        summary = summary.removeprefix('Build ').replace('``', '')
        weights = f' [weights: {index[name].license}]' if name in index else ''
        print(f'{name:{width}}{summary}{weights}')
    return 0


def predict(argv: list[str]) -> int:
    """Predict and draw the poses of people in images.

    Args:
        argv: Arguments of ``cpm predict``.

    Returns:
        Exit code.

    Raises:
        SystemExit: With code 2, for wrong arguments.
    """
    parser = argparse.ArgumentParser(
        prog='cpm predict',
        description='Draw poses into FOLDER/IMAGE.png, and write keypoints into FOLDER/IMAGE.json. '
        'Needs PyTorch and Pillow, nothing of OpenMMLab.',
    )
    parser.add_argument(
        'images',
        metavar='IMAGE',
        nargs='+',
        type=Path,
        help="images, folders of these, or patterns such as 'a*.jpg'",
    )
    parser.add_argument(
        '--boxes',
        metavar='BOX',
        nargs='+',
        default=[],
        help='bounding box x1,y1,x2,y2 of each person in pixels, or a file '
        '{"a.jpg": [[x1, y1, x2, y2], ...], ...} (default: each image is the box of one person)',
    )
    parser.add_argument(
        '--model',
        default='cpm_movenet_3s',
        choices=packaged_models(),
        help='model (default: %(default)s)',
    )
    parser.add_argument('--device', default='cpu', help='device (default: %(default)s)')
    parser.add_argument(
        '--out-dir',
        metavar='FOLDER',
        type=Path,
        default=Path('poses'),
        help='folder to write into (default: %(default)s)',
    )
    args = parser.parse_args(argv)
    from ..core.prediction import predict as poses_of
    from ..core.weights.files import write_whole
    from .boxes import check_names, parse_boxes
    from .media import check_outputs, inputs_of, is_video

    try:
        found = [path for given in expand(args.images) for path in inputs_of(given)]
        images = list(dict.fromkeys(found))
        if moving := [path.name for path in images if is_video(path)]:
            raise ValueError(f'{moving[0]} is a video; cpm demo draws poses in videos, too')
        named = parse_boxes(args.boxes)
        check_names(named, images)
        taken = [Path(given) for given in args.boxes]
        check_outputs(images, args.out_dir, taken, drawing=lambda path: f'{path.stem}.png')
    except ValueError as error:
        parser.error(str(error))
    failed = 0
    for path in images:
        try:
            boxes = named.get(path.name, named.get('')) if named else None
            if named and (boxes is None or not len(boxes)):
                raise ValueError(f'--boxes has no box for {path.name}')
            poses = poses_of(path, boxes, args.model, device=args.device)
            drawing = args.out_dir / f'{path.stem}.png'
            write_whole(args.out_dir / f'{path.stem}.json', poses.to_json().encode())
            write_whole(drawing, poses.to_png())
        except (ImportError, OSError, ValueError) as error:
            print(f'error: {error}', file=sys.stderr)
            failed += 1
            continue
        people = f'{len(poses)} {"person" if len(poses) == 1 else "people"}'
        whole = '' if named else ' (no --boxes: the whole image taken as one)'
        sure = f'{(poses.scores >= 0.2).sum()} of {poses.scores.size} joints above 0.2'
        print(f'{drawing}: {people}{whole}, {sure}')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
