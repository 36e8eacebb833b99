"""What ``tools/check_dataset.py`` can find, and the report of what it found."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from .tables import table_row

SPLITS = ('train', 'val', 'test')
LEVELS = ('error', 'suspicion', 'note')

# Kind -> level and description. Kinds are reported in this order.
KINDS = {
    # images
    'missing': ('error', 'image file is missing'),
    'empty': ('error', 'image file has 0 bytes'),
    'truncated': ('error', 'image file is cut off'),
    'unreadable': ('error', 'no image, or of a format that LoadImage cannot read'),
    'giant': ('error', 'image of more than 178,956,970 pixels; not decoded'),
    'float': ('error', 'image of 32 bits or floats, which LoadImage cannot read or reads as black'),
    'dark_16_bit': ('error', 'image of 16 bits that LoadImage reads as almost black'),
    'exif_ignored': ('error', 'image with an EXIF orientation that LoadImage ignores'),
    'size': ('error', 'image of another size than its annotation says'),
    # annotations
    'loading': ('error', 'annotations that MMPose cannot load'),
    'keypoint_names': ('error', 'other keypoints than another dataset, or in another order'),
    'malformed': ('error', 'entry without what MMPose needs'),
    'duplicate_image_id': ('error', 'image id given to several images'),
    'duplicate_annotation_id': ('error', 'annotation id given to several people'),
    'duplicate_person': ('error', 'person annotated twice (same image, box and keypoints)'),
    'dangling': ('error', 'annotation of an image that is not listed'),
    'keypoint_count': ('error', 'another number of keypoints than the dataset has'),
    'visibility': ('error', 'visibility of a keypoint is not 0, 1 or 2'),
    'not_finite': ('error', 'coordinates that are NaN or infinite'),
    'outside': ('error', 'labeled keypoint outside the image'),
    'num_keypoints': ('error', 'num_keypoints is not the number of labeled keypoints'),
    'box_negative': ('error', 'box of negative width or height'),
    'box_no_area': ('error', 'box without area'),
    'box_outside': ('error', 'box outside the image'),
    'damaged': ('suspicion', 'image that the decoder complains about'),
    'swapped': ('suspicion', 'left and right swapped, at the shoulders or at the hips'),
    'fractions': ('suspicion', 'keypoints from 0 to 1; COCO has pixels of the image'),
    'outside_box': ('suspicion', 'most labeled keypoints are outside the box of the person'),
    'box_corners': ('suspicion', "boxes as x1, y1, x2, y2; COCO's are x, y, width, height"),
    'at_origin': ('suspicion', 'labeled keypoint at exactly (0, 0)'),
    'rotated': ('note', 'image with an EXIF orientation, which LoadImage applies'),
    'grey': ('note', 'greyscale image, read as BGR of three equal channels'),
    'cmyk': ('note', 'CMYK image, converted without its color profile'),
    '16_bit': ('note', 'image of 16 bits, of which LoadImage keeps the upper 8'),
    'alpha': ('note', 'image with transparency, which LoadImage drops'),
    'box_over_edge': ('note', 'box that reaches over the edge of the image; MMPose clips it'),
    'crowd': ('note', 'crowd'),
    'no_keypoints': ('note', 'person without a labeled keypoint'),
    # people whom MMPose leaves out without a word
    'left_out_incomplete': (
        'note',
        'left out by MMPose: neither box nor keypoints, or one of them',
    ),
    'left_out_crowd': ('note', 'left out by MMPose: crowd'),
    'left_out_no_keypoints': ('note', 'left out by MMPose: no labeled keypoint'),
    'left_out_box': ('note', 'left out by MMPose: no area of the box is in the image'),
    'left_out_other': ('note', 'left out by the dataset, for another reason'),
}


@dataclass(frozen=True)
class Finding:
    """Something that was found in a dataset.

    Attributes:
        kind: Key of ``KINDS``.
        image: Path of the image; empty if there is none.
        annotation: Id of the annotation. None: the finding is about an image or a file.
        value: What was found there.
    """

    kind: str
    image: str = ''
    annotation: int | str | None = None
    value: str = ''

    @property
    def level(self) -> str:
        """``'error'``, ``'suspicion'`` or ``'note'``."""
        return KINDS[self.kind][0]


@dataclass(frozen=True)
class Report:
    """Findings in one dataset.

    Attributes:
        name: Name of the dataset for the reader.
        images: Number of images.
        people: Number of annotated people.
        findings: Findings, in any order.
    """

    name: str
    images: int
    people: int
    findings: Sequence[Finding]

    def by_kind(self) -> dict[str, list[Finding]]:
        """Return the findings by kind, in the order of ``KINDS``, without kinds not found."""
        groups: dict[str, list[Finding]] = {kind: [] for kind in KINDS}
        for finding in self.findings:
            groups[finding.kind].append(finding)
        return {kind: group for kind, group in groups.items() if group}


def exit_code(reports: Iterable[Report]) -> int:
    """Return 1 if there is an error in a dataset, otherwise 0."""
    return int(any(f.level == 'error' for report in reports for f in report.findings))


def as_text(reports: Iterable[Report], examples: int = 3) -> str:
    """Write a table of what was found for each dataset, and a last line with the sums.

    Args:
        reports: One report for each dataset.
        examples: Largest number of examples of a kind, each in a row of its own.

    Returns:
        Text with Markdown tables.
    """
    lines = []
    totals = dict.fromkeys(LEVELS, 0)
    for report in reports:
        lines += [f'{report.name}: {report.images} images, {report.people} people', '']
        groups = report.by_kind()
        if groups:
            lines += [table_row(['level', 'kind', 'what', 'count', 'example']), '|' + ' --- |' * 5]
        for kind, found in groups.items():
            level, what = KINDS[kind]
            totals[level] += len(found)
            shown = [_example(finding) for finding in found[:examples]] or ['']
            lines.append(table_row([level, kind, what, str(len(found)), shown[0]]))
            lines += [table_row(['', '', '', '', example]) for example in shown[1:]]
        lines += [''] * bool(groups)
    if not any(totals.values()):
        lines.append('nothing wrong')
    else:
        counts = [f'{n} {level}{"s" * (n != 1)}' for level, n in totals.items()]
        verdict = '' if totals['error'] else 'nothing wrong: '
        lines.append(f'{verdict}{", ".join(counts)}')
    return '\n'.join(lines)


def _example(finding: Finding) -> str:
    about = '' if finding.annotation is None else f'annotation {finding.annotation}'
    where = ', '.join(part for part in (finding.image, about) if part)
    return ': '.join(part for part in (where, finding.value) if part)


def as_json(reports: Iterable[Report]) -> str:
    """Write all findings as JSON.

    Args:
        reports: One report for each dataset.

    Returns:
        A list with an object for each dataset: ``name``, ``images``, ``people``, ``counts`` by
            kind, and ``findings``, each with ``kind``, ``level``, ``image``, ``annotation`` and
            ``value``.
    """
    datasets = [
        dict(
            name=report.name,
            images=report.images,
            people=report.people,
            counts={kind: len(found) for kind, found in report.by_kind().items()},
            findings=[
                dict(asdict(finding), level=finding.level)
                for found in report.by_kind().values()
                for finding in found
            ],
        )
        for report in reports
    ]
    return json.dumps(datasets, indent=1) + '\n'
