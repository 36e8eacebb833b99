"""Keypoints in another order than the model learned end a run, with both lists."""

import json

import pytest
from cpm_testing.training import make_figures, tiny_config, train
from mmengine.runner import Runner

from cpm_plugin.core.maps.joint_sets import LSP

FIVE = ('head_top', 'left_wrist', 'right_wrist', 'left_ankle', 'right_ankle')
BOTH = (
    'the keypoints of {} are right_ankle, left_ankle, right_wrist, left_wrist, head_top, but '
    'those of {} are head_top, left_wrist, right_wrist, left_ankle, right_ankle; '
)


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """Five keypoints; those of ``reversed.json`` are the same in the opposite order."""
    folder = make_figures(tmp_path_factory.mktemp('names') / 'data', 4)
    channels = [LSP.names.index(name) for name in FIVE]
    for split in ('train', 'val'):
        path = folder / 'annotations' / f'{split}.json'
        content = json.loads(path.read_text())
        for name, order in ((split, channels), (f'{split}_reversed', channels[::-1])):
            content['categories'][0]['keypoints'] = [LSP.names[k] for k in order]
            people = [dict(person) for person in content['annotations']]
            for person in people:
                values = person['keypoints']
                person['keypoints'] = [v for k in order for v in values[3 * k : 3 * k + 3]]
                person['num_keypoints'] = sum(v > 0 for v in person['keypoints'][2::3])
            text = json.dumps({**content, 'annotations': people})
            (path.parent / f'{name}.json').write_text(text)
    return folder


@pytest.fixture
def config(data, repo, tmp_path):
    def make(reverse=(), **options):
        own = {}
        for split in ('train', 'val', 'test'):
            file = 'train' if split == 'train' else 'val'
            file += '_reversed' if split in reverse else ''
            own[f'{split}_dataloader.dataset.type'] = 'OwnCocoDataset'
            own[f'{split}_dataloader.dataset.ann_file'] = f'annotations/{file}.json'
        own.update({f'{one}_evaluator': dict(type='PCKAccuracy') for one in ('val', 'test')})
        own['model.head.num_keypoints'] = 5
        own['train_cfg.max_epochs'] = 1
        own['default_hooks.checkpoint.save_best'] = None
        made = tiny_config(repo, data, tmp_path / 'work', **{**own, **options})
        for split in ('val', 'test'):
            made[f'{split}_evaluator'] = dict(type='PCKAccuracy', thr=0.1, norm_item='bbox')
        made.experiment_name += '_'.join(reverse)
        return made

    return make


@pytest.fixture
def checkpoint(config, tmp_path):
    train(config())
    return {'load_from': str(tmp_path / 'work' / 'epoch_1.pth')}


def test_val_has_to_be_as_train(config):
    with pytest.raises(ValueError, match=BOTH.format('val_dataloader', 'train_dataloader')):
        train(config(['val']))
    train(config(['test']))  # which is not read here
    train(config(['val'], **{'default_hooks.names': None}))


def test_val_and_test_have_to_be_as_the_checkpoint(config, checkpoint):
    assert Runner.from_cfg(config(**checkpoint)).test()['PCK'] >= 0
    for split, run in (('test', 'test'), ('val', 'val')):
        message = f'{split}_dataloader', r'the checkpoint \(its dataset_meta\)'
        with pytest.raises(ValueError, match=BOTH.format(*message)):
            getattr(Runner.from_cfg(config([split], **checkpoint)), run)()


def test_a_resumed_training_goes_on_with_its_keypoints(config, checkpoint):
    more = {**checkpoint, 'train_cfg.max_epochs': 2}
    both = ['train', 'val']
    message = BOTH.format('train_dataloader', r'the checkpoint \(its dataset_meta\)')
    with pytest.raises(ValueError, match=message):
        train(config(both, resume=True, **more))
    train(config(both, **more))  # fine-tuning: load_from may have any keypoints


def test_what_is_converted_is_not_compared(config, checkpoint):
    made = config(['test'], **checkpoint)
    mapping = [(k, 4 - k) for k in range(5)]
    converter = dict(type='KeypointConverter', num_keypoints=5, mapping=mapping)
    made.test_dataloader.dataset.pipeline.insert(1, converter)
    Runner.from_cfg(made).test()


def test_a_head_that_gives_the_joints_of_the_dataset_is_not_compared(config, checkpoint):
    runner = Runner.from_cfg(config(['test'], **checkpoint))
    runner.model.head.output_sources = tuple((k,) for k in range(5))
    runner.test()
