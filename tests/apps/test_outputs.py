"""Outputs are refused before the work where that is known, and written whole or not at all."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from cpm_plugin.apps.outputs import (
    check_figure,
    check_file,
    check_folder,
    write_figure,
    write_image,
    write_text,
)


def test_checks_make_nothing(tmp_path):
    check_folder(tmp_path / 'new' / 'inner')
    check_file(tmp_path / 'new' / 'a.txt')
    check_figure(tmp_path / 'new' / 'a.png')
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_written_is_named(tmp_path):
    (tmp_path / 'file').touch()
    for check, path, message in (
        (check_folder, tmp_path / 'file' / 'inner', r'file is a file; give another folder'),
        (check_file, tmp_path, 'it is a folder; give the name of a file'),
        (check_figure, tmp_path / 'a.txt', r'no image by its name; kinds: .*\.png'),
    ):
        with pytest.raises(ValueError, match=message):
            check(path)


def test_files_and_figures(tmp_path):
    write_text(tmp_path / 'new' / 'a.txt', 'one')
    write_text(tmp_path / 'new' / 'a.txt', 'two')
    assert (tmp_path / 'new' / 'a.txt').read_text() == 'two'
    write_figure(tmp_path / 'a.png', Figure(figsize=(1, 1)), dpi=20)
    assert (tmp_path / 'a.png').read_bytes().startswith(b'\x89PNG')
    assert {path.name for path in tmp_path.iterdir()} == {'new', 'a.png'}


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / 'real.txt').write_text('old')
    (tmp_path / 'link.txt').symlink_to(tmp_path / 'real.txt')
    write_text(tmp_path / 'link.txt', 'new')
    assert (tmp_path / 'link.txt').is_symlink()
    assert (tmp_path / 'real.txt').read_text() == 'new'


def test_a_image_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / 'a.png').mkdir()
    with pytest.raises(ValueError, match=r'a\.png cannot be written'):
        write_image(tmp_path / 'a.png', np.zeros((4, 4, 3), np.uint8))
