"""SkipBroken: a few broken samples are left out, counted and logged; many stop the training."""

import pickle
import re

import numpy as np
import pytest
import torch
from cpm_testing.data import write_lsp
from cpm_testing.logs import keep_log
from mmengine.dataset import pseudo_collate
from torch.utils.data import DataLoader

from cpm_plugin.mmpose import SkipBroken, skip_broken
from cpm_plugin.mmpose.labels import LabelError
from cpm_plugin.mmpose.reproducible_hook import Draw, SeedSample

from mmpose.registry import DATASETS, TRANSFORMS

COUNT = 20
LOAD = [dict(type='LoadImage'), dict(type='PackPoseInputs')]


@pytest.fixture
def lines(monkeypatch):
    """What is logged of broken samples."""
    return keep_log(monkeypatch, skip_broken)


@pytest.fixture
def build(tmp_path):
    def build(broken=(), wrong=(), max_rate=0.2, transforms=LOAD, **arguments):
        """LSP Extended of 20 images; of some the file is broken, of others the labels."""
        write(tmp_path, broken, wrong)
        step = dict(type='SkipBroken', transforms=transforms, max_rate=max_rate)
        return DATASETS.build(
            dict(dict(type='LspDataset', data_root=str(tmp_path), pipeline=[step]), **arguments)
        )

    return build


def write(folder, broken, wrong):
    points = np.random.default_rng(0).uniform(5, 25, (COUNT, 14, 2))
    for number in wrong:
        points[number - 1, 3, 0] = np.nan
    write_lsp(folder, points, np.ones((COUNT, 14)), size=(30, 30))
    for number in broken:
        path = folder / 'images' / f'im{number:05d}.jpg'
        path.write_bytes(path.read_bytes()[:40])


def numbers(samples):
    return [sample['data_samples'].img_id for sample in samples]


def test_broken_images_are_replaced_and_logged_once(build, lines, tmp_path):
    people = build(broken=(4, 9))
    for _ in range(3):
        found = numbers(people[index] for index in range(COUNT))
        kept = [n for n in range(1, COUNT + 1) if n not in (4, 9)]
        assert [n for i, n in enumerate(found) if i + 1 not in (4, 9)] == kept
        assert {found[3], found[8]} <= set(kept)
    assert len(lines) == 2
    begin = (
        f'SkipBroken left out 1 of 20 samples so far: {tmp_path}/images/im00004.jpg, annotation 4: '
    )
    assert lines[0].startswith(begin)
    assert 'im00004.jpg cannot be read as an image' in lines[0]
    assert 'left out 2 of 20 samples so far' in lines[1] and 'im00009.jpg' in lines[1]


def test_wrong_labels_are_left_out_when_the_dataset_is_loaded(build, lines):
    people = build(wrong=(2, 20), broken=(3,))
    assert len(people) == 18
    assert [re.findall(r'(\d+) of 20 .*annotation (\d+)', line) for line in lines] == [
        [('1', '2')],
        [('2', '20')],
    ]
    found = numbers(people[index] for index in range(18))
    assert not {2, 3, 20} & set(found)
    assert 'left out 3 of 20 samples so far' in lines[2] and 'annotation 3:' in lines[2]


def test_whole_data_is_as_without(build, lines):
    people = build()
    assert numbers(people[index] for index in range(COUNT)) == list(range(1, COUNT + 1))
    assert lines == [] and people.pipeline.transforms[0].num_broken == 0


def test_more_than_the_rate_stop_with_the_first_of_them(build):
    people = build(broken=(1, 3, 5), wrong=(7,), max_rate=0.15)
    people[0], people[2]
    message = (
        r'SkipBroken: 4 of 20 samples are broken: a rate of 0\.2, with max_rate=0\.15\. The first: '
        r'.*im00007\.jpg.*left_hip is at \(nan, .*im00001\.jpg.*im00003\.jpg.*im00005\.jpg.*\. '
        'Repair or remove them'
    )
    with pytest.raises(ValueError, match=message):
        people[4]


def test_exactly_the_rate_goes_on(build):
    people = build(broken=(1, 3, 5), max_rate=0.15)
    assert len([people[index] for index in range(COUNT)]) == COUNT
    assert people.pipeline.transforms[0].num_broken == 3


def test_rate_0_stops_at_the_first(build):
    with pytest.raises(ValueError, match=r'SkipBroken: 1 of 20 .*im00002\.jpg'):
        build(broken=(2,), max_rate=0)[1]


def test_too_many_wrong_labels_stop_when_the_dataset_is_loaded(build):
    with pytest.raises(LabelError, match=r'5 of 20 samples are broken: a rate of 0\.25'):
        build(wrong=(2, 3, 4, 5, 6))


def test_a_mistake_in_the_pipeline_does_not_look_like_broken_data(build):
    """It breaks all samples: the rate stops it, and the error is named."""

    def mistake(results):
        return results['no_such_key']

    people = build(transforms=[dict(type='LoadImage'), mistake])
    with pytest.raises(ValueError, match=r"5 of 20 samples are broken: .*KeyError: 'no_such_key'"):
        people[0]


def test_one_sample_again_and_again_stops(build, monkeypatch):
    monkeypatch.setattr(skip_broken, '_MOST_IN_A_ROW', 7)
    people = build(broken=(5,))
    monkeypatch.setattr(people, '_rand_another', lambda: 4)
    with pytest.raises(ValueError, match='1 of 20 samples are broken and 7 in a row'):
        people[4]


def test_memory_that_ends_is_not_a_broken_sample(build):
    def greedy(results):
        raise MemoryError

    with pytest.raises(MemoryError):
        build(transforms=[greedy])[0]


def test_validation_leaves_nothing_out(build):
    with pytest.raises(ValueError, match='SkipBroken is for training'):
        build(test_mode=True)


@pytest.mark.parametrize('max_rate', [-0.1, 1, 2])
def test_rate_must_be_a_part(max_rate):
    with pytest.raises(ValueError, match=f'max_rate={max_rate} must be at least 0 and below 1'):
        TRANSFORMS.build(dict(type='SkipBroken', transforms=[], max_rate=max_rate))


def test_sample_without_a_dataset_has_its_own_error():
    step = SkipBroken([dict(type='LoadImage')])
    with pytest.raises(FileNotFoundError):
        step(dict(img_path='none.jpg'))


def loaded(people, workers, epochs=1):
    loader = DataLoader(
        people, batch_size=5, num_workers=workers, collate_fn=pseudo_collate, shuffle=True,
        generator=torch.Generator().manual_seed(1),
        persistent_workers=False,
    )  # fmt: skip
    return [n for _ in range(epochs) for batch in loader for n in numbers_of(batch)]


def numbers_of(batch):
    return [sample.img_id for sample in batch['data_samples']]


def test_workers_count_together_and_over_epochs(build):
    people = build(broken=(4, 9))
    assert not {4, 9} & set(loaded(people, 2, epochs=2))
    assert people.pipeline.transforms[0].num_broken == 2


def test_workers_stop_together(build):
    """No worker sees more than 3 of 4, which would be allowed."""
    people = build(broken=(1, 2, 11, 12), max_rate=0.15)
    loader = DataLoader(
        people, batch_size=10, num_workers=2, collate_fn=pseudo_collate, shuffle=False
    )
    batches = iter(loader)
    with pytest.raises(ValueError, match='SkipBroken: 4 of 20 samples are broken'):
        list(batches)
    batches._shutdown_workers()  # later, as garbage, it would wait for them for 10 s


def test_pickled_for_spawned_workers_it_still_works(build):
    step = pickle.loads(pickle.dumps(build(wrong=(3,)).pipeline.transforms[0]))
    assert step.num_broken == 1 and step.max_rate == 0.2


def test_replacements_are_those_of_the_seed(build):
    people = build(broken=(4, 9, 12))
    people.pipeline.transforms.insert(0, SeedSample(3))  # as ReproducibleHook does

    def draw(index):
        np.random.seed()  # noqa: NPY002  (MMEngine draws the replacement from it)
        return people[Draw(index, 1)]['data_samples'].img_id

    assert len({(draw(3), draw(8), draw(11)) for _ in range(5)}) == 1
