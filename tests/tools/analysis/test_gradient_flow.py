"""The program draws and prints what the hook has recorded, and names mistakes."""

import pytest

pytest.importorskip('matplotlib')

HEADER = 'epoch,iter,depth,layer,stage,values,mean,p5,p25,p50,p75,p95,zeros,not_finite'
ROWS = ['1,5,0,a,,9,1,1,1,2,1,1,0,0', '1,5,1,b,1,9,4,4,4,4,4,4,0,0']


@pytest.fixture
def record(tmp_path):
    for name in ('with', 'without'):
        (tmp_path / name).mkdir()
        (tmp_path / name / 'gradient_flow.csv').write_text('\n'.join([HEADER, *ROWS]))
    return tmp_path


def test_two_trainings_side_by_side(record, run_tool):
    files = [record / name / 'gradient_flow.csv' for name in ('with', 'without')]
    out = record / 'new' / 'flow.png'
    done = run_tool('analysis/gradient_flow.py', *files, '--out', out, '--value', 'p50')
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[2:4] == [
        '| with | iteration 5 | 2.00e+00 | 4.00e+00 | 0.5 |',
        '| without | iteration 5 | 2.00e+00 | 4.00e+00 | 0.5 |',
    ]
    assert out.read_bytes().startswith(b'\x89PNG')


def test_mistakes_are_named(record, run_tool):
    path = record / 'with' / 'gradient_flow.csv'
    (record / 'empty.csv').write_text(HEADER)
    for arguments, message in (
        ([record / 'none.csv'], 'none.csv: no such file'),
        ([path, path], 'the names with, with must differ; give --names'),
        ([path, path, '--names', 'a'], '1 --names for 2 files'),
        ([path, '--out', record / 'a.foo'], 'is no image by its name'),
        ([record / 'empty.csv', '--out', record / 'a.png'], 'empty.csv is no record of'),
    ):
        done = run_tool('analysis/gradient_flow.py', *arguments)
        assert done.returncode == 2 and message in done.stderr, done.stderr
    assert not (record / 'a.png').exists()
