"""Images and videos of users: read, written, and never written over."""

import struct

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
    with pytest.raises(ValueError, match=r'a\.mp4 cannot be read as a video'):
        media.Video(tmp_path / 'a.mp4')


def test_a_video_comes_out_as_long_and_as_large(tmp_path):
    source, out = tmp_path / 'in.avi', tmp_path / 'out.mp4'
    writer = cv2.VideoWriter(str(source), cv2.VideoWriter_fourcc(*'MJPG'), 12, (64, 48))
    for shade in (0, 60, 120, 180, 240):
        writer.write(np.full((48, 64, 3), shade, np.uint8))
    writer.release()
    video = media.Video(source)
    assert video.total == 5
    video.write(out, (255 - frame for frame in video))
    again = media.Video(out)
    assert (again.width, again.height, again.rate) == (64, 48, 12)
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


def test_frames_that_the_header_promised_are_counted(tmp_path):
    source = tmp_path / 'in.avi'
    writer = cv2.VideoWriter(str(source), cv2.VideoWriter_fourcc(*'MJPG'), 12, (64, 48))
    for _ in range(5):
        writer.write(np.zeros((48, 64, 3), np.uint8))
    writer.release()
    video = media.Video(source)
    video.total = 8
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


def corner(frame):
    """Where the red corner of a frame is: its middle, (x, y)."""
    return np.argwhere(frame[..., 2] > 128).mean(axis=0)[::-1].round().tolist()


def write_red_corner(path, fourcc):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*fourcc), 12, (64, 48))
    frame = np.zeros((48, 64, 3), np.uint8)
    frame[:10, :10] = (0, 0, 255)
    for _ in range(7):
        writer.write(frame)
    writer.release()


def test_a_video_that_was_recorded_on_its_side_is_upright(tmp_path):
    path = tmp_path / 'phone.mp4'
    write_red_corner(path, 'mp4v')
    content = bytearray(path.read_bytes())
    matrix = content.find(b'tkhd') + 4 + 40  # version 0: 40 bytes before the matrix
    turned = (0, 1 << 16, 0, (1 << 32) - (1 << 16), 0, 0, 48 << 16, 0, 1 << 30)
    content[matrix : matrix + 36] = struct.pack('>9I', *turned)
    path.write_bytes(content)
    video = media.Video(path)
    assert (video.width, video.height, video.total) == (48, 64, 7)
    frames = list(video)
    assert len(frames) == 7 and corner(frames[0]) == [42, 4]  # of 48 x 64; (4, 4) as stored
    video.write(tmp_path / 'out.mp4', frames)
    again = media.Video(tmp_path / 'out.mp4')
    assert (again.width, again.height) == (48, 64) and corner(next(iter(again))) == corner(
        frames[0]
    )


def test_a_video_without_a_duration_is_read_to_its_end(tmp_path):
    path = tmp_path / 'browser.webm'
    write_red_corner(path, 'VP80')
    content = bytearray(path.read_bytes())
    duration = content.find(b'\x44\x89')
    size = content[duration + 2] & 0x7F
    content[duration : duration + 3 + size] = bytes([0xEC, 0x80 | (size + 1)]) + bytes(size + 1)
    path.write_bytes(content)  # a void in its place
    video = media.Video(path)
    assert video.total is None
    assert len(list(video)) == 7 and video.missing == 0
