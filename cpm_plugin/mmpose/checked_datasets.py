"""All COCO-style datasets of MMPose check their labels when they are loaded.

Every dataset of one person per sample is a ``BaseCocoStyleDataset``: stock's ``CocoDataset`` and
``MpiiDataset``, and ours. MMPose notices a wrong label late, in a batch, in words that name no
image; or not at all. It leaves people out without a word. So that a stock config needs one line
only (``custom_imports``), methods of that class are extended here: they name what is wrong
before the first batch, and log who was left out. Nothing is done in the data pipeline.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.logging import MessageHub, print_log

from .labels import (
    NO_ANNOTATION,
    NO_IMAGE,
    OTHER,
    REMEDY,
    LabelError,
    LabelReport,
    check_labels,
    clear_unlabeled,
    counts_text,
    keypoint_names,
    name_of,
    sort_people,
)
from .raw_labels import duplicates, is_finite, mpii_fault, raw_fault

from mmpose.datasets.datasets.base import BaseCocoStyleDataset


def report_of(dataset: Any) -> LabelReport:
    """Return the report of a dataset, to which its loader may add.

    Args:
        dataset: The dataset, while it is loaded or after.

    Returns:
        People left out, and faults.
    """
    return dataset.__dict__.setdefault('label_report', LabelReport())


def install() -> None:
    """Extend ``BaseCocoStyleDataset``, once."""
    base = BaseCocoStyleDataset
    if hasattr(base, 'checks_labels'):
        return
    load, parse, people_of = base.load_data_list, base.parse_data_info, base._get_topdown_data_infos
    init = base.__init__

    @functools.wraps(init)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        if self.test_mode and not str(self.ann_file).endswith('.json'):
            # MMPose notes every annotation file for CocoMetric, which would read joints.mat as
            # JSON. Without the note it takes the annotations of the samples.
            name = f'{self.metainfo["dataset_name"]}_ann_file'
            MessageHub.get_current_instance().update_info(name, None)

    @functools.wraps(load)
    def load_data_list(self: Any) -> list[dict]:
        self.label_report = LabelReport()
        files = [str(file) for file in (self.bbox_file, self.ann_file) if file]
        try:
            data = load(self)
        except Exception as error:  # stock code raises nearly anything for a broken file
            # What MPII's loader was about to read.
            fault = mpii_fault(getattr(self, 'anns', ()), len(keypoint_names(self._metainfo)))
            named = isinstance(error, ValueError) and any(file in str(error) for file in files)
            if isinstance(error, LabelError) or (named and not fault):
                raise
            if fault:
                raise LabelError(f'{self.ann_file}: {fault}. {REMEDY}') from error
            if missing := [
                file for file in files if '://' not in file and not Path(file).is_file()
            ]:
                raise ValueError(
                    f'{missing[0]}: no such file; set data_root and ann_file of the dataset to '
                    'where it is'
                ) from error
            raise ValueError(
                f'{" or ".join(files)}: annotations cannot be read '
                f'({type(error).__name__}: {error}); correct the file, or make it again'
            ) from error
        faults = self.label_report.faults
        if faults and self.data_mode != 'topdown':
            check_labels(LabelReport(faults=faults), len(faults) + len(data), self.ann_file)
        if not data and self.serialize_data:  # which stock code cannot do
            raise ValueError(f'{" or ".join(files)}: no annotation in it has keypoints and a box')
        for sample in data:
            clear_unlabeled(sample)
            if key := _not_finite(sample):
                raise LabelError(
                    f'{files[0]}: {name_of(sample)}: {key} must be finite, but it is not (NaN or '
                    'infinite). Correct the annotation, or remove it'
                )
        return data

    def parse_data_info(self: Any, raw_data_info: dict) -> dict | None:
        try:
            info = parse(self, raw_data_info)
        except (ValueError, TypeError, KeyError, IndexError) as error:
            raw = raw_data_info['raw_ann_info']
            fault = raw_fault(raw, len(keypoint_names(self._metainfo)))
            image = raw_data_info['raw_img_info']['img_path']
            where = name_of(dict(img_path=image, id=raw.get('id')))
            fault = fault or f'{type(error).__name__} {error}'
            report_of(self).faults.append(f'{where}: {fault}')
            return None
        if not info:
            report_of(self).left_out[NO_ANNOTATION] += 1
        return info

    def _get_topdown_data_infos(self: Any, instance_list: Sequence[dict]) -> list[dict]:
        report = report_of(self)
        coco = getattr(self, 'coco', None)  # MPII's is None
        if coco is not None:
            listed = coco.imgToAnns
            if strangers := sum(len(listed[i]) for i in listed if i not in coco.imgs):
                report.left_out[NO_IMAGE] += strangers
            # Else an annotation would belong to the image of another.
            report.faults += duplicates(coco.dataset)
        own_rules = type(self)._is_valid_instance is not base._is_valid_instance
        good = sort_people(
            instance_list, keypoint_names(self._metainfo), report, own_rules=own_rules
        )
        kept = people_of(self, good)
        if len(good) > len(kept):  # by a dataset's own _is_valid_instance
            report.left_out[OTHER] += len(good) - len(kept)
        return _concluded(self, kept)

    base.__init__ = __init__
    base.load_data_list = load_data_list
    base.parse_data_info = parse_data_info
    base._get_topdown_data_infos = _get_topdown_data_infos
    base.checks_labels = True


# Of an annotation, what MMPose and its metrics read besides the keypoints.
_READ = ('area', 'bbox', 'id', 'image_id', 'iscrowd', 'num_keypoints', 'segmentation')


def _not_finite(sample: dict[str, Any]) -> str:
    """Return the key of a value that is not finite, or ``''``.

    Of the keypoints as they are in the file, the positions that are not labeled may be anything.
    """
    raw = sample.get('raw_ann_info')
    values = {key: value for key, value in sample.items() if key != 'raw_ann_info'}
    if isinstance(raw, dict):
        values |= {key: raw[key] for key in _READ if key in raw}
        values['visibility'] = list(raw.get('keypoints') or ())[2::3]
    return next((key for key, value in values.items() if not is_finite(value)), '')


def _concluded(dataset: Any, kept: list[dict]) -> list[dict]:
    """Log who was left out, and refuse wrong labels, unless ``SkipBroken`` takes them."""
    report = report_of(dataset)
    total = len(kept) + len(report.faults) + sum(report.left_out.values())
    left_out = sum(report.left_out.values())
    if left_out:
        print_log(
            f'{type(dataset).__name__}: {left_out} of {total} people left out: '
            f'{counts_text(report)} ({dataset.ann_file})',
            logger='current',
        )
    for step in dataset.pipeline.transforms:
        if hasattr(step, 'take_faults'):
            step.take_faults(dataset, len(kept), report.faults)
            report = LabelReport(report.left_out)
    check_labels(report, total, dataset.ann_file)
    return kept
