"""The count of people: a row for each set and way, on a tiny made set."""

import re

import numpy as np
import pytest
from cpm_testing.data import write_lsp

pytestmark = pytest.mark.slow


def test_each_way_has_a_row_and_pictures_have_their_poses(folder, tmp_path, run_tool):
    import torch

    from cpm_plugin.core import create_model

    points = np.random.default_rng(0).uniform(0, 200, (2, 14, 2))
    write_lsp(tmp_path, points, np.ones((2, 14)), size=(200, 200))
    torch.manual_seed(0)
    weights = tmp_path / 'network.pth'
    torch.save(create_model('openpose_coco').state_dict(), weights)
    done = run_tool(
        'dev/people_found.py', '--lspet', tmp_path, '--first', 1, '--images', 2,
        '--pictures', tmp_path / 'images', '--config', folder / 'config.py',
        '--checkpoint', folder / 'config.pth', '--bottom-up', 'openpose_coco',
        '--bottom-up-weights', weights, '--size', 64,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    rows = re.findall(r'^\| (lspet) \| ([a-z-]+) \| (\d) of 2 \| (\d+) \|', done.stdout, re.M)
    assert [row[1] for row in rows] == ['bottom-up', 'both']
    pictures = re.findall(r'^\| pictures \| ([a-z-]+) \| \d+ joints \| (\d+) \|', done.stdout, re.M)
    assert [way for way, _ in pictures] == ['bottom-up', 'both']


@pytest.mark.parametrize(
    ('arguments', 'named'),
    [
        ([], 'no images'),
        (['--lspet', 'none'], 'none/joints.mat: no such file'),
        (['--coco', 'none.json', '.'], 'none.json: no people'),
    ],
)
def test_missing_files_are_named(arguments, named, run_tool):
    done = run_tool('dev/people_found.py', *arguments)
    assert done.returncode == 2 and named in done.stderr
