"""The generated dataset is made as a whole, and known by its arguments."""

import json

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
