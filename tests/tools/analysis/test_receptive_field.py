"""The table of receptive fields, the plot, and mistakes."""

import pytest


def test_the_table_has_a_row_for_each_stage(run_tool):
    done = run_tool('analysis/receptive_field.py', 'cpm_slim_3s')
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[2:] == [
        '| cpm_slim_3s | 1 | 75 | 5 |  | 545901 |',
        '| cpm_slim_3s | 2 | 219 | 19 |  | 545901 |',
        '| cpm_slim_3s | 3 | 363 | 19 |  | 545901 |',
    ]


def test_a_config_can_be_changed(run_tool, repo):
    pytest.importorskip('mmengine')
    (path,) = repo.glob('configs/*/*/lspet/td-hm_cpm-slim-2s_1xb32-6e_lspet-96x96.py')
    options = ['--cfg-options', 'model.head.refine_kernel_size=5', 'model.head.channels=48']
    done = run_tool('analysis/receptive_field.py', path, *options)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f'| {path.stem} | 2 | 171 | 13 |  | 358062 |'


def test_results_are_plotted(run_tool, tmp_path):
    pytest.importorskip('matplotlib')
    (tmp_path / 'a.csv').write_text('name,receptive_field,parameters,PCK\nk1,75,359798,20\n')
    out = tmp_path / 'new' / 'field.png'
    done = run_tool('analysis/receptive_field.py', '--plot', tmp_path / 'a.csv', '--out', out)
    assert done.returncode == 0, done.stderr
    assert out.read_bytes().startswith(b'\x89PNG') and str(out) in done.stdout


def test_mistakes_are_named(run_tool, tmp_path):
    (tmp_path / 'a.csv').write_text('name\n')
    for arguments, message in (
        ([], 'give a MODEL, or --plot CSV'),
        (['cpm_7s'], "'cpm_7s'"),
        (['none.py'], 'none.py: no such file'),
        (['cpm_slim_3s', '--cfg-options', 'a=1'], '--cfg-options are for configs'),
        ([__file__, '--images', __file__], '--images needs a network with weights'),
        (['cpm_slim_3s', '--images', tmp_path / 'a.png'], 'a.png: no such file'),
        (['cpm_6s', '--images', __file__], "no trained weights of 'cpm_6s'"),
        (['--plot', tmp_path / 'none.csv'], 'none.csv: no such file'),
        (['--plot', tmp_path / 'a.csv', '--out', tmp_path / 'a.foo'], 'is no image by its name'),
        (['--plot', tmp_path / 'a.csv', '--out', tmp_path / 'a.png'], 'a.csv: no column'),
    ):
        done = run_tool('analysis/receptive_field.py', *arguments)
        assert done.returncode == 2 and message in done.stderr, (arguments, done.stderr)
