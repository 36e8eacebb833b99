"""``LspDataset``: Leeds Sports Pose and LSP Extended in their own file layout."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mmengine.dataset import ConcatDataset
from PIL import Image

from ..core.evaluation.person_scale import PIXELS_OF_SCALE_1, limb_ratios, mpii_like_scales
from ..core.maps.joint_sets import LSP
from .checked_datasets import report_of
from .datasets import CATEGORIES, as_coco, dataset_info
from .labels import NO_KEYPOINT
from .matlab import load_variable

from mmpose.datasets.datasets.base import BaseCocoStyleDataset
from mmpose.registry import DATASETS


class LspJoints(NamedTuple):
    """Content of ``joints.mat``, of LSP or LSP Extended.

    Attributes:
        keypoints: (N, 14, 2) in image pixels.
        labeled: (N, 14), 1 where the position is known, otherwise 0.
        visible: (N, 14), 1 where the joint is not occluded, otherwise 0. It differs from
            ``labeled`` only in LSP.
        extended: Whether the file is that of LSP Extended.
    """

    keypoints: np.ndarray
    labeled: np.ndarray
    visible: np.ndarray
    extended: bool


def read_joints(path: str | Path) -> LspJoints:
    """Read ``joints.mat`` of LSP or LSP Extended.

    LSP Extended has (14, 3, N), where the third row means *labeled*: a joint with 0 has no
    usable position. LSP has (3, 14, N), where the third row means *occluded*: the position of an
    occluded joint is labeled too.

    Args:
        path: Path of the file.

    Returns:
        Keypoints and their labels.

    Raises:
        ValueError: If the file is missing or has other content. The message names the file.
    """
    if not Path(path).is_file():
        raise ValueError(
            f'{path}: no such file. LspDataset expects DATA_ROOT/joints.mat and '
            'DATA_ROOT/images/; set data_root to where Leeds Sports Pose was unpacked'
        )
    try:
        joints = np.asarray(load_variable(path, 'joints'), dtype=np.float32)
    except Exception as error:  # of a broken file, nearly any
        raise ValueError(
            f"{path}: not a MATLAB file with a matrix 'joints' ({error}); unpack the dataset again"
        ) from error
    extended = joints.shape[:2] == (14, 3)
    if joints.ndim == 3 and extended and joints.shape[2]:
        joints = joints.transpose(2, 0, 1)
        labeled = visible = joints[..., 2] > 0
    elif joints.ndim == 3 and joints.shape[:2] == (3, 14) and joints.shape[2]:
        joints = joints.transpose(2, 1, 0)
        visible = joints[..., 2] == 0
        labeled = np.ones_like(visible)
    else:
        raise ValueError(
            f"{path}: 'joints' has shape {joints.shape}; expected (14, 3, N) (LSP Extended) or "
            '(3, 14, N) (LSP)'
        )
    if not np.isfinite(joints[..., 2]).all():
        raise ValueError(
            f"{path}: 'joints' has a third row that is not finite, so it is unknown which joints "
            'are labeled; unpack the dataset again'
        )
    labeled, visible = labeled.astype(np.float32), visible.astype(np.float32)
    return LspJoints(joints[..., :2], labeled, visible, extended)


def _limb_ratios(paths: Sequence[str]) -> np.ndarray:
    """Return the limb ratios of the people of several ``joints.mat``; of LSP, the training set."""
    files = [read_joints(path) for path in paths]
    ends = [None if file.extended else 1000 for file in files]
    return limb_ratios(
        np.concatenate([file.keypoints[:end] for file, end in zip(files, ends)]),
        np.concatenate([file.visible[:end] for file, end in zip(files, ends)]),
        LSP,
    )


def image_middle(path: str | Path) -> tuple[float, float]:
    """Compute the middle of an image as the authors do.

    It is half the size of the image in MATLAB's pixels, which begin with 1. Only the header of the
    file is read.

    Args:
        path: Path of the image.

    Returns:
        (x, y) in image pixels, counted from 0.

    Raises:
        ValueError: If the file is missing or not an image. The message names the file.
    """
    try:
        with Image.open(path) as image:
            width, height = image.size
    except Exception as error:  # as for one that claims too many pixels, no OSError
        raise ValueError(
            f'{path}: not an image that can be read ({error}); center_scale="authors" needs the '
            'size of every image of LSP. Unpack the dataset again'
        ) from error
    return width / 2 - 1, height / 2 - 1


def box_of_joints(keypoints: np.ndarray, labeled: np.ndarray, margin: float) -> np.ndarray:
    """Compute the bounding box of the labeled joints, with a margin.

    Args:
        keypoints: (K, 2) in image pixels.
        labeled: (K,), above 0 for at least one joint.
        margin: Margin on every side, as a part of the longer side of the box.

    Returns:
        (4,), x1, y1, x2, y2 in image pixels, in float32.
    """
    points = keypoints[labeled > 0]
    low, high = points.min(axis=0), points.max(axis=0)
    border = margin * (high - low).max()
    return np.concatenate([low - border, high + border]).astype(np.float32)


@DATASETS.register_module()
class LspDataset(BaseCocoStyleDataset):
    """Leeds Sports Pose (LSP) or LSP Extended, in its own file layout.

    The folder ``data_root`` has ``joints.mat`` and ``images/``, with ``im0001.jpg`` (LSP) or
    ``im00001.jpg`` (LSP Extended). Images without a labeled joint are left out, and counted in the
    log.

    The datasets have no bounding boxes. The box is computed from the annotated joints, in training
    and in testing. Results are therefore those of a perfect detector.

    Args:
        ann_file: Path of the annotations in ``data_root``.
        data_prefix: Folder of the images in ``data_root``.
        image_range: First and last image number, both included. They are counted from 1, as the
            files are. None: all images.
        box_margin: Margin of the box on every side, as a part of its longer side. 0.1 covers the
            outline of head, hands and feet. MMPose's ``GetBBoxCenterScale`` enlarges the box
            once more, by 1.25.
        center_scale: ``'box'`` adds nothing. ``'authors'`` adds ``bbox_center`` (1, 2) and
            ``bbox_scale`` (1, 2), MPII's scale x 200 pixels, as in the authors' training data
            (``genJSON.m``). The center is the middle of the labeled joints for LSP Extended, and
            the middle of the image for LSP. The scale is that of ``mpii_like_scales`` for the
            joints that are not occluded. It comes from the annotations; to test on LSP, the
            authors use ``GetImageCenterScale``.
        limbs_of: Paths of the ``joints.mat`` files whose people give the limb ratios for the
            scale. The authors take both datasets together. None: the file of this dataset,
            whatever ``image_range`` is. The scales of LSP are then 8 % smaller than the authors',
            and those of LSP Extended 1 % larger, in the median.
        kwargs: See ``mmpose.datasets.datasets.base.BaseCocoStyleDataset``.

    Raises:
        ValueError: If a file is missing or broken, or a value is out of range. The message names
            it.

    Examples:
        In a config:

        >>> dataset = dict(type='LspDataset', data_root='data/lspet/', image_range=(1, 7500))
        >>> train_dataloader = dict(batch_size=32, dataset=dataset)
    """

    METAINFO = dataset_info(
        LSP,
        dataset_name='lsp',
        paper_info=dict(
            author='Sam Johnson and Mark Everingham',
            title='Learning Effective Human Pose Estimation from Inaccurate Annotation',
            container='CVPR',
            year='2011',
            homepage='http://sam.johnson.io/research/lspet.html',
        ),
    )

    def __init__(
        self,
        ann_file: str = 'joints.mat',
        data_prefix: dict = dict(img='images/'),  # noqa: B006
        image_range: tuple[int, int] | None = None,
        box_margin: float = 0.1,
        center_scale: str = 'box',
        limbs_of: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> None:
        if box_margin < 0:
            raise ValueError(f'box_margin {box_margin} must not be negative')
        if center_scale not in ('box', 'authors'):
            raise ValueError(f"center_scale {center_scale!r} must be 'box' or 'authors'")
        self.image_range = image_range
        self.box_margin = box_margin
        self.center_scale = center_scale
        self.limbs_of = limbs_of
        super().__init__(ann_file=ann_file, data_prefix=data_prefix, **kwargs)

    def _load_annotations(self) -> tuple[list[dict], list[dict]]:
        joints = read_joints(self.ann_file)
        self._metainfo['CLASSES'] = list(CATEGORIES)
        keypoints, labeled = joints.keypoints, joints.labeled
        first, last = self.image_range or (1, len(keypoints))
        if not 1 <= first <= last <= len(keypoints):
            raise ValueError(
                f'image_range ({first}, {last}): {self.ann_file} has images 1 to {len(keypoints)}'
            )
        folder = Path(self.data_prefix['img'])
        name = self._file_name(folder, first)
        if self.center_scale == 'authors':
            ratios = None if self.limbs_of is None else _limb_ratios(self.limbs_of)
            try:
                scales = mpii_like_scales(keypoints, joints.visible, LSP, ratios)
            except ValueError as error:
                raise ValueError(f'{self.ann_file}: {error}') from error
        instances, images = [], []
        for number in range(first, last + 1):
            known = labeled[number - 1]
            if not known.any():
                report_of(self).left_out[NO_KEYPOINT] += 1
                continue
            path = str(folder / name.format(number))
            x1, y1, x2, y2 = box_of_joints(keypoints[number - 1], known, self.box_margin)
            images.append(dict(img_id=number, img_path=path))
            instances.append(
                dict(
                    id=number,
                    img_id=number,
                    img_path=path,
                    category_id=1,
                    iscrowd=0,
                    bbox=np.array([[x1, y1, x2, y2]], dtype=np.float32),
                    bbox_score=np.ones(1, dtype=np.float32),
                    # The position of a joint that is not labeled has no meaning.
                    keypoints=np.where(known[:, None] > 0, keypoints[number - 1], 0)[None],
                    keypoints_visible=known[None],
                    num_keypoints=int(known.sum()),
                    area=np.array((x2 - x1) * (y2 - y1), dtype=np.float32),
                )
            )
            instances[-1]['raw_ann_info'] = as_coco(instances[-1])
            if self.center_scale == 'authors':
                # The margin is the same on every side, so box and joints have the same middle.
                middle = ((x1 + x2) / 2, (y1 + y2) / 2) if joints.extended else image_middle(path)
                side = PIXELS_OF_SCALE_1 * scales[number - 1]
                instances[-1]['bbox_center'] = np.array([middle], dtype=np.float32)
                instances[-1]['bbox_scale'] = np.full((1, 2), side, dtype=np.float32)
        return instances, images

    @staticmethod
    def _file_name(folder: Path, number: int) -> str:
        for pattern in ('im{:05d}.jpg', 'im{:04d}.jpg'):
            if (folder / pattern.format(number)).is_file():
                return pattern
        raise ValueError(
            f'{folder}: neither im{number:05d}.jpg (LSP Extended) nor im{number:04d}.jpg (LSP) '
            'exists; set data_root and data_prefix to where the images are'
        )


@DATASETS.register_module()
class LspConcatDataset(ConcatDataset):
    """LSP and LSP Extended together, as a ``ConcatDataset`` that has the meta information of LSP.

    MMPose's ``init_model`` and inferencers take the meta information from the class of the
    training data. The arguments are those of ``ConcatDataset``.

    Examples:
        The data of the paper for LSP, in a config:

        >>> dataset = dict(
        ...     type='LspConcatDataset',
        ...     datasets=[
        ...         dict(type='LspDataset', data_root='data/lsp/', image_range=(1, 1000)),
        ...         dict(type='LspDataset', data_root='data/lspet/'),
        ...     ],
        ... )
    """

    METAINFO = LspDataset.METAINFO
