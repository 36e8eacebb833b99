"""``FiguresDataset``: the images that ``tools/make_figures.py`` generates."""

from __future__ import annotations

from ..core.maps.joint_sets import LSP
from .checked_datasets import report_of
from .datasets import dataset_info

from mmpose.datasets.datasets.base import BaseCocoStyleDataset
from mmpose.registry import DATASETS


@DATASETS.register_module()
class FiguresDataset(BaseCocoStyleDataset):
    """Images of ``tools/make_figures.py``: annotations as in COCO, with the joints of LSP.

    The arguments are those of ``BaseCocoStyleDataset``.

    Raises:
        ValueError: If the annotations are missing or broken. The message names the file.

    Examples:
        In a config:

        >>> dataset = dict(
        ...     type='FiguresDataset', data_root='data/figures/', ann_file='annotations/train.json',
        ...     data_prefix=dict(img='train/'),
        ... )
    """

    METAINFO = dataset_info(LSP, dataset_name='figures')

    def _load_annotations(self) -> tuple[list[dict], list[dict]]:
        try:
            instances, images = super()._load_annotations()
            if not instances and not report_of(self).faults:
                raise ValueError('the file has no annotations')
            return instances, images
        except (AssertionError, ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f'{self.ann_file}: missing or broken ({error}); make the images with '
                f'python tools/make_figures.py {self.data_root}'
            ) from error
