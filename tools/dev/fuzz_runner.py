"""Running of cases in processes of their own, which may crash or hang; see ``fuzz.py``."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import multiprocessing
import os
import random
import resource
import shutil
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import cv2
import torch
from fuzz_kinds import Kind, is_finite, same
from fuzz_mutations import mutate

REFUSED, EQUAL, OTHER, FINDING = 'refused by name', 'read equal', 'cannot be told', 'finding'
BATCH = 64  # cases of a process
_NO_MEMORY = ('allocate', 'memory', 'bad_alloc')


@dataclass(frozen=True)
class Outcome:
    """What came of a case.

    Attributes:
        number: Number of the case.
        kind: Name of the kind.
        what: ``REFUSED``, ``EQUAL``, ``OTHER`` or ``FINDING``.
        note: Of a finding, what is wrong, in one line.
    """

    number: int
    kind: str
    what: str
    note: str = ''


class Fuzzer:
    """Makes and judges cases.

    A case depends on the seed and its number alone.

    Args:
        kinds: All kinds; case N is of kind N modulo their number.
        seed: Seed of all cases.
        memory: Bytes that reading a file may take.
        limit: Seconds that reading a file may take.
    """

    def __init__(self, kinds: Sequence[Kind], seed: int, memory: int, limit: float) -> None:
        self.kinds, self.seed, self.memory, self.limit = kinds, seed, memory, limit
        self.scratch = tempfile.TemporaryDirectory(prefix='fuzz')
        self.originals: dict[str, list[Path]] = {}
        self.expected: dict[Path, Any] = {}  # of the originals; an exception if it is refused
        self.context = multiprocessing.get_context('fork')
        torch.set_num_threads(1)
        cv2.setNumThreads(1)  # of other threads a forked process would wait for ever

    def __enter__(self) -> Fuzzer:
        return self

    def __exit__(self, *error: Any) -> None:
        self.scratch.cleanup()

    def kind(self, number: int) -> Kind:
        """Return the kind of a case."""
        return self.kinds[number % len(self.kinds)]

    def _folder(self, kind: Kind) -> Path:
        return Path(self.scratch.name) / kind.name.replace(' ', '_')

    def prepare(self, kind: Kind) -> None:
        """Write and read the originals of a kind."""
        if kind.name in self.originals:
            return
        folder = self._folder(kind)
        folder.mkdir()
        self.originals[kind.name] = kind.write(folder)
        for path in self.originals[kind.name]:
            try:
                with contextlib.redirect_stdout(None):
                    self.expected[path] = kind.read(path, folder)
            except ValueError as error:
                self.expected[path] = error

    def spoil(self, number: int) -> tuple[Path, bytes, list[str]]:
        """Return the original of a case, the spoilt content, and what was done to it."""
        rng = random.Random(f'{self.seed} {number}')
        kind = self.kind(number)
        original = rng.choice(self.originals[kind.name])
        content, done = mutate(original.read_bytes(), rng, kind.operations)
        return original, content, done

    def judge(self, number: int) -> Outcome:
        """Read the spoilt file of a case, in this process."""
        kind = self.kind(number)
        original, content, done = self.spoil(number)
        folder = Path(self.scratch.name) / f'case_{number}'
        folder.mkdir()
        path = folder / original.name
        path.write_bytes(content)
        try:
            value = kind.read(path, original.parent)
            what, note = self._judge_value(kind, original, value, done)
        except Exception as error:
            what, note = _judge_error(error, path)
        shutil.rmtree(folder)
        return Outcome(number, kind.name, what, note.replace(f'{folder}/', ''))

    def _judge_value(
        self, kind: Kind, original: Path, value: Any, done: Sequence[str]
    ) -> tuple[str, str]:
        expected = self.expected[original]
        if isinstance(expected, Exception):
            return FINDING, 'read, although the original is refused'
        if same(value, expected):
            return EQUAL, ''
        if not is_finite(value):
            return FINDING, 'read with values that are NaN or infinite'
        if not kind.may_differ(original, done):
            return FINDING, 'read with another value, against its checksums'
        return OTHER, ''

    def run(self, numbers: Sequence[int], workers: int) -> Iterator[Outcome]:
        """Judge cases in processes of their own; yield the outcomes as they come."""
        for kind in {self.kind(number).name: self.kind(number) for number in numbers}.values():
            self.prepare(kind)
        waiting = list(reversed([numbers[at : at + BATCH] for at in range(0, len(numbers), BATCH)]))
        running: list[_Worker] = []
        try:
            while waiting or running:
                while waiting and len(running) < workers:
                    running.append(_Worker(self, waiting.pop()))
                ready = wait([worker.pipe for worker in running], timeout=0.1)
                for worker in list(running):
                    if worker.pipe in ready:
                        outcome = worker.receive()
                    elif time.monotonic() - worker.since > self.limit:
                        outcome = worker.end(f'a hang: not read after {self.limit:g} s')
                    else:
                        continue
                    if outcome:
                        yield outcome
                    if worker.ended:
                        running.remove(worker)
                        if worker.left:
                            waiting.append(worker.left)
        finally:
            for worker in running:
                worker.process.kill()
                worker.process.join()


class _Worker:
    """A process, and the cases that it has yet to answer; the first of them is running."""

    def __init__(self, fuzzer: Fuzzer, numbers: Sequence[int]) -> None:
        self.fuzzer, self.left, self.ended = fuzzer, list(numbers), False
        self.pipe, theirs = fuzzer.context.Pipe(duplex=False)
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', DeprecationWarning)  # PyTorch's threads are idle
            self.process = fuzzer.context.Process(target=_work, args=(fuzzer, numbers, theirs))
            self.process.start()
        theirs.close()
        self.since = time.monotonic()

    def receive(self) -> Outcome | None:
        """Return the outcome that the process sent, or that of its death."""
        try:
            outcome = self.pipe.recv()
        except EOFError:
            self.process.join()
            if not self.left:
                self.ended = True
                return None
            return self.end(f'a crash: the process ended with code {self.process.exitcode}')
        self.left.remove(outcome.number)
        self.since = time.monotonic()
        return outcome

    def end(self, note: str) -> Outcome:
        """Kill the process; return the outcome of its running case."""
        self.process.kill()
        self.process.join()
        self.ended = True
        number = self.left.pop(0)
        return Outcome(number, self.fuzzer.kind(number).name, FINDING, note)


def _work(fuzzer: Fuzzer, numbers: Sequence[int], pipe: Connection) -> None:
    """Judge cases in this process, silently and within the memory."""
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    warnings.simplefilter('ignore')
    limit_memory(fuzzer.memory)
    for number in numbers:
        pipe.send(fuzzer.judge(number))
    pipe.close()
    os._exit(0)  # without the exit handlers of the parent's modules


def limit_memory(more: int) -> None:
    """Let this process take ``more`` bytes than it uses."""
    gc.collect()  # or what is garbage now could be taken besides
    pages = int(Path('/proc/self/statm').read_text().split()[0])
    size = pages * resource.getpagesize()
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (size, hard))
    _occupy_free_heap()
    resource.setrlimit(resource.RLIMIT_AS, (size + more, size + more))


def _occupy_free_heap() -> None:
    """Take free memory of this process's heap, in blocks from 1 MB on, while it must not grow.

    The limit is one of address space, of which the parent's freed objects are still a part.
    """
    malloc = ctypes.CDLL(None).malloc
    malloc.argtypes, malloc.restype = [ctypes.c_size_t], ctypes.c_void_p
    for exponent in range(32, 19, -1):
        while malloc(1 << exponent):  # never written to, so it costs no memory
            pass


def _judge_error(error: BaseException, path: Path) -> tuple[str, str]:
    """Return what an exception is, and if it is a finding, why."""
    text = str(error)
    shown = ' '.join(f'{type(error).__name__}: {text}'.split())[:300]
    for cause in _chain(error):
        if isinstance(cause, MemoryError) or any(word in str(cause) for word in _NO_MEMORY):
            return FINDING, f'more memory than allowed: {shown}'
    if not isinstance(error, ValueError) or isinstance(error, UnicodeError):
        where = traceback.extract_tb(error.__traceback__)[-1]
        return FINDING, f'no ValueError: {shown} ({Path(where.filename).name}:{where.lineno})'
    if str(path) not in text:
        return FINDING, f'a message without the name of the file: {shown}'
    if not _is_printable(text):
        return FINDING, f'a message that cannot be printed: {text!r}'[:300]
    return REFUSED, ''


def _is_printable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an exception, and those that it came of."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
