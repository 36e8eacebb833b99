"""Checkpoints are written whole, the old one goes last, and --resume finds one that is whole."""

import os
from types import SimpleNamespace

import pytest
import torch
from cpm_testing.logs import keep_log
from mmengine.fileio import get_file_backend
from mmengine.logging import MessageHub
from mmengine.runner import runner as mmengine_runner

from cpm_plugin.mmpose import checkpoint_hook
from cpm_plugin.mmpose.checkpoint_hook import (
    LAST,
    SafeCheckpointHook,
    find_resumable,
    write_whole,
)


def test_a_file_is_written_with_its_folder(tmp_path):
    write_whole(tmp_path / 'new' / 'a.txt', b'one')
    write_whole(tmp_path / 'new' / 'a.txt', b'two')
    assert [(p.name, p.read_bytes()) for p in (tmp_path / 'new').iterdir()] == [('a.txt', b'two')]


@pytest.mark.parametrize('call', ['fsync', 'replace'])
def test_a_write_that_fails_leaves_the_old_content_and_nothing_else(call, tmp_path, monkeypatch):
    write_whole(tmp_path / 'a.txt', b'old')

    def full(*_):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(os, call, full)
    with pytest.raises(OSError, match='No space left'):
        write_whole(tmp_path / 'a.txt', b'new')
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [('a.txt', b'old')]


def test_mmengine_writes_local_files_so(tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(checkpoint_hook, 'write_whole', lambda *call: written.append(call))
    backend = get_file_backend(str(tmp_path))
    backend.put(b'x', tmp_path / 'a.pth')
    backend.put_text('é', tmp_path / 'a.txt')
    assert written == [(tmp_path / 'a.pth', b'x'), (tmp_path / 'a.txt', 'é'.encode())]
    assert mmengine_runner.find_latest_checkpoint is find_resumable


class FakeRunner(SimpleNamespace):
    """Saves small checkpoints and notes what was there when."""

    def save_checkpoint(self, out_dir, filename, *_, **__):
        folder = self.folder
        last = folder / LAST
        self.seen.append(
            (filename, sorted(p.name for p in folder.glob('*.pth')),
             last.read_text().split('/')[-1] if last.exists() else None)
        )  # fmt: skip
        if filename in self.fails:
            raise OSError('disk full')
        torch.save({'state_dict': {}}, folder / filename)


def hook_and_runner(folder, fails=(), **options):
    hook = SafeCheckpointHook(interval=1, **options)
    hub = MessageHub.get_instance(f'hub of {folder}')
    runner = FakeRunner(
        folder=folder, work_dir=str(folder), message_hub=hub, seen=[], fails=fails, epoch=0, iter=0,
        logger=SimpleNamespace(info=lambda text: None),
    )  # fmt: skip
    hook.before_train(runner)
    return hook, runner


def test_the_old_checkpoint_goes_when_the_new_one_and_its_note_are_there(tmp_path, monkeypatch):
    hook, runner = hook_and_runner(tmp_path, max_keep_ckpts=1)
    removed = []
    remove = hook._remove

    def noting(path):
        removed.append((path.rpartition('/')[2], (tmp_path / LAST).read_text().rpartition('/')[2]))
        remove(path)

    monkeypatch.setattr(hook, '_remove', noting)
    for step in (1, 2, 3):
        hook._save_checkpoint_with_step(runner, step, {})
    assert runner.seen == [
        ('epoch_1.pth', [], None),
        ('epoch_2.pth', ['epoch_1.pth'], 'epoch_1.pth'),
        ('epoch_3.pth', ['epoch_2.pth'], 'epoch_2.pth'),
    ]
    assert removed == [('epoch_1.pth', 'epoch_2.pth'), ('epoch_2.pth', 'epoch_3.pth')]
    assert [p.name for p in tmp_path.glob('*.pth')] == ['epoch_3.pth']
    assert runner.message_hub.get_info('keep_ckpt_ids') == [3]


def test_a_score_that_the_metric_does_not_give_is_named_with_those_it_gives(tmp_path):
    hook, runner = hook_and_runner(tmp_path, save_best='torso/PCK', rule='greater')
    with pytest.raises(ValueError, match=r"save_best='torso/PCK', .* gives PCK, AUC; set .*='PCK'"):
        hook._save_best_checkpoint(runner, dict(PCK=0.5, AUC=0.25))


def test_without_save_best_a_validation_saves_nothing(tmp_path):
    hook, runner = hook_and_runner(tmp_path)
    hook.after_val_epoch(runner, dict(PCK=0.5))
    assert runner.seen == [] and list(tmp_path.glob('best_*')) == []


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path):
    hook, runner = hook_and_runner(tmp_path, fails=['epoch_2.pth'], max_keep_ckpts=1)
    hook._save_checkpoint_with_step(runner, 1, {})
    with pytest.raises(OSError, match='disk full'):
        hook._save_checkpoint_with_step(runner, 2, {})
    assert find_resumable(str(tmp_path)) == str(tmp_path / 'epoch_1.pth')


def test_as_many_are_kept_as_asked_and_all_without_a_limit(tmp_path):
    for keep, left in ((2, {'epoch_3.pth', 'epoch_4.pth'}), (-1, None)):
        folder = tmp_path / str(keep)
        folder.mkdir()
        hook, runner = hook_and_runner(folder, max_keep_ckpts=keep)
        for step in (1, 2, 3, 4, 4):  # saved twice, as after a new best one
            hook._save_checkpoint_with_step(runner, step, {})
        assert {p.name for p in folder.glob('*.pth')} == (
            left or {f'epoch_{n}.pth' for n in (1, 2, 3, 4)}
        )


def test_the_best_one_before_goes_when_the_new_best_one_is_there(tmp_path):
    hook, runner = hook_and_runner(tmp_path, save_best='PCK', rule='greater')
    for epoch, pck in enumerate((10.0, 20.0, 15.0, 30.0), start=1):
        runner.epoch = epoch
        hook._save_best_checkpoint(runner, {'PCK': pck})
    best = 'best_PCK_epoch_{}.pth'.format
    assert runner.seen == [
        (best(1), [], None), (best(2), [best(1)], None), (best(4), [best(2)], None),
    ]  # fmt: skip
    assert [p.name for p in tmp_path.glob('*.pth')] == [best(4)]


@pytest.fixture
def run_folder(tmp_path):
    """Three checkpoints, the third the newest, and last_checkpoint naming it."""
    for number in (1, 2, 3):
        path = tmp_path / f'epoch_{number}.pth'
        torch.save({'state_dict': {'w': torch.rand(100)}}, path)
        os.utime(path, (number, number))
    torch.save({}, tmp_path / 'best_PCK_epoch_1.pth')  # without an optimizer: not to go on from
    (tmp_path / LAST).write_text(str(tmp_path / 'epoch_3.pth'))
    return tmp_path


def test_the_named_checkpoint_is_taken_if_it_is_whole(run_folder, monkeypatch):
    lines = keep_log(monkeypatch, checkpoint_hook)
    assert find_resumable(str(run_folder)) == str(run_folder / 'epoch_3.pth')
    (run_folder / LAST).write_text(str(run_folder / 'epoch_1.pth'))
    assert find_resumable(str(run_folder)) == str(run_folder / 'epoch_1.pth')
    moved = run_folder.rename(run_folder.with_name('moved'))
    assert find_resumable(str(moved)) == str(moved / 'epoch_1.pth')
    assert lines == []


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 8
    path.write_bytes(content)


@pytest.mark.parametrize(
    ('harm', 'named', 'taken'),
    [
        (lambda folder: (folder / LAST).write_text(''), None, 'epoch_3.pth'),
        (lambda folder: (folder / LAST).unlink(), None, 'epoch_3.pth'),
        (lambda folder: (folder / 'epoch_3.pth').unlink(), 'epoch_3.pth', 'epoch_2.pth'),
        (lambda folder: (folder / 'epoch_3.pth').write_bytes(b''), 'epoch_3.pth', 'epoch_2.pth'),
        (lambda folder: os.truncate(folder / 'epoch_3.pth', 700), 'epoch_3.pth', 'epoch_2.pth'),
        (lambda folder: flip_a_bit(folder / 'epoch_3.pth'), 'epoch_3.pth', 'epoch_2.pth'),
    ],
    ids=['empty note', 'no note', 'missing', 'empty', 'cut off', 'flipped bit'],
)
def test_else_the_newest_whole_one_and_the_log_says_so(harm, named, taken, run_folder, monkeypatch):
    lines = keep_log(monkeypatch, checkpoint_hook)
    harm(run_folder)
    assert find_resumable(str(run_folder)) == str(run_folder / taken)
    wrong = 'no checkpoint'
    if named:
        wrong = f"'{run_folder / named}', which is not a complete checkpoint"
    assert lines == [
        f'{run_folder / LAST} names {wrong}; '
        f'resuming from the newest complete one: {run_folder / taken}'
    ]


def test_checkpoints_in_another_folder_are_found_beside_the_named_one(run_folder, tmp_path_factory):
    work_dir = tmp_path_factory.mktemp('work_dir')
    (work_dir / LAST).write_text(str(run_folder / 'epoch_3.pth'))  # out_dir of the hook
    assert find_resumable(str(work_dir)) == str(run_folder / 'epoch_3.pth')
    flip_a_bit(run_folder / 'epoch_3.pth')
    assert find_resumable(str(work_dir)) == str(run_folder / 'epoch_2.pth')
    for number in (1, 2):
        flip_a_bit(run_folder / f'epoch_{number}.pth')
    with pytest.raises(ValueError, match=f'none of 3 checkpoints in {work_dir}, {run_folder} is'):
        find_resumable(str(work_dir))


def test_a_folder_without_checkpoints_begins_anew_and_one_of_broken_ones_is_refused(
    tmp_path, monkeypatch
):
    lines = keep_log(monkeypatch, checkpoint_hook)
    assert find_resumable(str(tmp_path)) is None
    assert lines == [f'no checkpoint in {tmp_path}: training begins anew']
    (tmp_path / 'epoch_1.pth').write_bytes(b'PK broken')
    with pytest.raises(ValueError, match=r'none of 1 checkpoints in .* is whole .*epoch_1\.pth'):
        find_resumable(str(tmp_path))
