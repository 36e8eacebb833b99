"""Images and videos of users: which there are, and never written over."""

from pathlib import Path

import pytest

from cpm_plugin.apps import media


def test_inputs_of_folders_and_files(tmp_path):
    for name in ('b.JPG', 'a.mp4', 'notes.txt'):
        (tmp_path / name).touch()
    assert [path.name for path in media.inputs_of(tmp_path)] == ['a.mp4', 'b.JPG']
    assert media.inputs_of(tmp_path / 'a.mp4') == [tmp_path / 'a.mp4']
    for path, message in (
        (tmp_path / 'notes.txt', 'is no image or video by its name'),
        (tmp_path / 'c.jpg', 'no such file'),
    ):
        with pytest.raises(ValueError, match=message):
            media.inputs_of(path)
    (tmp_path / 'empty').mkdir()
    with pytest.raises(ValueError, match='no images or videos in'):
        media.inputs_of(tmp_path / 'empty')
    assert media.inputs_of(Path('webcam:2')) == [Path('webcam:2')]


def test_names_of_cameras_and_of_what_they_are_written_to():
    assert media.is_video(Path('webcam')) and media.is_video(Path('a.MP4'))
    assert not media.is_video(Path('webcam.png'))
    assert media.drawing_name(Path('webcam:1')) == 'webcam_1.mp4'
    with pytest.raises(ValueError, match='webcam is a video, and --stages'):
        media.check_outputs([Path('webcam')], Path('out'), stages=True)


def test_outputs_never_meet_inputs_or_each_other(tmp_path):
    def paths(*names):
        return [tmp_path / name for name in names]

    media.check_outputs(paths('a.png', 'b.jpg', 'c.avi'), tmp_path / 'out')
    for files, out, message in (
        (paths('a.png'), tmp_path, r'a\.png is an input and would be written over'),
        (paths('a.png'), tmp_path / 'x' / '..', r'a\.png is an input'),
        (paths('a.mp4'), tmp_path, r'a\.mp4 is an input'),
        (paths('a.png', 'a.jpg'), tmp_path / 'out', r'a\.png and a\.jpg would write the same'),
    ):
        with pytest.raises(ValueError, match=message):
            media.check_outputs(files, out)
    media.check_outputs(paths('a.avi'), tmp_path)  # a.mp4 is another file
    files = paths('a.jpg', 'a_stages.jpg', 'a_stages_2.png', 'ab_stages.png')
    media.check_outputs(files, tmp_path / 'out')
    media.check_outputs([files[0], files[1], files[3]], tmp_path / 'out', stages=True)
    assert [media.stages_name(files[0], n, 2) for n in (1, 2)] == ['a_stages_1.png', files[2].name]
    with pytest.raises(ValueError, match=r'stages of a\.jpg and a_stages_2\.png would write'):
        media.check_outputs(files, tmp_path / 'out', stages=True)
    files = [files[0], *paths('a_fields.png')]
    assert media.fields_name(files[0]) == files[1].name
    with pytest.raises(ValueError, match=r'stages of a\.jpg and a_fields\.png would write'):
        media.check_outputs(files, tmp_path / 'out', stages=True)
    with pytest.raises(ValueError, match=r'boxes\.json is an input'):
        media.check_outputs([tmp_path / 'x' / 'boxes.jpg'], tmp_path, paths('boxes.json'))
