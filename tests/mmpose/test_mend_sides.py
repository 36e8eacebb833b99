"""MendSides: the labels of listed images, and of no others."""

import json

import numpy as np
import pytest

from cpm_plugin.core.maps.joint_sets import LSP
from cpm_plugin.mmpose.mend_sides import read_swaps

from mmpose.datasets.transforms import RandomFlip
from mmpose.registry import TRANSFORMS


def mend(tmp_path, content):
    (tmp_path / 'swaps.json').write_text(json.dumps(content))
    step = dict(type='MendSides', file=str(tmp_path / 'swaps.json'), joints='lsp')
    return TRANSFORMS.build(step)


def sample(name):
    """Joint n is at (n, 10 n), and its visibility is n."""
    numbers = np.arange(14, dtype=np.float32)
    return dict(
        img_path=f'anywhere/{name}', keypoints=np.stack([numbers, 10 * numbers], axis=1)[None],
        keypoints_visible=numbers[None],
    )  # fmt: skip


LEGS = [5, 4, 3, 2, 1, 0, 6, 7, 8, 9, 10, 11, 12, 13]
ALL = [5, 4, 3, 2, 1, 0, 11, 10, 9, 8, 7, 6, 12, 13]


def test_listed_images_alone_are_mended(tmp_path):
    step = mend(tmp_path, {'im00001.jpg': ['legs'], 'im00002.jpg': ['arms', 'legs']})
    for name, order in (('im00001', LEGS), ('im00002', ALL), ('im00003', list(range(14)))):
        found = step(sample(f'{name}.jpg'))
        assert found['keypoints'][0, :, 0].tolist() == order
        assert found['keypoints'][0, :, 1].tolist() == [10 * number for number in order]
        assert found['keypoints_visible'][0].tolist() == order


def test_a_mirrored_image_of_a_mended_one_is_the_mended_one_mirrored(tmp_path):
    step = mend(tmp_path, {'a.jpg': ['arms', 'legs']})
    flip = RandomFlip(prob=1.0)
    image = dict(
        img=np.zeros((200, 50, 3), np.uint8), img_shape=(200, 50),
        flip_indices=list(LSP.flip_indices),
    )  # fmt: skip
    mended = flip({**step(sample('a.jpg')), **image})
    plain = flip({**sample('b.jpg'), **image})
    np.testing.assert_array_equal(
        mended['keypoints'][0], plain['keypoints'][0][list(LSP.flip_indices)]
    )


@pytest.mark.parametrize(
    'content, words',
    [
        ('[]', 'a list of images by name was expected'),
        ('{"a": []}', r'\[\] of a: expected a list'),
        ('{"a": ["feet"]}', r"\['feet'\] of a: expected a list with one or more of arms, legs"),
        ('{"a": "arms"}', "'arms' of a: expected a list"),
        ('{', r'no list of tools/find_swaps\.py'),
        (None, r'swaps\.json: no list of tools/find_swaps\.py'),
    ],
)
def test_other_files_are_refused(tmp_path, content, words):
    if content is not None:
        (tmp_path / 'swaps.json').write_text(content)
    with pytest.raises(ValueError, match=words):
        read_swaps(tmp_path / 'swaps.json')


def test_several_people_and_those_of_other_samples_are_refused(tmp_path):
    step = mend(tmp_path, {'a.jpg': ['legs']})
    people = sample('a.jpg')
    people['keypoints'] = np.repeat(people['keypoints'], 2, axis=0)
    with pytest.raises(ValueError, match=r'a\.jpg: 2 people in a sample; MendSides is for one'):
        step(people)
    mended = dict(step(sample('a.jpg')), dataset=[], sample_idx=0)
    for other in (dict(type='MosaicPeople', size=(8, 8)), dict(type='AddNeighbors')):
        with pytest.raises(ValueError, match=f'{other["type"]} takes other people'):
            TRANSFORMS.build(other)(mended)
