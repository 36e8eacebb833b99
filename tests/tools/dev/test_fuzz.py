"""The fuzzer finds each kind of fault that is planted, and none in the package."""

import dataclasses
import os
import random
import re
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip('mmengine')
pytestmark = pytest.mark.skipif(sys.platform != 'linux', reason='it limits memory as on Linux')

FOLDER = Path(__file__).resolve().parents[3] / 'tools' / 'dev'


@pytest.fixture(scope='module')
def fuzz():
    """Its modules, which find each other in their folder."""
    sys.path.insert(0, str(FOLDER))
    try:
        import fuzz
        import fuzz_kinds
        import fuzz_mutations
        import fuzz_runner
    finally:
        sys.path.remove(str(FOLDER))
    return SimpleNamespace(
        main=fuzz.main, cases=fuzz.cases, names=fuzz.NAMES, kinds=fuzz_kinds,
        mutations=fuzz_mutations, runner=fuzz_runner,
    )  # fmt: skip


@pytest.fixture
def run(fuzz):
    """Judges cases of one kind, whose files are read by a function."""

    def write(folder):
        (folder / 'a.txt').write_text('1 2 3')
        return [folder / 'a.txt']

    def run(read, numbers=range(4), memory=10**9, limit=20, may_differ=True):
        kind = fuzz.kinds.Kind(
            'planted', write, lambda path, _: read(path), fuzz.mutations.BYTES,
            lambda original, done: may_differ,
        )  # fmt: skip
        with fuzz.runner.Fuzzer([kind], seed=0, memory=memory, limit=limit) as fuzzer:
            return sorted(fuzzer.run(numbers, workers=2), key=lambda outcome: outcome.number)

    return run


def is_original(path):
    return path.read_bytes() == b'1 2 3'


def planted(fault):
    """A reader that is right for the original and has a fault for all others."""
    return lambda path: np.arange(3.0) if is_original(path) else fault(path)


def no_value_error(path):
    raise KeyError(str(path))


def no_name(path):
    raise ValueError('it is broken')


def only_the_last_name(path):
    raise ValueError(f'{path.name} is broken')


def not_printable(path):
    raise ValueError(f'{path}: \ud800')


def takes_memory(path):
    return np.zeros(300_000_000, np.uint8)


def hides_that_it_takes_memory(path):
    try:
        bytearray(300_000_000)
    except MemoryError as error:
        raise ValueError(f'{path} is broken') from error


def nested_nan(path):
    return {'a': [(1.0, np.float32('nan'))]}


FAULTS = {
    no_value_error: r'no ValueError: KeyError: .* \(test_fuzz\.py:\d+\)',
    no_name: 'a message without the name of the file: ValueError: it is broken',
    only_the_last_name: 'a message without the name of the file',
    not_printable: 'a message that cannot be printed',
    nested_nan: 'read with values that are NaN or infinite',
    lambda path: np.array([1, np.inf]): 'read with values that are NaN or infinite',
    lambda path: os._exit(3): 'a crash: the process ended with code 3',
    lambda path: os.kill(os.getpid(), signal.SIGKILL): 'a crash: the process ended with code -9',
}


@pytest.mark.parametrize(('fault', 'note'), FAULTS.items())
def test_planted_faults_are_found(run, fault, note):
    outcomes = run(planted(fault))
    assert [outcome.number for outcome in outcomes] == [0, 1, 2, 3]
    for outcome in outcomes:
        assert outcome.what == 'finding' and re.match(note, outcome.note), outcome


@pytest.fixture
def free_heap():
    """640 MB of free memory in the heap of this process, which a last block keeps there."""
    np.empty(31_000_000, np.uint8)  # glibc takes blocks up to this size from its heap from now on
    blocks = [np.empty(16_000_000, np.uint8) for _ in range(41)]
    del blocks[:-1]
    yield
    del blocks


@pytest.mark.parametrize('fault', [takes_memory, hides_that_it_takes_memory])
def test_memory_beyond_the_bound_is_found(run, fault, free_heap):
    for outcome in run(planted(fault), range(2), memory=200_000_000):
        assert outcome.what == 'finding' and outcome.note.startswith('more memory than allowed')
    assert all('memory' not in outcome.note for outcome in run(planted(fault), range(2)))


def test_a_hang_costs_its_case_alone(run):
    def hang(path):
        if path.parent.name == 'case_2':
            time.sleep(100)
        raise ValueError(f'{path} is broken')

    outcomes = run(planted(hang), numbers=range(6), limit=0.5)
    assert [outcome.what for outcome in outcomes] == [
        *['refused by name'] * 2, 'finding', *['refused by name'] * 3
    ]  # fmt: skip
    assert outcomes[2].note == 'a hang: not read after 0.5 s'


def test_values_are_compared(run):
    same = run(lambda path: np.arange(3.0))
    assert {outcome.what for outcome in same} == {'read equal'}
    other = planted(lambda path: np.arange(4.0))
    assert {outcome.what for outcome in run(other)} == {'cannot be told'}
    for outcome in run(other, may_differ=False):
        assert outcome.note == 'read with another value, against its checksums'


def test_a_file_whose_original_is_refused_must_not_be_read(run):
    def read(path):
        if is_original(path):
            raise ValueError(f'{path} is no such file')

    for outcome in run(read):
        assert outcome.note == 'read, although the original is refused'


# -- the program


def test_a_sample_of_all_kinds_has_no_findings(fuzz, capsys):
    assert fuzz.main(['--count', '60', '--workers', '1']) == 0
    shown = capsys.readouterr().out
    rows = re.findall(
        r'^\| ([\w .]+) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|$', shown, re.M
    )
    assert [row[:2] for row in rows] == [*((name, '5') for name in fuzz.names), ('all', '60')]
    assert rows[-1][5] == '0' and int(rows[-1][2]) > 30
    assert all(int(row[1]) == sum(map(int, row[2:])) for row in rows)
    assert fuzz.main(['--count', '60', '--workers', '2']) == 0
    assert capsys.readouterr().out == shown


def test_a_finding_comes_with_the_command_that_repeats_it(fuzz, capsys, monkeypatch, tmp_path):
    place = fuzz.names.index('caffemodel')
    kinds = list(fuzz.kinds.KINDS)

    def read(path, folder):
        return None if path.parent == folder else no_name(path)

    kinds[place] = dataclasses.replace(kinds[place], read=read)
    monkeypatch.setitem(fuzz.main.__globals__, 'KINDS', tuple(kinds))
    assert fuzz.main(['--count', '3', '--seed', '4', '--kind', 'caffemodel']) == 1
    shown = capsys.readouterr().out
    numbers = re.findall(r'fuzz\.py --seed 4 --only (\d+)$', shown, re.M)
    assert numbers == [str(place + len(kinds) * turn) for turn in range(3)]
    words = ['--seed', '4', '--only', numbers[1], '--keep', str(tmp_path / 'case')]
    assert fuzz.main(words) == 1
    shown = capsys.readouterr().out
    (kept,) = (tmp_path / 'case').iterdir()
    assert shown.startswith(f'{kept}: ') and f'--only {numbers[1]}\n' in shown
    assert shown.count('it is broken') == 1


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (['--count', '0'], 'must be a whole number from 1 on'),
        (['--memory', '2'], 'is no size'),
        (['--memory', '0GB'], 'is no size'),
        (['--kind', 'video'], "invalid choice: 'video'"),
        (['--keep', 'x'], 'give --only N, too'),
        (['--only', '3', '--keep', __file__], 'is a file; give a folder'),
    ],
)
def test_wrong_arguments_are_refused(fuzz, capsys, words, message):
    with pytest.raises(SystemExit, match='2'):
        fuzz.main(words)
    assert message in capsys.readouterr().err


def test_cases_of_some_kinds_are_those_of_all_kinds(fuzz):
    assert fuzz.cases(30, fuzz.names) == list(range(30))
    count = len(fuzz.names)
    assert fuzz.cases(3, [fuzz.names[2], fuzz.names[0]]) == [0, 2, count]


# -- mutations


def test_mutations_depend_on_the_generator_alone_and_change_files(fuzz):
    content = b'{"a": [1, 2.5, "text", null], "b": 3}' * 20
    for operation in {*fuzz.mutations.IMAGE, *fuzz.mutations.TEXT, *fuzz.mutations.ARCHIVE}:
        made = [operation(content, random.Random(n)) for n in range(8)]
        assert made == [operation(content, random.Random(n)) for n in range(8)], operation
        assert sum(one != content for one in made) > 4, operation
        assert all(isinstance(operation(b'', random.Random(n)), bytes) for n in range(8)), operation


def test_edited_archives_have_right_checksums(fuzz, tmp_path):
    import zipfile

    path = tmp_path / 'a.pth'
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('a/data.pkl', b'K\x01' * 9)
        archive.writestr('a/data/0', bytes(40))
    content = path.read_bytes()
    seen = set()
    for number in range(40):
        path.write_bytes(fuzz.mutations.edit_archive(content, random.Random(number)))
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None
            seen.add(tuple(archive.namelist()))
    assert len(seen) > 3 and path.read_bytes() != content
