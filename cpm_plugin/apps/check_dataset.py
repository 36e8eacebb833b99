"""Check of the datasets of a config, for ``tools/check_dataset.py``."""

from __future__ import annotations

import contextlib
import io
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.registry import init_default_scope

from ..mmpose.checked_datasets import report_of
from ..mmpose.figures import FiguresDataset
from ..mmpose.labels import keypoint_names
from ..mmpose.lsp import LspDataset, read_joints
from .check_annotations import (
    AnnotatedImage,
    Person,
    check_people,
    left_out_reason,
    person_of_coco,
)
from .check_images import ImageCheck, check_images
from .check_names import other_names
from .check_report import SPLITS, Finding, Report

from mmpose.datasets.datasets.base import BaseCocoStyleDataset
from mmpose.registry import DATASETS

# Arguments that choose among the people or replace them, and what the check takes instead.
_WHOLE = dict(bbox_file=None, indices=None)
Progress = Callable[[Iterable[ImageCheck], int], Iterable[ImageCheck]]


@dataclass
class Annotations:
    """Annotations of a dataset.

    Attributes:
        images: Images that they list.
        people: People that could be read.
        findings: What was found while reading.
    """

    images: list[AnnotatedImage] = field(default_factory=list)
    people: list[Person] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


def datasets_of(config: Config, splits: Sequence[str] = SPLITS) -> dict[str, BaseCocoStyleDataset]:
    """Build the datasets of a config, without loading annotations.

    Datasets in others, such as in ``ConcatDataset``, are taken one by one. Of those that differ
    only in pipeline, detected boxes and ``indices`` there is one.

    Args:
        config: Config of MMPose.
        splits: Those of ``SPLITS`` to take; those that the config does not have are left out.

    Returns:
        Name for the reader -> dataset.

    Raises:
        ValueError: If there is none, one cannot be built, or one is not in the style of COCO. The
            message names it.
    """
    init_default_scope(config.get('default_scope', 'mmpose'))
    found: dict[str, tuple[list[str], dict[str, Any]]] = {}
    for split in splits:
        loader = config.get(f'{split}_dataloader')
        for settings in _single(loader['dataset']) if loader else ():
            settings = {k: v for k, v in settings.items() if k not in ('pipeline', *_WHOLE)}
            found.setdefault(repr(sorted(settings.items())), ([], settings))[0].append(split)
    if not found:
        raise ValueError(f'it has no dataset for {", ".join(splits)}')
    datasets = {}
    labels: Counter[str] = Counter()
    for names, settings in found.values():
        name = ', '.join(dict.fromkeys(names))
        try:
            dataset = DATASETS.build(dict(settings, pipeline=[], lazy_init=True))
        except Exception as error:  # whatever the class raises for wrong settings
            raise ValueError(
                f'the dataset of {name} ({settings.get("type")}) cannot be built: {error}'
            ) from error
        if not isinstance(dataset, BaseCocoStyleDataset):
            raise ValueError(
                f'the dataset of {name} is {type(dataset).__name__}, which is not derived from '
                'BaseCocoStyleDataset; only such datasets can be checked'
            )
        if not keypoint_names(dataset.metainfo):
            raise ValueError(f'the dataset of {name} has no names of keypoints; set its metainfo')
        if not Path(dataset.ann_file).is_file():
            raise ValueError(
                f'{dataset.ann_file}: no such file; the dataset of {name} needs it. Set data_root '
                f'to where the data is: --cfg-options {names[0]}_dataloader.dataset.data_root=...'
            )
        labels[name] += 1
        label = f'{name} ({labels[name]})' if labels[name] > 1 else name
        datasets[f'{label}: {type(dataset).__name__}, {dataset.ann_file}'] = dataset
    return datasets


def _single(settings: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Settings of the datasets in a dataset, or its own."""
    inner = settings.get('datasets') or [settings[key] for key in ('dataset',) if key in settings]
    for one in inner:
        yield from _single(one)
    if not inner:
        yield settings


def read_annotations(dataset: BaseCocoStyleDataset) -> Annotations:
    """Read the annotations of a dataset, as they are in its file where MMPose would change them.

    That is so for files in COCO's format that MMPose's base class reads. Other datasets are asked
    for what they make of their files.

    Args:
        dataset: Dataset that was built with ``lazy_init``.

    Returns:
        The annotations, also of people whom MMPose leaves out.
    """
    found = Annotations()
    try:
        if _is_coco(dataset):
            _read_coco(dataset, found)
        else:
            _read_instances(dataset, found)
        dataset.serialize_data = False
        with contextlib.redirect_stdout(io.StringIO()):
            dataset.full_init()
        kept = {one for info in dataset.data_list for one in np.atleast_1d(info['id']).tolist()}
    except Exception as error:  # whatever MMPose or the class raises for wrong data
        # Wrong labels, which the loading refuses all at once, are found one by one here.
        if not report_of(dataset).faults:
            reason = f'{type(error).__name__}: {error}'
            found.findings.append(Finding('loading', '', None, f'{dataset.ann_file}: {reason}'))
        kept = None
    found.findings += _left_out(dataset, found, kept)
    return found


def _is_coco(dataset: BaseCocoStyleDataset) -> bool:
    kind = type(dataset)
    return kind.parse_data_info is BaseCocoStyleDataset.parse_data_info and (
        kind._load_annotations
        in (BaseCocoStyleDataset._load_annotations, FiguresDataset._load_annotations)
    )


def _read_coco(dataset: BaseCocoStyleDataset, found: Annotations) -> None:
    content = json.loads(Path(dataset.ann_file).read_bytes())
    for key in ('images', 'annotations'):
        if not isinstance(content, dict) or not isinstance(content.get(key), list):
            raise ValueError(f'it has no list {key!r}, as files in the format of COCO do')
    listed = set()
    for entry in content['images']:
        if isinstance(entry, dict) and isinstance(entry.get('id'), int):
            listed.add(entry['id'])
            if entry['id'] % dataset.sample_interval:
                continue
        try:
            found.images.append(_image_of_coco(entry, dataset.data_prefix['img']))
        except ValueError as error:
            found.findings.append(Finding('malformed', '', None, f'image: {error}'))
    for entry in content['annotations']:
        try:
            person = person_of_coco(entry)
        except ValueError as error:
            about = entry.get('id') if isinstance(entry, dict) else None
            found.findings.append(Finding('malformed', '', about, f'annotation: {error}'))
            continue
        if person.image_id not in listed or person.image_id % dataset.sample_interval == 0:
            found.people.append(person)


def _image_of_coco(entry: Any, folder: str) -> AnnotatedImage:
    if not isinstance(entry, dict):
        raise ValueError(f'{entry!r} is not an object')
    for key, kind in (
        ('id', int),
        ('file_name', str),
        ('width', (int, float)),
        ('height', (int, float)),
    ):
        if not isinstance(entry.get(key), kind):
            raise ValueError(f'{key} of image {entry.get("id")} is {entry.get(key)!r}')
    size = entry['width'], entry['height']
    return AnnotatedImage(entry['id'], str(Path(folder) / entry['file_name']), size)


def _read_instances(dataset: BaseCocoStyleDataset, found: Annotations) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        instances, images = dataset._load_annotations()
    for image in images:
        known = 'width' in image and 'height' in image
        size = (image['width'], image['height']) if known else None
        found.images.append(AnnotatedImage(image['img_id'], str(image['img_path']), size))
    for info in instances:
        x1, y1, x2, y2 = np.asarray(info['bbox'], dtype=np.float64)[0]
        visible = np.asarray(info['keypoints_visible'])[0]
        keypoints = np.column_stack([np.asarray(info['keypoints'])[0], visible])
        found.people.append(
            Person(
                info['id'],
                info['img_id'],
                keypoints.astype(np.float64),
                np.array([x1, y1, x2 - x1, y2 - y1]),
                info.get('num_keypoints'),
                bool(info.get('iscrowd', 0)),
                raw=False,
            )
        )


def _left_out(
    dataset: BaseCocoStyleDataset, found: Annotations, kept: set | None
) -> Iterator[Finding]:
    """Find people that the dataset does not have, or by MMPose's rules if it cannot be loaded."""
    images = {image.id: image for image in found.images}
    for person in found.people:
        image = images.get(person.image_id)
        if image is None or (kept is not None and person.id in kept):
            continue
        reason = left_out_reason(person, image.size)
        if kept is not None or reason != 'left_out_other':
            yield Finding(reason, image.path, person.id)
    if isinstance(dataset, LspDataset) and kept is not None:
        first, last = dataset.image_range or (1, len(read_joints(dataset.ann_file).keypoints))
        for number in range(first, last + 1):
            if number not in images:
                yield Finding('left_out_no_keypoints', '', number)


def check_datasets(
    datasets: Mapping[str, BaseCocoStyleDataset],
    workers: int = 1,
    progress: Progress = lambda results, _: results,
    *,
    compare_names: bool = True,
) -> list[Report]:
    """Check images and annotations of datasets.

    An image that several datasets have is read once.

    Args:
        datasets: What ``datasets_of`` returns.
        workers: Number of processes that read images.
        progress: Called with the results for the images and their number; it passes them on.
        compare_names: Whether all datasets need the same keypoints. False: a config converts them.

    Returns:
        A report for each dataset.

    Raises:
        ValueError: If a process that reads images dies.
    """
    annotations = {name: read_annotations(dataset) for name, dataset in datasets.items()}
    names = {name: keypoint_names(dataset.metainfo) for name, dataset in datasets.items()}
    for name, finding in other_names(names) if compare_names else ():
        annotations[name].findings.append(finding)
    paths = list(
        dict.fromkeys(image.path for found in annotations.values() for image in found.images)
    )
    results = progress(check_images(paths, workers), len(paths))
    checks = {path: check for check, path in zip(results, paths)}  # to the end of the results
    return [_report(name, found, checks, names[name]) for name, found in annotations.items()]


def _report(
    name: str, found: Annotations, checks: Mapping[str, ImageCheck], names: Sequence[str]
) -> Report:
    findings = list(found.findings)
    for path in dict.fromkeys(image.path for image in found.images):
        findings += [Finding(kind, path, None, value) for kind, value in checks[path].found]
    for image in found.images:
        size = checks[image.path].size
        if size is not None and image.size is not None and size != tuple(image.size):
            (width, height), (w, h) = size, image.size
            value = f'{width}x{height}, annotated {w:g}x{h:g}'
            findings.append(Finding('size', image.path, None, value))
    sizes = {path: check.size for path, check in checks.items()}
    findings += check_people(found.people, found.images, sizes, names)
    return Report(name, len({image.path for image in found.images}), len(found.people), findings)
