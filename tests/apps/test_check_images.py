"""Images with one planted fault each, and what OpenCV really does with them."""

import io
import os
import struct
import zlib

import cv2
import numpy as np
import pytest

pytest.importorskip('mmengine')

import cpm_plugin.mmpose  # noqa: F401, I001  (stock modules can be imported after this only)
import mmcv
from PIL import ExifTags, Image

from cpm_plugin.apps.check_images import check_image, check_images
from cpm_plugin.apps.check_report import KINDS

# Where Pillow refuses an image as a decompression bomb: twice its limit for a warning.
MAX_PIXELS = 2 * 89_478_485
# 40 x 24, four fields of different colors
FIELDS = np.zeros((24, 40, 3), np.uint8)
FIELDS[:12, :20] = 250, 20, 20
FIELDS[:12, 20:] = 20, 250, 20
FIELDS[12:, :20] = 20, 20, 250
FIELDS[12:, 20:] = 200
# OpenCV 4.11 leaves WebP as it is stored, 5.0 turns it.
WEBP_TURNED = 'exif_ignored' if int(cv2.__version__.split('.')[0]) < 5 else 'rotated'
NOISE = np.random.default_rng(0).integers(0, 255, (100, 150, 3), dtype=np.uint8)


def encoded(image, kind, **options):
    out = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(out, kind, **options)
    return out.getvalue()


def turned(orientation):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return exif


def fields(mode='RGB'):
    return Image.fromarray(FIELDS).convert(mode)


def png_of(width, height):
    """A PNG of this size, whose image has no rows."""
    chunks = [b'IHDR' + struct.pack('>IIBBBBB', width, height, 8, 0, 0, 0, 0)]
    chunks += [b'IDAT' + zlib.compress(b''), b'IEND']
    parts = (struct.pack('>I', len(c) - 4) + c + struct.pack('>I', zlib.crc32(c)) for c in chunks)
    return b'\x89PNG\r\n\x1a\n' + b''.join(parts)


def sixteen_bit(image, kind='.png'):
    return cv2.imencode(kind, image.astype(np.uint16))[1].tobytes()


def damaged_jpeg():
    data = bytearray(encoded(NOISE, 'JPEG'))
    middle = len(data) // 2
    data[middle : middle + 40] = b'\xff\xd9' * 20
    return bytes(data)


GREY = FIELDS[..., 0].astype(np.uint16)
TRANSPARENT = fields('RGBA')
TRANSPARENT.putalpha(100)
FILES = {  # bytes, and the kinds and values that are found
    'good.jpg': (encoded(FIELDS, 'JPEG'), []),
    'good.png': (encoded(FIELDS, 'PNG'), []),
    'good.webp': (encoded(FIELDS, 'WEBP'), []),
    'good.tif': (encoded(FIELDS, 'TIFF'), []),
    'palette.png': (encoded(fields('P'), 'PNG'), []),
    'turned_1.webp': (encoded(FIELDS, 'WEBP', exif=turned(1)), []),
    'empty.jpg': (b'', [('empty', '')]),
    'text.jpg': (b'<html>404</html>', [('unreadable', 'no image by its first bytes')]),
    'other.jpg': (
        encoded(FIELDS, 'PCX'),
        [('unreadable', 'PCX, RGB: OpenCV cannot decode it')],
    ),
    'cut.jpg': (encoded(NOISE, 'JPEG')[:-2], [('truncated', 'JPEG: image file is truncated')]),
    'cut.png': (encoded(NOISE, 'PNG')[:9000], [('truncated', 'PNG: image file is truncated')]),
    'cut.webp': (encoded(NOISE, 'WEBP')[:5000], [('truncated', 'WebP by its first bytes')]),
    'cut_early.jpg': (encoded(NOISE, 'JPEG')[:30], [('truncated', 'JPEG by its first bytes')]),
    'cut.tif': (encoded(NOISE, 'TIFF')[:9000], [('truncated', 'TIFF: image file is truncated')]),
    'giant.png': (png_of(20_000, 10_000), [('giant', 'Image size (200000000 pixels)')]),
    'damaged.jpg': (damaged_jpeg(), [('damaged', 'Corrupt JPEG data: premature end')]),
    'turned.jpg': (
        encoded(FIELDS, 'JPEG', exif=turned(6)),
        [('rotated', 'JPEG, orientation 6')],
    ),
    'turned.webp': (
        encoded(FIELDS, 'WEBP', exif=turned(2)),
        [(WEBP_TURNED, 'WEBP, orientation 2')],
    ),
    'grey.jpg': (encoded(fields('L'), 'JPEG'), [('grey', 'L')]),
    'cmyk.jpg': (encoded(fields('CMYK'), 'JPEG'), [('cmyk', 'JPEG')]),
    'alpha.png': (encoded(TRANSPARENT, 'PNG'), [('alpha', 'RGBA')]),
    'deep.png': (sixteen_bit(FIELDS * 257.0), [('16_bit', 'brightest pixel: 250 of 255')]),
    'deep.tif': (
        sixteen_bit(FIELDS * 257.0, '.tiff'),
        [('16_bit', 'brightest pixel: 250 of 255')],
    ),
    'deep_grey.png': (
        sixteen_bit(GREY * 257.0),
        [('16_bit', 'brightest pixel: 250 of 255'), ('grey', 'I;16')],
    ),
    'dark.png': (sixteen_bit(FIELDS * 16.0), [('dark_16_bit', 'brightest pixel: 15 of 255')]),
    'float.tif': (encoded(GREY.astype(np.float32), 'TIFF'), [('float', 'TIFF, F')]),
    'float.pfm': (encoded(GREY.astype(np.float32) / 255, 'PPM'), [('float', 'PPM, F')]),
    'int.tif': (encoded(GREY.astype(np.int32), 'TIFF'), [('float', 'TIFF, I')]),
}


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('images')
    for name, (data, _) in FILES.items():
        (folder / name).write_bytes(data)
    (folder / 'folder.jpg').mkdir()
    return folder


@pytest.mark.parametrize('name', FILES)
def test_each_fault_is_found_and_nothing_else(folder, name, capfd):
    found = check_image(str(folder / name)).found
    expected = FILES[name][1]
    assert [kind for kind, _ in found] == [kind for kind, _ in expected]
    for (_, value), (_, start) in zip(found, expected):
        assert value.startswith(start)
    assert set(kind for kind, _ in found) <= set(KINDS)
    assert capfd.readouterr() == ('', '')  # decoders print


def test_files_that_cannot_be_opened(folder):
    assert check_image(str(folder / 'none.jpg')).found == (('missing', ''),)
    ((kind, value),) = check_image(str(folder / 'folder.jpg')).found
    assert kind == 'unreadable' and 'Is a directory' in value


def test_the_size_is_that_of_the_image_as_it_is_read(folder):
    assert check_image(str(folder / 'good.png')).size == (40, 24)
    assert check_image(str(folder / 'turned.jpg')).size == (24, 40)
    assert check_image(str(folder / 'deep.tif')).size == (40, 24)
    for name in ('cut.jpg', 'giant.png', 'other.jpg', 'float.tif'):
        assert check_image(str(folder / name)).size is None


def test_an_image_of_just_the_limit_is_not_giant(tmp_path):
    # up to the limit it is decoded, which fails
    (tmp_path / 'most.png').write_bytes(png_of(MAX_PIXELS // 20, 20))
    (tmp_path / 'more.png').write_bytes(png_of(MAX_PIXELS // 20 + 1, 20))
    kinds = [check_image(str(tmp_path / name)).found[0][0] for name in ('most.png', 'more.png')]
    assert kinds == ['truncated', 'giant']


@pytest.mark.parametrize('orientation', range(2, 9))
@pytest.mark.parametrize('kind', ['JPEG', 'PNG', 'TIFF', 'WEBP'])
def test_opencv_applies_orientations_where_they_are_a_note(tmp_path, kind, orientation):
    """The fields show in which formats OpenCV turns the image."""
    options = dict(quality=95) if kind == 'JPEG' else dict(lossless=True) if kind == 'WEBP' else {}
    data = encoded(FIELDS, kind, exif=turned(orientation), **options)
    (tmp_path / 'image').write_bytes(data)
    read = mmcv.imfrombytes(data, flag='color', backend='cv2')[..., ::-1].astype(int)
    ways = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }  # fmt: skip
    applied = np.asarray(fields().transpose(ways[orientation]))
    expected = {'rotated': applied, 'exif_ignored': FIELDS}
    ((found, _),) = check_image(str(tmp_path / 'image')).found
    assert found == (WEBP_TURNED if kind == 'WEBP' else 'rotated')
    assert read.shape == expected[found].shape
    assert np.median(np.abs(read - expected[found])) < 3
    assert np.abs(read - expected[found]).mean() < 10


def test_processes_give_the_same_in_order(folder):
    paths = [str(folder / name) for name in (*FILES, 'none.jpg')]
    assert list(check_images(paths, workers=2)) == list(check_images(paths))


def test_a_process_that_dies_is_named(folder, monkeypatch):
    monkeypatch.setattr('cpm_plugin.apps.check_images._decode', lambda data: os._exit(9))
    with pytest.raises(ValueError, match='has died'):
        list(check_images([str(folder / 'good.jpg')], workers=2))
