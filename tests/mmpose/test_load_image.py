"""``LoadImage`` refuses what is broken by the name of the file."""

import re

import cv2
import numpy as np
import pytest

from cpm_plugin.mmpose.load_image import refuse_too_large

from mmpose.registry import TRANSFORMS


def test_broken_images_are_named_by_the_pipeline(tmp_path):
    load = TRANSFORMS.build(dict(type='LoadImage'))
    path = tmp_path / 'a.png'
    cv2.imwrite(str(path), np.full((4, 5, 3), 7, np.uint8))
    assert load(dict(img_path=str(path)))['img'].shape == (4, 5, 3)
    for content in (b'', b'text', path.read_bytes()[:20]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=rf'^{re.escape(str(path))} cannot be read as an im'):
            load(dict(img_path=str(path)))
    with pytest.raises(FileNotFoundError, match=r'none\.png'):
        load(dict(img_path=str(tmp_path / 'none.png')))
    image = np.zeros((2, 3, 3), np.uint8)
    assert load(dict(img=image))['img_shape'] == (2, 3)


def test_what_is_no_image_is_left_to_the_decoder(tmp_path):
    (tmp_path / 'a.jpg').write_text('text')
    refuse_too_large(tmp_path / 'a.jpg')
    refuse_too_large(tmp_path / 'none.jpg')
