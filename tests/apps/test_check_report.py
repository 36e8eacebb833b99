"""The report of a check: its levels, its table, its JSON and its exit code."""

import json

from cpm_plugin.apps.check_report import KINDS, LEVELS, Finding, Report, as_json, as_text, exit_code


def test_the_report_has_levels_counts_and_examples():
    findings = [
        Finding('crowd', 'a.jpg', 3),
        *(Finding('outside', f'{n}.jpg', n, 'nose') for n in range(5)),
        Finding('missing', 'b.jpg'),
        Finding('swapped', 'a.jpg', 4),
        Finding('duplicate_annotation_id', '', 9, '2 times'),
    ]
    reports = [Report('train', 6, 7, findings), Report('test', 1, 1, [])]
    lines = as_text(reports, examples=2).splitlines()
    assert lines[0] == 'train: 6 images, 7 people' and 'test: 1 images, 1 people' in lines
    rows = [[cell.strip() for cell in line.strip('|').split('|')] for line in lines if '|' in line]
    assert [(row[0], row[1], row[3], row[4]) for row in rows[2:]] == [
        ('error', 'missing', '1', 'b.jpg'),
        ('error', 'duplicate_annotation_id', '1', 'annotation 9: 2 times'),
        ('error', 'outside', '5', '0.jpg, annotation 0: nose'),
        ('', '', '', '1.jpg, annotation 1: nose'),
        ('suspicion', 'swapped', '1', 'a.jpg, annotation 4'),
        ('note', 'crowd', '1', 'a.jpg, annotation 3'),
    ]
    assert lines[-1] == '7 errors, 1 suspicion, 1 note'
    assert exit_code(reports) == 1 and exit_code([Report('train', 1, 1, findings[:1])]) == 0
    (train, test) = json.loads(as_json(reports))
    assert train['counts'] == dict(
        missing=1, duplicate_annotation_id=1, outside=5, swapped=1, crowd=1
    )
    assert len(train['findings']) == 9 and test['findings'] == []
    assert train['findings'][0] == dict(
        kind='missing', level='error', image='b.jpg', annotation=None, value=''
    )


def test_kinds_are_in_the_order_of_their_levels():
    levels = [LEVELS.index(level) for level, _ in KINDS.values()]
    assert levels == sorted(levels) and set(levels) == {0, 1, 2}
