"""Run a stock MMPose script with compat applied: python -m cpm_plugin.mmpose SCRIPT ARGS...

SCRIPT is a path inside the installed MMPose or cpm_plugin, or else a file, for example:

    python -m cpm_plugin.mmpose demo/image_demo.py IMAGE CONFIG CHECKPOINT --device cpu ...
    python -m cpm_plugin.mmpose demo/inferencer_demo.py IMAGE --pose2d CONFIG --device cpu ...
    python -m cpm_plugin.mmpose tools/analysis_tools/get_flops.py CONFIG --input-shape 256 192
    python -m cpm_plugin.mmpose tools/train.py CONFIG

So do our own programs where there is no clone: python -m cpm_plugin.mmpose tools/demo.py IMAGE
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import mmpose


def find_script(name: str) -> Path:
    """A script by its path inside the installed MMPose or cpm_plugin, or else by its own path.

    A wheel of MMPose has its tools and demos in ``mmpose/.mim``; an editable install may
    not: there they are beside the package, in the repository. A wheel of cpm_plugin has its
    own in ``cpm_plugin/.mim``.

    Raises:
        ValueError: naming the places looked at.
    """
    package = Path(mmpose.__file__).parent
    own = Path(__file__).parents[1]
    places = [root / name for root in (package / '.mim', package.parent, own / '.mim')]
    places.append(Path(name))
    for place in places:
        if place.is_file():
            return place
    raise ValueError(f'no script {name}; looked at {", ".join(map(str, places))}')


def run_script(name: str, arguments: list[str]) -> None:
    """Run a script with these arguments, as ``__main__``.

    Compat is applied and the components are registered already: by the import of this
    module's package.
    """
    script = find_script(name)
    sys.argv = [str(script), *arguments]
    runpy.run_path(str(script), run_name='__main__')


def main() -> int:
    if len(sys.argv) < 2 or sys.argv[1] in ('-h', '--help'):
        print(__doc__)
        return 0 if len(sys.argv) > 1 else 2
    try:
        find_script(sys.argv[1])
    except ValueError as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    run_script(sys.argv[1], sys.argv[2:])
    return 0


if __name__ == '__main__':
    sys.exit(main())
