"""The program that exports: what it prints and refuses; the files are tested with the function."""

import pytest
import torch


def test_a_file_is_written_and_its_difference_printed(run_tool, tmp_path):
    out = tmp_path / 'a.pt'
    done = run_tool('export_model.py', 'cpm_slim_3s', out, '--format', 'torchscript')
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f'{out}: torchscript, 2.')
    assert float(done.stdout.split('differs by ')[1].split()[0]) < 1e-5
    again = run_tool('export_model.py', 'cpm_slim_3s', out, '--format', 'torchscript')
    assert again.returncode == 2 and 'exists; give the name of a new file' in again.stderr


def test_a_file_of_keypoints(run_tool, tmp_path):
    out, half = tmp_path / 'a.pt', ('--format', 'torchscript', '--half')
    done = run_tool('export_model.py', 'cpm_slim_3s', out, *half, '--decode')
    assert done.returncode == 0, done.stderr
    keypoints, scores = torch.jit.load(out)(torch.zeros(2, 3, 128, 128, dtype=torch.float16))
    assert keypoints.shape == (2, 14, 2) and scores.shape == (2, 14)


@pytest.mark.parametrize(
    ('arguments', 'code', 'message'),
    [
        (['cpm_6s'], 2, "no trained weights of 'cpm_6s'"),
        (['cpm_slim_3s', '--checkpoint', 'none.pth'], 2, 'none.pth: no such file'),
        (['cpm_slim_3s', '--checkpoint', __file__], 1, 'test_export_model.py'),
    ],
)
def test_mistakes_are_named(run_tool, tmp_path, arguments, code, message):
    name, *more = arguments
    done = run_tool('export_model.py', name, tmp_path / 'a.pt2', '--format', 'pt2', *more)
    assert done.returncode == code and message in done.stderr, done.stderr
    assert not list(tmp_path.iterdir())
