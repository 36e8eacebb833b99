"""Checkpoints that survive a crash: a new one is complete before the old one is removed."""

from __future__ import annotations

import zipfile
from collections import deque
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import CheckpointHook
from mmengine.logging import print_log
from mmengine.runner import Runner
from mmengine.runner import runner as mmengine_runner

from ..core.weights.files import write_whole

from mmpose.registry import HOOKS

LAST = 'last_checkpoint'


def install() -> None:
    """Let MMEngine write local files completely or not at all, and resume from complete ones."""
    register_backend('local', WholeFileBackend, force=True, prefixes='')
    mmengine_runner.find_latest_checkpoint = find_resumable


class WholeFileBackend(LocalBackend):
    """MMEngine's backend for local files, which writes a file completely or not at all.

    ``install`` registers it instead of MMEngine's own, so that everything that saves a checkpoint
    uses it.
    """

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes to a file; see ``write_whole``.

        Args:
            obj: Bytes to write.
            filepath: Path of the file.
        """
        write_whole(filepath, obj)

    def put_text(self, obj: str, filepath: str | Path, encoding: str = 'utf-8') -> None:
        """Write text to a file; see ``write_whole``.

        Args:
            obj: Text to write.
            filepath: Path of the file.
            encoding: Encoding of the text.
        """
        write_whole(filepath, obj.encode(encoding))


@HOOKS.register_module()
class SafeCheckpointHook(CheckpointHook):
    """MMEngine's ``CheckpointHook``, but an old checkpoint is removed after the new one is saved.

    MMEngine removes the old one first. With ``max_keep_ckpts=1``, a crash while it saves leaves
    no checkpoint. MMEngine also writes ``last_checkpoint`` in place. The arguments and the files
    are the same.

    Examples:
        In a config; the configs of this project have it in their base:

        >>> default_hooks = dict(checkpoint=dict(type='SafeCheckpointHook', interval=1))
    """

    file_backend: Any  # MMEngine's before_train sets it
    key_indicators: list[str]
    keep_ckpt_ids: deque[int]

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        name = self.filename_tmpl.format(step)
        self.last_ckpt = self.file_backend.join_path(self.out_dir, name)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        old: list[int] = []
        if self.max_keep_ckpts > 0:
            kept = [one for one in self.keep_ckpt_ids if one != step] + [step]
            old, kept = kept[: -self.max_keep_ckpts], kept[-self.max_keep_ckpts :]
            self.keep_ckpt_ids = deque(kept, self.max_keep_ckpts)
            runner.message_hub.update_info('keep_ckpt_ids', kept)
        runner.save_checkpoint(
            self.out_dir,
            name,
            self.file_client_args,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
            **self.args,
        )
        if not is_main_process():
            return
        write_whole(Path(runner.work_dir) / LAST, str(self.last_ckpt).encode())
        for one in old:
            self._remove(self.file_backend.join_path(self.out_dir, self.filename_tmpl.format(one)))

    def _remove(self, path: str) -> None:
        if self.file_backend.isfile(path):
            self.file_backend.remove(path)
        elif self.file_backend.isdir(path):  # DeepSpeed's checkpoints are folders
            self.file_backend.rmtree(path)

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        """Save the best checkpoint as MMEngine does, then remove the previous best one.

        Raises:
            ValueError: If the metric does not give what ``save_best`` names.
        """
        wanted = self.key_indicators if self.save_best else []
        if unknown := [key for key in wanted if key not in (*metrics, 'auto')]:
            raise ValueError(
                f'save_best={unknown[0]!r}, but the validation gives {", ".join(metrics)}; set '
                f'default_hooks=dict(checkpoint=dict(save_best={next(iter(metrics), None)!r}))'
            )
        kept, self.file_backend = self.file_backend, _RemovesLater(self.file_backend)
        later = self.file_backend
        try:
            super()._save_best_checkpoint(runner, metrics)
        finally:
            self.file_backend = kept
        names = {Path(path).name for path in self._best_paths()}
        for path in later.to_remove:
            if Path(path).name not in names:
                self._remove(path)

    def _best_paths(self) -> list[str]:
        if not self.save_best:
            return []
        if len(self.key_indicators) == 1:
            return [self.best_ckpt_path] if self.best_ckpt_path else []
        return [path for path in self.best_ckpt_path_dict.values() if path]


class _RemovesLater:
    """File backend that only notes what it is asked to remove."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend
        self.to_remove: list[str] = []

    def remove(self, path: str) -> None:
        self.to_remove.append(path)

    rmtree = remove

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)


def find_resumable(work_dir: str) -> str | None:
    """Find the checkpoint that ``--resume`` continues from.

    It is the one that ``last_checkpoint`` names, if that is complete, or the one of its name in the
    folder, which may have been moved. Otherwise it is the newest complete one in the folder or
    beside the named one (``out_dir`` of the hook), and the log says so, as it does if there is
    none. This replaces MMEngine's ``find_latest_checkpoint``, which takes what
    ``last_checkpoint`` says without a check.

    Args:
        work_dir: Folder of the run.

    Returns:
        Path of the checkpoint, or None if the folder has no checkpoint.

    Raises:
        ValueError: If there are checkpoints, but none of them is complete.
    """
    folder = Path(work_dir)
    note = folder / LAST
    named = note.read_text(errors='replace').strip() if note.is_file() else ''
    if named and ('://' in named or is_whole(Path(named))):
        return named
    if named and is_whole(moved := folder / Path(named).name):  # with its folder
        return str(moved)
    folders = dict.fromkeys([folder, *([Path(named).parent] if named else [])])
    found = [path for place in folders for path in place.glob('*.pth')]
    found = [path for path in found if not path.name.startswith('best_')]
    found.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    for path in found:
        if is_whole(path):
            wrong = f'{named!r}, which is not a complete checkpoint' if named else 'no checkpoint'
            print_log(
                f'{note} names {wrong}; resuming from the newest complete one: {path}',
                logger='current',
                level=30,
            )
            return str(path)
    if found:
        raise ValueError(
            f'none of {len(found)} checkpoints in {", ".join(map(str, folders))} is whole (the '
            f'newest: {found[0].name}); restore one, or start again without --resume'
        )
    print_log(f'no checkpoint in {folder}: training begins anew', logger='current', level=30)
    return None


def is_whole(path: Path) -> bool:
    """Check that all records of a checkpoint are there, by their checksums.

    Args:
        path: Path of the checkpoint. A folder, as DeepSpeed writes it, is not checked.

    Returns:
        Whether the checkpoint is complete.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (OSError, zipfile.BadZipFile):
        return path.is_dir()  # DeepSpeed's checkpoints are folders
