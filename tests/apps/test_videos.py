"""Videos and cameras: every frame, upright, and written as a whole or not at all."""

import signal
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from cpm_plugin.apps import videos


def test_a_video_comes_out_as_long_and_as_large(tmp_path):
    source, out = tmp_path / 'in.avi', tmp_path / 'out.mp4'
    writer = cv2.VideoWriter(str(source), cv2.VideoWriter_fourcc(*'MJPG'), 12, (64, 48))
    for shade in (0, 60, 120, 180, 240):
        writer.write(np.full((48, 64, 3), shade, np.uint8))
    writer.release()
    video = videos.Video(source)
    assert video.total == 5
    video.write(out, (255 - frame for frame in video))
    again = videos.Video(out)
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
        videos.Video(source).write(out, frames())
    assert out.read_bytes() == b'before'
    assert {path.name for path in tmp_path.iterdir()} == {'in.avi', 'out.mp4'}


def test_frames_that_the_header_promised_are_counted(tmp_path):
    source = tmp_path / 'in.avi'
    writer = cv2.VideoWriter(str(source), cv2.VideoWriter_fourcc(*'MJPG'), 12, (64, 48))
    for _ in range(5):
        writer.write(np.zeros((48, 64, 3), np.uint8))
    writer.release()
    video = videos.Video(source)
    video.total = 8
    assert sum(1 for _ in video) == 5 and video.missing == 3


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
    video = videos.Video(path)
    assert (video.width, video.height, video.total) == (48, 64, 7)
    frames = list(video)
    assert len(frames) == 7 and corner(frames[0]) == [42, 4]  # of 48 x 64; (4, 4) as stored
    video.write(tmp_path / 'out.mp4', frames)
    again = videos.Video(tmp_path / 'out.mp4')
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
    video = videos.Video(path)
    assert video.total is None
    assert len(list(video)) == 7 and video.missing == 0


def test_what_is_no_video(tmp_path):
    (tmp_path / 'a.mp4').touch()
    with pytest.raises(ValueError, match=r'a\.mp4 cannot be read as a video'):
        videos.open_video(tmp_path / 'a.mp4')


class FakeCapture:
    """A camera that gives numbered frames without end, and notes whether it was released."""

    opened = ()

    def __init__(self, number):
        self.number, self.count, self.released = number, 0, False
        FakeCapture.opened += (self,)

    def read(self):
        self.count += 1
        return self.number == 1, np.full((48, 64, 3), min(10 * self.count, 255), np.uint8)

    def get(self, key):
        return {cv2.CAP_PROP_FPS: 30.0, cv2.CAP_PROP_FRAME_COUNT: -1}[key]

    def release(self):
        self.released = True


def test_a_camera_is_read_until_ctrl_c_and_written_as_fast_as_it_came(tmp_path, monkeypatch):
    real = cv2.VideoCapture
    monkeypatch.setattr(FakeCapture, 'opened', ())
    monkeypatch.setattr(
        cv2, 'VideoCapture', lambda what: (real if isinstance(what, str) else FakeCapture)(what)
    )
    clock = iter([0.0, 2.0])  # 10 frames in 2 seconds
    monkeypatch.setattr(videos.time, 'perf_counter', lambda: next(clock))
    camera = videos.open_video(Path('webcam:1'))
    assert (camera.width, camera.height, camera.total) == (64, 48, None)
    handler = signal.getsignal(signal.SIGINT)

    def drawn():
        for number, frame in enumerate(camera, start=1):
            if number == 12:
                signal.raise_signal(signal.SIGINT)
            yield frame

    camera.write(tmp_path / 'webcam_1.mp4', drawn())
    written = videos.Video(tmp_path / 'webcam_1.mp4')
    assert (written.total, written.rate) == (12, 5.0)
    brightness = [frame.mean() for frame in written]
    np.testing.assert_allclose(brightness, np.arange(10, 130, 10), atol=4)
    assert signal.getsignal(signal.SIGINT) is handler
    assert len(FakeCapture.opened) == 2 and all(one.released for one in FakeCapture.opened)
    assert camera.missing == 0
    with pytest.raises(ValueError, match=r'webcam:0 cannot be read as a video'):
        videos.open_video(Path('webcam'))


def test_a_video_without_a_frame_is_not_written(tmp_path):
    write_red_corner(tmp_path / 'in.mp4', 'mp4v')
    with pytest.raises(ValueError, match=r'out\.mp4 cannot be written: there is no frame'):
        videos.Video(tmp_path / 'in.mp4').write(tmp_path / 'out.mp4', [])
    assert not (tmp_path / 'out.mp4').exists()
