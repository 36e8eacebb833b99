"""``FlicDataset``: Frames Labeled In Cinema (FLIC) in its own file layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..core.evaluation.person_scale import PIXELS_OF_SCALE_1
from ..core.maps.joint_sets import FLIC
from .datasets import CATEGORIES, as_coco, dataset_info
from .matlab import load_variable

from mmpose.datasets.datasets.base import BaseCocoStyleDataset
from mmpose.registry import DATASETS
from mmpose.structures.bbox import bbox_cs2xyxy

# Number of FLIC's 29 columns that have a position: shoulder, elbow and wrist of both sides, hips,
# eyes, nose. The authors leave the eyes out and call the nose the head.
_ANNOTATED = 11
_EYES = [8, 9]
# MPII's scale for one pixel of torso height; ``constant`` in the authors' genJSON.m.
_SCALE_OF_TORSO = 0.0110


class FlicExample(NamedTuple):
    """Entry of ``examples.mat``: one person.

    Attributes:
        filepath: File name of the image.
        keypoints: (9, 2) in image pixels, counted from 0.
        center: (2,), center of the person in image pixels, counted from 0.
        scale: Size of the person in MPII's unit, 1 for 200 pixels.
        istest: Whether the person belongs to the test set.
    """

    filepath: str
    keypoints: np.ndarray
    center: np.ndarray
    scale: float
    istest: bool


def observer_centric(keypoints: np.ndarray) -> np.ndarray:
    """Exchange left and right where the right shoulder lies to the right of the left one.

    Afterwards the left shoulder is always the one with the larger x coordinate.

    Args:
        keypoints: (9, 2), in the order of ``FLIC``.

    Returns:
        (9, 2).
    """
    left, right = FLIC.index('left_shoulder'), FLIC.index('right_shoulder')
    return (
        keypoints[list(FLIC.flip_indices)]
        if keypoints[right, 0] > keypoints[left, 0]
        else keypoints
    )


def center_and_scale(torsobox: np.ndarray) -> tuple[np.ndarray, float]:
    """Compute the center and the MPII-like scale of a person from its torso box.

    Args:
        torsobox: (4,), x1, y1, x2, y2 in image pixels.

    Returns:
        Center (2,) in image pixels, and scale, 1 for a person of 200 pixels.
    """
    x1, y1, x2, y2 = torsobox
    return np.array([(x1 + x2) / 2, 0.7 * y1 + 0.3 * y2]), _SCALE_OF_TORSO * (y2 - y1)


def read_examples(path: str | Path) -> list[FlicExample]:
    """Read ``examples.mat`` of FLIC.

    Args:
        path: Path of the file.

    Returns:
        All examples, in the order of the file.

    Raises:
        ValueError: If the file is missing or has other content, or an example does not have 11
            joints and a torso. The message names the file and the example, counted from 1.
    """
    if not Path(path).is_file():
        raise ValueError(
            f'{path}: no such file. FlicDataset expects DATA_ROOT/examples.mat and '
            'DATA_ROOT/images/; set data_root to where FLIC was unpacked'
        )
    try:
        entries = load_variable(path, 'examples', simplify=True)
    except Exception as error:  # of a broken file, nearly any
        raise ValueError(
            f"{path}: not a MATLAB file with a struct 'examples' ({error}); unpack FLIC again"
        ) from error
    examples = []
    # SciPy reads an array of one struct as that struct.
    for number, entry in enumerate(np.atleast_1d(entries), start=1):
        try:
            examples.append(_example(entry))
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise ValueError(
                f'{path}: example {number} is not as in FLIC ({type(error).__name__}: {error}); '
                'filepath, coords with 11 joints, torsobox and istest are needed'
            ) from error
    return examples


def _example(entry: dict[str, Any]) -> FlicExample:
    coords = np.asarray(entry['coords'], dtype=np.float64)
    if coords.ndim != 2 or len(coords) != 2:
        raise ValueError(f'coords {coords.shape} must be (2, 29) or (2, 11)')
    joints = coords[:, ~np.isnan(coords).all(axis=0)].T
    if len(joints) != _ANNOTATED or np.isnan(joints).any():
        raise ValueError(f'coords has {len(joints)} joints, expected {_ANNOTATED}, none half NaN')
    torsobox = np.asarray(entry['torsobox'], dtype=np.float64).ravel()
    if torsobox.shape != (4,) or not torsobox[3] > torsobox[1]:
        raise ValueError(f'torsobox {torsobox.tolist()} must be x1, y1, x2, y2 with y2 > y1')
    center, scale = center_and_scale(torsobox)
    # MATLAB counts pixels from 1.
    keypoints = observer_centric(np.delete(joints, _EYES, axis=0)) - 1
    return FlicExample(str(entry['filepath']), keypoints, center - 1, scale, bool(entry['istest']))


@DATASETS.register_module()
class FlicDataset(BaseCocoStyleDataset):
    """FLIC (Sapp and Taskar, CVPR 2013) in its own file layout, read as the authors do.

    The folder ``data_root`` has ``examples.mat`` and ``images/``. The sources are the authors'
    ``genJSON.m`` and ``run_benchmark.m``.

    Left and right are those of the observer. Left is the side with the larger x coordinate, as for
    a person who faces the camera. The head is FLIC's nose. All 9 joints of all people are labeled.

    Every sample has ``bbox_center`` (1, 2), in the upper part of FLIC's torso box. Its
    ``bbox_scale`` (1, 2) is MPII's scale x 200 pixels, from the height of that box. ``bbox`` is the
    square that they describe. ``img_id`` is the same for all people of an image, who are next to
    each other in the list. ``AddNeighbors`` therefore finds them, but only those of the same
    split. In the authors' data, people of the test set are neighbors too.

    For evaluation there is ``TorsoPCKAccuracy``. Its ``torso/PCK_elbow`` and ``torso/PCK_wrist``
    at 0.2 of the torso, left shoulder to right hip, are the results in the paper. It takes the
    torso of the annotation. ``run_benchmark.m`` takes that of the prediction,
    ``norm(prediction(1,:) - prediction(8,:))``, which forgives more if the person is predicted
    too large.

    Args:
        ann_file: Path of the annotations in ``data_root``.
        data_prefix: Folder of the images in ``data_root``.
        split: ``'train'`` or ``'test'``. None: ``'test'`` with ``test_mode``, otherwise
            ``'train'``. Training has all examples that are not marked ``istest``, as in the
            authors' data.
        test_mode: See ``BaseCocoStyleDataset``.
        kwargs: See ``mmpose.datasets.datasets.base.BaseCocoStyleDataset``.

    Raises:
        ValueError: If a file is missing or broken, or the split is unknown or has no examples. The
            message names it.

    Examples:
        In a config:

        >>> dataset = dict(type='FlicDataset', data_root='data/flic/', split='train')
    """

    METAINFO = dataset_info(
        FLIC,
        dataset_name='flic',
        paper_info=dict(
            author='Ben Sapp and Ben Taskar',
            title='MODEC: Multimodal Decomposable Models for Human Pose Estimation',
            container='CVPR',
            year='2013',
            homepage='https://bensapp.github.io/flic-dataset.html',
        ),
    )

    def __init__(
        self,
        ann_file: str = 'examples.mat',
        data_prefix: dict = dict(img='images/'),  # noqa: B006
        split: str | None = None,
        test_mode: bool = False,
        **kwargs: Any,
    ) -> None:
        self.split = split or ('test' if test_mode else 'train')
        if self.split not in ('train', 'test'):
            raise ValueError(f"split {split!r} must be 'train', 'test' or None")
        super().__init__(ann_file=ann_file, data_prefix=data_prefix, test_mode=test_mode, **kwargs)

    def _load_annotations(self) -> tuple[list[dict], list[dict]]:
        examples = read_examples(self.ann_file)
        self._metainfo['CLASSES'] = list(CATEGORIES)
        numbers: dict[str, int] = {}
        instances = []
        for number, example in enumerate(examples, start=1):
            if example.istest != (self.split == 'test'):
                continue
            img_id = numbers.setdefault(example.filepath, len(numbers) + 1)
            instances.append(self._instance(number, img_id, example))
        if not instances:
            raise ValueError(
                f'{self.ann_file}: none of {len(examples)} examples is of the {self.split} set; '
                'give another split, or the complete file'
            )
        instances.sort(key=lambda instance: instance['img_id'])
        images = [
            dict(img_id=img_id, img_path=self._path(name)) for name, img_id in numbers.items()
        ]
        return instances, images

    def _instance(self, number: int, img_id: int, example: FlicExample) -> dict[str, Any]:
        center = example.center[None].astype(np.float32)
        side = PIXELS_OF_SCALE_1 * example.scale
        scale = np.full((1, 2), side, dtype=np.float32)
        person = dict(
            id=number,
            img_id=img_id,
            img_path=self._path(example.filepath),
            category_id=1,
            iscrowd=0,
            bbox=bbox_cs2xyxy(center, scale),
            bbox_center=center,
            bbox_scale=scale,
            bbox_score=np.ones(1, dtype=np.float32),
            keypoints=example.keypoints[None].astype(np.float32),
            keypoints_visible=np.ones((1, len(FLIC.names)), dtype=np.float32),
            num_keypoints=len(FLIC.names),
            area=np.array(side**2, dtype=np.float32),
        )
        return dict(person, raw_ann_info=as_coco(person))

    def _path(self, name: str) -> str:
        return str(Path(self.data_prefix['img']) / name)
