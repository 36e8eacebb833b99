"""Small datasets on disk, in the layouts of COCO and LSP."""

import json

import cv2
import numpy as np
from scipy.io import savemat

from cpm_plugin.apps.figures_dataset import make

FIVE = ('head_top', 'left_wrist', 'right_wrist', 'left_ankle', 'right_ankle')


def make_five(root, count):
    """``data/five`` of docs/tutorials/own-data.md: ``count`` small images, and 3 to validate on."""
    make(
        root / 'data' / 'five',
        dict(arguments=dict(train=count, val=3, size=48, seed=0, joints=list(FIVE))),
    )


def coco_content(people, count, size):
    """What is in a file of COCO's format: images 1.png, 2.png, ... of (width, height)."""
    width, height = size
    return dict(
        images=[
            dict(id=n, file_name=f'{n}.png', width=width, height=height)
            for n in range(1, count + 1)
        ],
        annotations=people,
        categories=[dict(id=1, name='person', keypoints=[], skeleton=[])],
    )


def write_coco(root, content):
    """``people.json`` with this content, and its images beside it, all black."""
    for image in content['images']:
        black = np.zeros((image['height'], image['width'], 3), np.uint8)
        assert cv2.imwrite(str(root / image['file_name']), black)
    (root / 'people.json').write_text(json.dumps(content))
    return root


def write_lsp(root, points, third_row, layout='lspet', images=None, size=(32, 24)):
    """``joints.mat`` and images of (width, height), image n of the gray 30 n.

    ``points`` is (N, 14, 2) and ``third_row`` (N, 14): labeled joints in the layout of LSP
    Extended, occluded ones in that of LSP. ``images`` are the numbers of those that are there.
    """
    joints = np.concatenate([points, np.asarray(third_row, float)[..., None]], axis=-1)
    joints = joints.transpose(1, 2, 0) if layout == 'lspet' else joints.transpose(2, 1, 0)
    savemat(root / 'joints.mat', {'joints': joints})
    (root / 'images').mkdir()
    name = 'im{:05d}.jpg' if layout == 'lspet' else 'im{:04d}.jpg'
    for number in range(1, len(points) + 1) if images is None else images:
        image = np.full((size[1], size[0], 3), 30 * number % 256, np.uint8)
        assert cv2.imwrite(str(root / 'images' / name.format(number)), image)
    return root
