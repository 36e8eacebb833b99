"""The table of receptive fields, and mistakes."""


def test_the_table_has_a_row_for_each_stage(run_tool):
    done = run_tool('analysis/receptive_field.py', 'cpm_slim_3s')
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[2:] == [
        '| cpm_slim_3s | 1 | 75 | 5 |  |',
        '| cpm_slim_3s | 2 | 219 | 19 |  |',
        '| cpm_slim_3s | 3 | 363 | 19 |  |',
    ]


def test_mistakes_are_named(run_tool, tmp_path):
    for arguments, message in (
        (['cpm_7s'], "'cpm_7s'"),
        (['cpm_slim_3s', '--images', tmp_path / 'a.png'], 'a.png: no such file'),
        (['cpm_6s', '--images', __file__], "no trained weights of 'cpm_6s'"),
    ):
        done = run_tool('analysis/receptive_field.py', *arguments)
        assert done.returncode == 2 and message in done.stderr
