"""Read spoilt files, and look whether each is refused by name or read right.

    python tools/dev/fuzz.py                                  # 2,000 files, about a minute
    python tools/dev/fuzz.py --count 500 --kind checkpoint model
    python tools/dev/fuzz.py --only 17 --keep /tmp/case       # one file again, and keep it

Files are annotations, images, checkpoints, indices of a zoo and Caffe's. Bits are flipped, blocks
left out or repeated, numbers replaced by extreme ones, records of archives changed. A case depends
on the seed and its number alone.

Each file has to be refused by a ValueError with its name, or to be read. A finding is another
exception, a message without the name, a value that is NaN or infinite, a checkpoint that is read
with another value against its checksums, a crash, a hang, or more memory than allowed.

It prints a table, and for each finding the command that repeats it. It leaves no files without
--keep. It needs Linux.

Exit codes: 0 without findings; 1 with findings; 2 for wrong arguments.
"""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from collections import Counter
from pathlib import Path

from fuzz_kinds import KINDS
from fuzz_runner import EQUAL, FINDING, OTHER, REFUSED, Fuzzer, Outcome
from tqdm import tqdm

COLUMNS = (REFUSED, EQUAL, OTHER, FINDING)
UNITS = {'KB': 10**3, 'MB': 10**6, 'GB': 10**9}
NAMES = [kind.name for kind in KINDS]


def size(text: str) -> int:
    """Parse a size such as ``2GB``; return bytes."""
    match = re.fullmatch(r'(\d+)(KB|MB|GB)', text.upper())
    if not match or not int(match[1]):
        raise argparse.ArgumentTypeError(f'{text!r} is no size above 0, such as 500MB or 2GB')
    return int(match[1]) * UNITS[match[2]]


def at_least(lowest: int):
    """Return a parser of whole numbers from ``lowest`` on."""

    def parse(text: str) -> int:
        if not re.fullmatch(r'\d{1,9}', text) or int(text) < lowest:
            raise argparse.ArgumentTypeError(f'{text!r} must be a whole number from {lowest} on')
        return int(text)

    return parse


def cases(count: int, chosen: list[str]) -> list[int]:
    """Return the numbers of the first cases of some kinds."""
    places = [place for place, name in enumerate(NAMES) if name in chosen]
    rounds = -(-count // len(places))
    return [place + len(NAMES) * turn for turn in range(rounds) for place in places][:count]


def table(outcomes: list[Outcome]) -> str:
    """Return the table: a row for each kind, and their sum."""
    counts = Counter((outcome.kind, outcome.what) for outcome in outcomes)
    totals = Counter(outcome.what for outcome in outcomes)
    lines = ['| kind | cases | ' + ' | '.join(COLUMNS) + ' |', '| --- ' * (2 + len(COLUMNS)) + '|']
    for name in dict.fromkeys(outcome.kind for outcome in outcomes):
        row = [counts[name, column] for column in COLUMNS]
        lines.append(f'| {name} | {sum(row)} | ' + ' | '.join(map(str, row)) + ' |')
    row = [totals[column] for column in COLUMNS]
    lines.append(f'| all | {sum(row)} | ' + ' | '.join(map(str, row)) + ' |')
    return '\n'.join(lines)


def report(outcomes: list[Outcome], command: str) -> str:
    """Return the findings, each with the command that repeats it."""
    return '\n'.join(
        f'\n{outcome.kind}: {outcome.note}\n  {command} --only {outcome.number}'
        for outcome in outcomes
        if outcome.what == FINDING
    )


def keep(fuzzer: Fuzzer, number: int, folder: Path) -> str:
    """Write the spoilt file of a case into a folder; return a line about it."""
    fuzzer.prepare(fuzzer.kind(number))
    original, content, done = fuzzer.spoil(number)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / original.name).write_bytes(content)
    return f'{folder / original.name}: {", ".join(done)}'


def main(argv: list[str] | None = None) -> int:
    """Run the program; return its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    positive, natural = at_least(1), at_least(0)
    parser.add_argument(
        '--count', type=positive, default=2000, help='number of files (default: 2000)'
    )
    parser.add_argument('--seed', type=natural, default=0, help='seed of all cases (default: 0)')
    parser.add_argument('--kind', nargs='+', choices=NAMES, default=NAMES, help='default: all')
    parser.add_argument(
        '--memory',
        type=size,
        default=size('2GB'),
        metavar='SIZE',
        help='what reading one file may take (default: 2GB)',
    )
    parser.add_argument(
        '--limit', type=positive, default=10, help='seconds that it may take (default: 10)'
    )
    parser.add_argument('--workers', type=positive, default=2, help='processes (default: 2)')
    parser.add_argument('--only', type=natural, metavar='N', help='run case N alone')
    parser.add_argument(
        '--keep', type=Path, metavar='FOLDER', help='with --only: folder for the spoilt file'
    )
    args = parser.parse_args(argv)
    if args.keep and args.only is None:
        parser.error('--keep is for one case; give --only N, too')
    if args.keep and args.keep.exists() and not args.keep.is_dir():
        parser.error(f'--keep {args.keep} is a file; give a folder')
    numbers = cases(args.count, args.kind) if args.only is None else [args.only]
    with Fuzzer(KINDS, args.seed, args.memory, args.limit) as fuzzer:
        if args.keep:
            print(keep(fuzzer, args.only, args.keep))
        tqdm.monitor_interval = 0  # no thread of its own: processes are forked
        running = fuzzer.run(numbers, args.workers)
        outcomes = sorted(
            tqdm(running, total=len(numbers), unit='file'), key=lambda outcome: outcome.number
        )
    print(table(outcomes))
    command = f'{shlex.join([Path(sys.executable).name, "tools/dev/fuzz.py"])} --seed {args.seed}'
    print(report(outcomes, command))
    return int(any(outcome.what == FINDING for outcome in outcomes))


if __name__ == '__main__':
    sys.exit(main())
