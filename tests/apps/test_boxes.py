"""Bounding boxes of users: read, and refused by name."""

from pathlib import Path

import pytest

from cpm_plugin.apps.boxes import check_names, parse_boxes


def test_boxes_by_themselves_and_of_a_file(tmp_path):
    assert parse_boxes([]) == {}
    given = parse_boxes(['1,2,3,4.5', ' -1,0,9,9'])  # a space, for argparse to take it
    assert given[''].tolist() == [[1, 2, 3, 4.5], [-1, 0, 9, 9]]
    path = tmp_path / 'boxes.json'
    path.write_text('{"a.jpg": [[1, 2, 3, 4]], "b.jpg": []}')
    named = parse_boxes([str(path)])
    assert named['a.jpg'].tolist() == [[1, 2, 3, 4]]
    assert named['b.jpg'].shape == (0, 4)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['1,2,3'], 'a box is four numbers, x1, y1, x2, y2'),
        (['5,0,1,9'], 'x2 must be larger than x1'),
        (['a,b,c,d'], 'a box is x1,y1,x2,y2'),
        (['1,1,inf,inf'], 'less than 1,000,000 from 0'),
        (['1,1,1e9,9'], 'box 1,1,1e9,9: a box is four numbers'),
        (['no.json'], 'no.json is no file of boxes'),
    ],
)
def test_what_is_no_box(arguments, message):
    with pytest.raises(ValueError, match=message):
        parse_boxes(arguments)


def test_which_boxes_are_for_which_input():
    files = [Path('x/a.jpg'), Path('b.jpg')]
    check_names([], files)
    check_names(['a.jpg'], files)
    check_names([''], files[:1])
    with pytest.raises(ValueError, match=r'names c\.jpg, which is not among the inputs: a\.jpg, b'):
        check_names(['a.jpg', 'c.jpg'], files)
    with pytest.raises(ValueError, match=r'boxes of one input, and there are 2: a\.jpg, b\.jpg'):
        check_names([''], files)
