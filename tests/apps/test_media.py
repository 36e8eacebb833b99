"""Images and videos of users: read, written, and never written over."""

import struct
import zlib

import cv2
import numpy as np
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
    with pytest.raises(ValueError, match=r'b\.JPG cannot be read as an image'):
        media.read_image(tmp_path / 'b.JPG')
    with pytest.raises(ValueError, match=r'a\.mp4 cannot be read as a video'):
        media.Video(tmp_path / 'a.mp4')


def test_a_video_comes_out_as_long_and_as_large(tmp_path):
    source, out = tmp_path / 'in.avi', tmp_path / 'out.mp4'
    writer = cv2.VideoWriter(str(source), cv2.VideoWriter_fourcc(*'MJPG'), 12, (64, 48))
    for shade in (0, 60, 120, 180, 240):
        writer.write(np.full((48, 64, 3), shade, np.uint8))
    writer.release()
    video = media.Video(source)
    assert len(video) == 5
    video.write(out, (255 - frame for frame in video))
    again = media.Video(out)
    assert (again.reader.width, again.reader.height, again.reader.fps) == (64, 48, 12)
    shades = [float(frame.mean()) for frame in again]
    assert shades == pytest.approx([255, 195, 135, 75, 15], abs=6)
    assert video.missing == 0
    assert {path.name for path in tmp_path.iterdir()} == {'in.avi', 'out.mp4'}


def test_a_video_that_fails_midway_leaves_what_was_there(tmp_path):
    source, out = tmp_path / 'in.avi', tmp_path / 'out.mp4'
    writer = cv2.VideoWriter(str(source), cv2.VideoWriter_fourcc(*'MJPG'), 12, (64, 48))
    writer.write(np.zeros((48, 64, 3), np.uint8))
    writer.release()
    out.write_bytes(b'before')

    def frames():
        yield np.zeros((48, 64, 3), np.uint8)
        raise RuntimeError('stop')

    with pytest.raises(RuntimeError):
        media.Video(source).write(out, frames())
    assert out.read_bytes() == b'before'
    assert {path.name for path in tmp_path.iterdir()} == {'in.avi', 'out.mp4'}


def test_frames_that_the_header_promised_are_counted(tmp_path, monkeypatch):
    source = tmp_path / 'in.avi'
    writer = cv2.VideoWriter(str(source), cv2.VideoWriter_fourcc(*'MJPG'), 12, (64, 48))
    for _ in range(5):
        writer.write(np.zeros((48, 64, 3), np.uint8))
    writer.release()
    video = media.Video(source)
    monkeypatch.setattr(type(video), '__len__', lambda self: 8)
    assert sum(1 for _ in video) == 5 and video.missing == 3


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
    with pytest.raises(ValueError, match=r'boxes\.json is an input'):
        media.check_outputs([tmp_path / 'x' / 'boxes.jpg'], tmp_path, paths('boxes.json'))


def test_a_image_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / 'a.png').mkdir()
    with pytest.raises(ValueError, match=r'a\.png cannot be written'):
        media.write_image(tmp_path / 'a.png', np.zeros((4, 4, 3), np.uint8))


def test_a_header_that_claims_too_many_pixels_is_refused_before_memory_is_taken(tmp_path):
    path = tmp_path / 'a.png'
    cv2.imwrite(str(path), np.zeros((4, 4, 3), np.uint8))
    content = path.read_bytes()
    header = b'IHDR' + struct.pack('>II', 30_000, 30_000) + content[24:29]
    path.write_bytes(content[:12] + header + struct.pack('>I', zlib.crc32(header)) + content[33:])
    with pytest.raises(ValueError, match=r'a\.png is not read .*900000000 pixels.* smaller'):
        media.read_image(path)
    path.write_bytes(content[:16] + b'\0\x01' + content[18:])  # with the checksum of another size
    with pytest.raises(ValueError, match=r'a\.png cannot .* header of the PNG is broken'):
        media.read_image(path)
    path.write_bytes(content)
    assert media.read_image(path).shape == (4, 4, 3)
