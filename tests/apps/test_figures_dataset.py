"""The generated dataset is made as a whole, and known by its arguments."""

import json
from collections import Counter

import numpy as np
import pytest

from cpm_plugin.apps import figures_dataset

INFO = {'version': 1, 'arguments': {'train': 2, 'val': 1, 'size': 48, 'seed': 3}}


def test_it_is_known_by_its_arguments(tmp_path):
    out = tmp_path / 'new' / 'figures'
    assert not figures_dataset.is_made(out, INFO)
    figures_dataset.make(out, INFO)
    assert figures_dataset.is_made(out, INFO)
    assert not figures_dataset.is_made(out, {**INFO, 'version': 2})
    content = json.loads((out / 'annotations' / 'train.json').read_text())
    names = [image['file_name'] for image in content['images']]
    assert names == ['000001.jpg', '000002.jpg']
    assert sorted(path.name for path in (out / 'train').iterdir()) == names
    assert [person['image_id'] for person in content['annotations']] == [1, 2]
    for broken in ('', '[]', '{}', '{"info": 1}'):
        (out / 'annotations' / 'val.json').write_text(broken)
        assert not figures_dataset.is_made(out, INFO)


def test_an_error_on_the_way_leaves_nothing(tmp_path, monkeypatch):
    write_split = figures_dataset._write_split

    def fail_at_the_second(root, name, info):
        if name == 'val':
            raise OSError('full')
        write_split(root, name, info)

    monkeypatch.setattr(figures_dataset, '_write_split', fail_at_the_second)
    with pytest.raises(OSError, match='full'):
        figures_dataset.make(tmp_path / 'figures', INFO)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('text', ['', '0', '11', '3-2', '1-11', '-2', '1-', 'two', '1.5', '1-2-3'])
def test_numbers_of_people_are_one_or_two_in_order(text):
    assert figures_dataset.people_of('2') == [2, 2] and figures_dataset.people_of('1-10') == [1, 10]
    with pytest.raises(ValueError, match='from 1 to 10'):
        figures_dataset.people_of(text)


def test_several_people_have_ids_of_their_own_and_only_the_wanted_joints(tmp_path):
    few = dict(train=5, val=1, size=64, seed=1, people=[2, 3])
    figures_dataset.make(tmp_path / 'all', dict(arguments=few))
    figures_dataset.make(tmp_path / 'two', dict(arguments={**few, 'joints': ['neck', 'left_knee']}))
    full, two = (
        json.loads((tmp_path / folder / 'annotations' / 'train.json').read_text())
        for folder in ('all', 'two')
    )
    people = full['annotations']
    assert [person['id'] for person in people] == list(range(1, len(people) + 1))
    assert {*Counter(person['image_id'] for person in people).values()} == {2, 3}
    for one, other in zip(two['annotations'], people, strict=True):
        points = np.reshape(other['keypoints'], (14, 3))[[12, 4]].tolist()  # neck, left knee
        assert np.reshape(one['keypoints'], (2, 3)).tolist() == points
        assert one['num_keypoints'] == sum(v > 0 for _, _, v in points)
