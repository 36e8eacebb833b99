"""The measure of the search: a table with a row for each way to get a box."""

import re


def test_each_way_has_a_row_over_the_same_images(folder, run_tool):
    done = run_tool(
        'dev/search_accuracy.py', folder / 'config.py', folder / 'config.pth', '--images', 2
    )
    assert done.returncode == 0, done.stderr[-2000:]
    rows = re.findall(r'^\| ([a-z ]+) \|.*\| 2 \(0\) \| 28 \|$', done.stdout, re.M)
    assert rows == ['search', 'whole image', 'annotated box']


def test_a_missing_checkpoint_is_named(folder, run_tool):
    done = run_tool('dev/search_accuracy.py', folder / 'config.py', 'none.pth')
    assert done.returncode == 2 and 'none.pth: no such file' in done.stderr
