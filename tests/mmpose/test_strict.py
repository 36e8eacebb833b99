"""Checkpoints that do not fit stop the run; stock MMEngine only warns."""

import copy
import pickle

import numpy as np
import pytest
import torch
from cpm_testing.logs import keep_log
from cpm_testing.training import make_figures, tiny_config, train
from mmengine.runner import Runner, load_checkpoint
from mmengine.runner.checkpoint import load_state_dict

from cpm_plugin.mmpose import CPMBackbone, strict

from mmpose.registry import MODELS


def model(num_stages=2, channels=4, **options):
    return MODELS.build(
        dict(
            type='TopdownPoseEstimator',
            backbone=dict(type='CPMBackbone', channels=channels, kernel_size=3, **options),
            head=dict(
                type='CPMStageHead',
                in_channels=channels,
                num_keypoints=3,
                num_stages=num_stages,
                channels=4,
                reduced_channels=4,
                first_stage_channels=4,
                refine_kernel_size=3,
                **options,
            ),
        )
    )


def save(path, state, prefix=''):
    torch.save({'state_dict': {prefix + key: value for key, value in state.items()}}, path)
    return str(path)


@pytest.mark.parametrize('prefix', ['', 'module.'], ids=['plain', 'from DDP'])
def test_matching_checkpoint_loads(tmp_path, prefix):
    trained, fresh = model(), model()
    path = save(tmp_path / 'a.pth', trained.state_dict(), prefix)
    assert not torch.equal(
        fresh.head.stages.first.conv1.conv.weight, trained.head.stages.first.conv1.conv.weight
    )
    load_checkpoint(fresh, path)
    for key, value in fresh.state_dict().items():
        assert torch.equal(value, trained.state_dict()[key]), key


@pytest.mark.parametrize(
    ('other', 'component', 'problem'),
    [
        (dict(num_stages=3), 'CPMStageHead', r'left over: stages\.later\.1\.'),
        (dict(num_stages=1), 'CPMStageHead', r'missing: stages\.later\.0\.'),
        (
            dict(channels=6),
            'CPMBackbone',
            r'trunks\.stage1_trunk\.conv1\.conv\.weight \(6, 3, 3, 3\) '
            r'\(the model has \(4, 3, 3, 3\)\)',
        ),
    ],
    ids=['more stages', 'fewer stages', 'other width'],
)
def test_checkpoint_of_another_configuration_names_key_and_remedy(
    tmp_path, other, component, problem
):
    path = save(tmp_path / 'a.pth', model(**other).state_dict())
    with pytest.raises(ValueError, match=f'does not fit {component} .*{problem}') as caught:
        load_checkpoint(model(), path)
    assert 'strict_load' not in str(caught.value)  # in a test it would lead to random weights
    with strict.training_starts(), pytest.raises(ValueError, match='set strict_load=False in the'):
        load_checkpoint(model(), path)


def test_checkpoint_of_a_foreign_model_is_refused(tmp_path):
    path = save(tmp_path / 'a.pth', {'backbone.conv1.weight': torch.ones(4, 3, 7, 7)})
    with pytest.raises(ValueError, match=r'CPMBackbone .*missing: trunks\..*left over: conv1'):
        load_checkpoint(model(), path)


def test_missing_head_is_refused(tmp_path):
    state = model().state_dict()
    backbone = {key: value for key, value in state.items() if key.startswith('backbone')}
    with pytest.raises(ValueError, match=r"CPMStageHead \(prefix 'head\.'\)"):
        load_checkpoint(model(), save(tmp_path / 'a.pth', backbone))


def test_one_missing_key_is_named(tmp_path):
    state = model().state_dict()
    del state['head.stages.later.0.beliefs.bias']
    with pytest.raises(ValueError, match=r'missing: stages\.later\.0\.beliefs\.bias\.'):
        load_checkpoint(model(), save(tmp_path / 'a.pth', state))


def test_strict_load_false_takes_what_fits(tmp_path):
    trained = model(num_stages=3)
    fresh = model(num_stages=2, strict_load=False)
    with strict.training_starts():
        load_checkpoint(fresh, save(tmp_path / 'a.pth', trained.state_dict()))
    for key, value in fresh.state_dict().items():
        assert torch.equal(value, trained.state_dict()[key]), key


def test_strict_load_false_holds_at_the_start_of_a_training_alone(tmp_path):
    path = save(tmp_path / 'a.pth', model(num_stages=2).state_dict())
    for _ in range(2):  # the second time after a training
        with pytest.raises(ValueError, match=r'missing: stages\.later\.1\.') as caught:
            load_checkpoint(model(num_stages=3, strict_load=False), path)
        assert 'strict_load' not in str(caught.value)
        with strict.training_starts():
            load_checkpoint(model(num_stages=3, strict_load=False), path)


@pytest.mark.parametrize('what', ['train', 'resume', 'test'])
def test_the_runner_takes_what_fits_for_load_from_of_a_training_alone(
    what, tmp_path, monkeypatch, repo
):
    data = make_figures(tmp_path / 'data', 4)
    one = dict(repo=repo, data=data, work_dir=tmp_path / 'work')
    trained = tiny_config(**one, **{'train_cfg.max_epochs': 1, 'model.head.strict_load': False})
    train(trained)
    monkeypatch.chdir(tmp_path)
    other = tiny_config(
        **one,
        **{
            'load_from': str(tmp_path / 'work' / 'epoch_1.pth'),
            'resume': what == 'resume',
            'train_cfg.max_epochs': 2,
            'model.head.num_stages': 3,
            'model.head.strict_load': False,
        },
    )
    runner = Runner.from_cfg(other)
    if what == 'train':
        log = keep_log(monkeypatch, strict)
        runner.train()
        assert len(log) == 1 and 'stages.later.1.beliefs.bias' in log[0]
        assert np.isfinite(runner.test()['torso/PCK'])  # with the weights it has
        return
    with pytest.raises(ValueError, match=r'does not fit CPMStageHead .*missing: stages\.later\.1'):
        getattr(runner, 'test' if what == 'test' else 'train')()


def test_what_does_not_fit_begins_anew_and_is_named(tmp_path, monkeypatch):
    log = keep_log(monkeypatch, strict)
    trained, fresh = model(num_stages=2), model(num_stages=2, strict_load=False)
    state = trained.state_dict()
    wide, missing = 'head.stages.first.beliefs.bias', 'head.stages.first.conv1.conv.bias'
    state[wide] = torch.zeros(9)
    del state[missing]
    state['head.other'] = torch.zeros(1)
    before = {key: value.clone() for key, value in fresh.state_dict().items()}
    with strict.training_starts():
        load_checkpoint(fresh, save(tmp_path / 'a.pth', state))
    for key, value in fresh.state_dict().items():
        expected = before if key in (wide, missing) else state
        assert torch.equal(value, expected[key]), key
    (line,) = log
    assert 'CPMStageHead: the checkpoint fits in part' in line
    assert '2 weights begin anew: stages.first.conv1.conv.bias, stages.first.beliefs.bias. ' in line
    assert line.endswith('1 weights are not used: other')
    with strict.training_starts():
        load_checkpoint(fresh, save(tmp_path / 'b.pth', trained.state_dict()))
    assert len(log) == 1  # what fits is not worth a word


def test_what_is_not_used_is_taken_out_for_torchs_strict_loading_too():
    trained, fresh = model(num_stages=3), model(num_stages=2, strict_load=False)
    with strict.training_starts():
        fresh.load_state_dict(trained.state_dict(), strict=True)
    weight = 'head.stages.later.0.beliefs.weight'
    assert torch.equal(fresh.state_dict()[weight], trained.state_dict()[weight])


def test_only_the_strict_half_refuses(tmp_path):
    """Fine-tuning: a new head on a trained backbone, which must fit."""
    trained, fresh = model(num_stages=3), model(num_stages=2)
    loose = model(num_stages=2, strict_load=False)
    fresh.head = loose.head
    with strict.training_starts():
        load_checkpoint(fresh, save(tmp_path / 'a.pth', trained.state_dict()))
        with pytest.raises(ValueError, match='CPMBackbone'):
            load_checkpoint(fresh, save(tmp_path / 'b.pth', trained.head.state_dict(), 'head.'))


def test_plain_load_state_dict_of_torch_is_checked_too():
    with pytest.raises(ValueError, match='does not fit CPMStageHead'):
        model().load_state_dict(model(num_stages=3).state_dict(), strict=False)


def test_guarded_modules_can_be_pickled_and_copied_and_copies_stand_alone():
    original = CPMBackbone(channels=4)
    copies = [copy.deepcopy(original), pickle.loads(pickle.dumps(original))]
    for duplicate in copies:
        duplicate.trunks.stage1_trunk.conv1.conv = torch.nn.Conv2d(3, 4, 5)
        duplicate.load_state_dict(duplicate.state_dict())  # checked against itself
        with pytest.raises(ValueError, match='of another shape'):
            duplicate.load_state_dict(original.state_dict())


def test_batch_counters_may_be_missing():
    backbone = CPMBackbone(channels=4, norm_cfg=dict(type='BN'))
    state = {k: v for k, v in backbone.state_dict().items() if 'num_batches' not in k}
    assert len(state) < len(backbone.state_dict())
    load_state_dict(backbone, state)
    del state['trunks.stage1_trunk.conv1.norm.running_mean']
    with pytest.raises(ValueError, match='running_mean'):
        load_state_dict(backbone, state)


@pytest.mark.parametrize('content', [b'', b'no checkpoint', b'PK\x03\x04 cut short'])
def test_broken_file_is_named(content, tmp_path):
    path = tmp_path / 'broken.pth'
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r'broken\.pth cannot be read'):
        load_checkpoint(CPMBackbone(channels=4), str(path))
