"""Run a script of MMPose or cpm_plugin with the components registered.

    python -m cpm_plugin.mmpose SCRIPT ARGUMENTS...

SCRIPT is a path inside the installed MMPose or cpm_plugin, or else the path of a file. Its own
options follow it. Examples:

    python -m cpm_plugin.mmpose tools/train.py CONFIG
    python -m cpm_plugin.mmpose tools/analysis_tools/get_flops.py CONFIG --input-shape 256 192
    python -m cpm_plugin.mmpose demo/image_demo.py IMAGE CONFIG CHECKPOINT --device cpu ...
    python -m cpm_plugin.mmpose demo/inferencer_demo.py IMAGE --pose2d CONFIG --device cpu ...

The programs of cpm_plugin run in the same way where there is no clone of the repository:

    python -m cpm_plugin.mmpose tools/demo.py IMAGE

Exit codes: those of the script; 2 if there is no such script.
"""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

from .compat import end_distributed
from .options import options_checked

import mmpose


def find_script(name: str) -> Path:
    """Find a script by its path inside the installed MMPose or cpm_plugin, or else by its own path.

    A wheel of MMPose has its tools and demos in ``mmpose/.mim``. An editable install may have
    them beside the package, in the repository. A wheel of cpm_plugin has its own in
    ``cpm_plugin/.mim``.

    Args:
        name: Path of the script, such as ``tools/train.py``.

    Returns:
        Path of the file.

    Raises:
        ValueError: If there is no such script. The message names the places searched.
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
    """Run a script with arguments, as ``__main__``.

    The import of this package has already applied ``compat`` and registered the components.

    Args:
        name: See ``find_script``.
        arguments: Command-line arguments of the script.

    Raises:
        ValueError: If there is no such script.
        SystemExit: With an error's message alone, where ``is_for_users`` allows it.
    """
    script = find_script(name)
    sys.argv = [str(script), *arguments]
    try:
        with options_checked():
            runpy.run_path(str(script), run_name='__main__')
        end_distributed()
    except (FileNotFoundError, ImportError, ValueError) as error:
        if not is_for_users(error, arguments):
            raise
        sys.exit(f'error: {error}')


def is_for_users(error: Exception, arguments: list[str]) -> bool:
    """Tell whether the message of an error says to a user all that its traceback could.

    These are this package's own errors, which name the value, the rule and the remedy, and errors
    about a missing file that is an argument.

    Args:
        error: Error that a script has ended with.
        arguments: Command-line arguments of the script.

    Returns:
        Whether it is one of them.
    """
    if isinstance(error, FileNotFoundError):
        words = re.split(r"[\s'\"]+", str(error))
        return any(argument in words for argument in arguments)
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = '' if trace is None else trace.tb_frame.f_globals.get('__name__', '')
    return place.startswith(f'{__package__.partition(".")[0]}.')


def main() -> int:
    """Run the script that the command line names.

    Returns:
        Exit code: 0 when done, 2 if there is no such script or none is named.
    """
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
