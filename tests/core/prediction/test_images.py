"""However an image is given, it is read as OpenCV reads it."""

import builtins
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from cpm_plugin.core.prediction import read_image
from cpm_plugin.core.prediction.images import pillow

PIL = pytest.importorskip('PIL.Image')
cv2 = pytest.importorskip('cv2')

BGR = np.random.default_rng(0).integers(0, 256, (12, 20, 3), dtype=np.uint8)


def test_files_pil_images_and_arrays_are_the_same(tmp_path):
    cv2.imwrite(str(tmp_path / 'image.png'), BGR)
    for source in (
        tmp_path / 'image.png', str(tmp_path / 'image.png'), PIL.open(tmp_path / 'image.png'), BGR,
        np.dstack([BGR, np.zeros((12, 20), np.uint8)]),
    ):  # fmt: skip
        np.testing.assert_array_equal(read_image(source), BGR)


@pytest.mark.parametrize('suffix', ['.jpg', '.png', '.webp', '.tif'])
def test_turned_upright_by_exif_in_every_format(tmp_path, suffix):
    """6: the camera was turned, and the first row is the right side."""
    large = PIL.fromarray(np.kron(BGR, np.ones((8, 8, 1), np.uint8)))
    exif = PIL.Exif()
    exif[0x0112] = 6
    path = tmp_path / f'image{suffix}'
    large.save(path, exif=exif, **({'lossless': True} if suffix == '.webp' else {}))
    found = read_image(path)
    assert found.shape == (160, 96, 3)
    expected = np.rot90(np.asarray(large)[..., ::-1], -1)
    assert np.abs(found.astype(int) - expected).mean() < (20 if suffix == '.jpg' else 1e-9)


def test_greyscale_palette_cmyk_and_16_bits_as_opencv_reads_them(tmp_path):
    color = PIL.fromarray(np.kron(BGR, np.ones((8, 8, 1), np.uint8)))
    paths = []
    for mode, suffix in (('L', '.png'), ('P', '.png'), ('RGBA', '.png'), ('CMYK', '.jpg')):
        paths.append(tmp_path / f'{mode}{suffix}')
        color.convert(mode).save(paths[-1])
    paths.append(tmp_path / '16.png')
    cv2.imwrite(str(paths[-1]), (BGR[..., 0].astype(np.uint16) << 8) + 77)
    paths.append(tmp_path / '16 color.png')
    cv2.imwrite(str(paths[-1]), (BGR.astype(np.uint16) << 8) + 77)
    for path in paths:
        difference = np.abs(read_image(path).astype(int) - cv2.imread(str(path)))
        assert difference.max() <= 1, path


@pytest.mark.parametrize(
    ('source', 'message'),
    [
        (BGR / 255, r'float64: the values must be uint8.*255 \* image'),
        (BGR[None], r'shape \(1, 12, 20, 3\): expected \(H, W, 3\)'),
        (BGR[:0], r'shape \(0, 20, 3\)'),
        (BGR[..., :2], r'shape \(12, 20, 2\)'),
        (7, 'int is no image: give a path'),
        ('no.jpg', 'no.jpg: no such file'),
        (PIL.fromarray(np.zeros((3, 3), np.float32)), r'32 bits \(mode F\)'),
    ],
)  # fmt: skip
def test_what_is_no_image_is_refused(source, message):
    with pytest.raises(ValueError, match=message):
        read_image(source)


@pytest.mark.parametrize('content', [b'', b'no image', None], ids=['empty', 'text', 'cut off'])
def test_broken_files_are_named(tmp_path, content):
    path = tmp_path / 'image.png'
    cv2.imwrite(str(path), BGR)
    path.write_bytes(path.read_bytes()[:-300] if content is None else content)
    with pytest.raises(ValueError, match=r'image\.png cannot be read as an image: '):
        read_image(path)


def test_a_missing_pillow_is_named_with_the_remedy(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith('PIL'):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, '__import__', without)
    with pytest.raises(ImportError, match=r"needs Pillow: pip install 'cpm_plugin\[images\]'"):
        pillow()
    with pytest.raises(ImportError, match='needs Pillow'):
        read_image(Path(__file__))


def test_a_header_that_claims_too_many_pixels_is_refused_before_memory_is_taken(tmp_path):
    path = tmp_path / 'a.png'
    cv2.imwrite(str(path), np.zeros((4, 4, 3), np.uint8))
    content = path.read_bytes()
    header = b'IHDR' + struct.pack('>II', 30_000, 30_000) + content[24:29]
    path.write_bytes(content[:12] + header + struct.pack('>I', zlib.crc32(header)) + content[33:])
    with pytest.raises(ValueError, match=r'a\.png cannot be read .*900000000 pixels'):
        read_image(path)
    path.write_bytes(content[:16] + b'\0\x01' + content[18:])  # with the checksum of another size
    with pytest.raises(ValueError, match=r'a\.png cannot be read'):
        read_image(path)
    path.write_bytes(content)
    assert read_image(path).shape == (4, 4, 3)
