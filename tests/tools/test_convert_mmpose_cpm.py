"""The converter of stock checkpoints: what it writes, says and refuses."""

import importlib.util
import re

import numpy as np
import pytest
import torch
from cpm_testing.checkpoints import OpensAFile, assert_same

from cpm_plugin.core import create_model, decode_peaks
from cpm_plugin.core.conversion.mmpose_cpm import from_stock, to_stock
from cpm_plugin.core.weights.checkpoints import from_mmpose

NARROW = dict(channels=4, reduced_channels=3, first_stage_channels=6, num_keypoints=5)
STOCK = dict(background=False, center_map_sigma=None, pool_padding=1, beliefs_first=True)


def our_state(name='cpm_6s_bn', **arguments):
    """State dict of a random network of ours with stock's function, as in an estimator."""
    torch.manual_seed(0)
    prefix = {'trunks': 'backbone.', 'stages': 'head.'}
    state = create_model(name, **{**STOCK, **arguments}).state_dict()
    return {prefix[key[:6]] + key: value for key, value in state.items()}


def checkpoint(path, state, meta=None, **more):
    torch.save({'state_dict': state, 'meta': meta or {}, **more}, path)
    return path


@pytest.fixture
def source(tmp_path):
    return checkpoint(tmp_path / 'in.pth', to_stock(our_state(num_stages=3, **NARROW)))


@pytest.fixture
def convert(run_tool):
    def run(*arguments):
        """Exit code, what it printed, and its error."""
        done = run_tool('convert_mmpose_cpm.py', *arguments)
        return done.returncode, done.stdout, done.stderr

    return run


def test_there_and_back_with_meta(convert, tmp_path):
    state = to_stock(our_state(num_stages=3, **NARROW))
    meta = {
        'dataset_meta': {'flip_indices': [1, 0], 'sigmas': np.array([0.1, 0.2]), 'ids': {1, 2}},
        'epoch': 210,
        'mmengine_version': '0.10.7',
        'cfg': "model = dict(backbone=dict(type='CPM'))",
        'config': 'the same in MMPose 0.x',
    }
    source = checkpoint(tmp_path / 'in.pth', state, meta, optimizer={'lr': 5e-4}, epoch=3)
    code, said, _ = convert(source, tmp_path / 'ours.pth')
    assert code == 0
    assert '3 stages, 5 joints, batch normalization' in said
    assert "num_stages=3, num_keypoints=5, norm_cfg=dict(type='BN')" in said
    assert 'trunks 4, 5x5 convolutions 3, stage 1 6, later stages 4 channels' in said
    ours = torch.load(tmp_path / 'ours.pth', weights_only=False)
    assert ours.keys() == {'state_dict', 'meta'}
    assert_same(ours['state_dict'], from_stock(state))
    kept = ours['meta']
    assert kept['epoch'] == 210 and kept['mmengine_version'] == '0.10.7'
    assert kept['dataset_meta']['ids'] == {1, 2}
    np.testing.assert_array_equal(kept['dataset_meta']['sigmas'], [0.1, 0.2])
    assert 'cfg' not in kept and 'config' not in kept  # they are not of this model
    assert kept['converted_from'] == "MMPose's CPM"

    code, said, _ = convert('--to-stock', tmp_path / 'ours.pth', tmp_path / 'back.pth')
    assert code == 0 and 'out_channels=5' in said and 'note:' not in said
    back = torch.load(tmp_path / 'back.pth', weights_only=False)
    assert_same(back['state_dict'], state)
    assert back['meta'].keys() == meta.keys() - {'cfg', 'config'}
    assert {path.name for path in tmp_path.iterdir()} == {'in.pth', 'ours.pth', 'back.pth'}


def full_size(num_keypoints, **arguments):
    """Stock's sizes in a small file: tensors overlap, each begins a value after the one before."""
    state = to_stock(our_state(num_keypoints=num_keypoints, **arguments))
    count = max(value.numel() for value in state.values()) + len(state)
    values = {kind: torch.arange(count).to(kind) for kind in (torch.float32, torch.int64)}
    return {
        key: values[value.dtype][number : number + value.numel()].view(value.shape)
        for number, (key, value) in enumerate(state.items())
    }


def assert_input_is(config, hint):
    """Colors, mean and deviation of the config; and its codec's keypoints."""
    from mmpose.registry import KEYPOINT_CODECS

    preprocessor = config.model.data_preprocessor
    numbers = [float(x) for x in re.findall(r'\d+\.\d+', hint)]
    *colors, shift = numbers
    assert colors == [*preprocessor.mean, *preprocessor.std]
    assert preprocessor.bgr_to_rgb and 'RGB' in hint
    codec = KEYPOINT_CODECS.build(config.codec)
    keypoints = np.array([[[80.0, 96.0], [112.0, 120.0]]])  # of cells 10, 12 and 14, 15
    maps = codec.encode(keypoints, np.ones((1, 2)))['heatmaps']
    np.testing.assert_allclose(codec.decode(maps)[0], keypoints)
    np.testing.assert_allclose(decode_peaks(maps)[0] - shift, keypoints[0], atol=1e-3)


@pytest.mark.filterwarnings('ignore:The metainfo config file')
@pytest.mark.parametrize(
    'arguments',
    [
        pytest.param(dict(num_keypoints=17), marks=pytest.mark.slow),
        dict(num_keypoints=16),
        dict(num_keypoints=4, num_stages=2),
        dict(num_keypoints=16, name='cpm_6s'),
    ],
    ids=['COCO', 'MPII', '2 stages', 'no norm'],
)
def test_what_it_prints_can_be_used(arguments, convert, tmp_path, repo):
    state = full_size(**arguments)
    source = checkpoint(tmp_path / 'in.pth', state)
    code, said, _ = convert(source, tmp_path / 'out.pth')
    assert code == 0
    line, hint = re.search(
        r'^without MMPose: (create_model\(.*\))\n(its input: .*)$', said, re.M
    ).groups()
    model = eval(line, {'create_model': create_model})
    assert_same(model.state_dict(), from_mmpose(from_stock(state)))
    configs = re.findall(r'configs/\S+\.py', said)
    usual = {17: 2, 16: 1}.get(arguments['num_keypoints'], 0) * (len(arguments) == 1)
    assert len(configs) == usual
    assert ('no config has these sizes' in said) == (not usual)
    if not importlib.util.find_spec('mmpose'):
        return
    import cpm_plugin.mmpose  # noqa: F401, I001  (stock modules can be imported after this only)
    from mmpose.apis import init_model

    for config in configs:
        estimator = init_model(str(repo / config), str(tmp_path / 'out.pth'), device='cpu')
        assert_same(estimator.state_dict(), from_stock(state))

    code, said, _ = convert('--to-stock', tmp_path / 'out.pth', tmp_path / 'back.pth')
    assert code == 0
    configs = re.findall(r'mmpose::\S+\.py', said)
    assert len(configs) == usual
    from mmengine.hub import get_config

    for config in map(get_config, configs):
        assert_input_is(config, hint)
        estimator = init_model(config, str(tmp_path / 'back.pth'), device='cpu')
        assert_same(estimator.state_dict(), state)


@pytest.mark.slow
def test_checkpoint_of_a_run_with_its_history(tmp_path, start_tool):
    pytest.importorskip('mmengine')
    from mmengine.logging import MessageHub

    hub = MessageHub.get_instance('convert')
    hub.update_scalar('train/loss', 0.5)
    state = to_stock(our_state(num_stages=3, **NARROW))
    checkpoint(tmp_path / 'in.pth', state, {'epoch': 1}, message_hub=hub.state_dict())
    done = start_tool('convert_mmpose_cpm.py', 'in.pth', 'out.pth', cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    converted = torch.load(tmp_path / 'out.pth', weights_only=True)
    assert_same(converted['state_dict'], from_stock(state))


def test_pickled_code_is_refused_with_advice(convert, source, tmp_path):
    marker = tmp_path / 'was_run'
    checkpoint(source, {}, {'x': OpensAFile(str(marker))})
    refused(convert, tmp_path, r'cannot be read safely.*publish_model\.py', source)
    assert not marker.exists()


def refused(convert, folder, message, *arguments):
    """Exit code 2, one line, and no file."""
    before = sorted(folder.iterdir())
    code, said, error = convert(*arguments, folder / 'out.pth')
    assert code == 2 and said == ''
    assert re.fullmatch(rf'convert_mmpose_cpm\.py: .*{message}.*\n', error)
    assert sorted(folder.iterdir()) == before


def changed(path, change):
    loaded = torch.load(path, weights_only=True)
    change(loaded['state_dict'])
    torch.save(loaded, path)


def test_foreign_weights_are_named(convert, source, tmp_path):
    changed(source, lambda state: state.update({'head.multi_final_layers.0.bias': torch.ones(5)}))
    refused(convert, tmp_path, r'head\.multi_final_layers\.0\.bias: .*final_layer=None', source)
    changed(source, lambda state: state.pop('head.multi_final_layers.0.bias'))
    changed(source, lambda state: state.pop('backbone.stem.9.conv.bias'))
    refused(convert, tmp_path, r'missing: backbone\.stem\.9\.conv\.bias', source)
    refused(convert, tmp_path, r'in\.pth: these are .*without --to-stock', '--to-stock', source)
    checkpoint(source, our_state(num_stages=3, **NARROW))
    refused(convert, tmp_path, r'in\.pth: these are .* our components already.*--to-stock', source)
    checkpoint(source, {'backbone.layer1.0.conv1.weight': torch.ones(1)})  # of a ResNet
    message = r'in\.pth: no weights of {}; missing: .*left over: backbone\.layer1\.0\.conv1\.weight'
    refused(convert, tmp_path, message.format("MMPose's CPM"), source)
    message = message.format('CPMBackbone and CPMStageHead')
    refused(convert, tmp_path, message, '--to-stock', source)


def test_ours_without_a_config_goes_back_with_a_note(convert, tmp_path):
    source = checkpoint(tmp_path / 'in.pth', our_state(num_stages=3, **NARROW))
    code, said, _ = convert('--to-stock', source, tmp_path / 'out.pth')
    assert code == 0
    assert re.search(r'^note: .*no config.*td-hm_cpm-stock-6s_.*pool_padding=1.*$', said, re.M)


def test_ours_must_have_been_trained_as_stock_computes(convert, tmp_path):
    state = our_state(num_stages=3, **NARROW)
    both = ('pool_padding=1', 'beliefs_first=True')
    for missing, other in (both, both[::-1]):
        source = checkpoint(tmp_path / 'in.pth', state, {'cfg': f'model = dict({other})'})
        refused(convert, tmp_path, rf'in\.pth: .* no {missing}', '--to-stock', source)
    checkpoint(source, state, {'cfg': 'model = dict(pool_padding=1, beliefs_first=True)'})
    code, said, _ = convert('--to-stock', source, tmp_path / 'out.pth')
    assert code == 0 and 'note:' not in said


@pytest.mark.parametrize(
    'content, message',
    [
        (b'', 'is no PyTorch checkpoint'),
        (b'<!DOCTYPE html><title>404</title>', 'is no PyTorch checkpoint'),
        (b'\x80\x02', 'cannot be read'),
        (None, 'no such file'),
    ],
)
def test_what_is_no_checkpoint_is_named(content, message, convert, tmp_path):
    source = tmp_path / 'in.pth'
    if content is not None:
        source.write_bytes(content)
    refused(convert, tmp_path, rf'in\.pth:? {message}', source)


@pytest.mark.parametrize(
    'content', [torch.zeros(3), [1], {'state_dict': 5}, {'state_dict': {1: 2}}]
)
def test_what_has_no_weights_is_named(content, convert, tmp_path):
    torch.save(content, tmp_path / 'in.pth')
    refused(convert, tmp_path, 'no state dict', tmp_path / 'in.pth')


def test_a_file_is_never_replaced(convert, source, tmp_path):
    (tmp_path / 'out.pth').write_text('mine')
    code, _, error = convert(source, tmp_path / 'out.pth')
    assert code == 2 and 'out.pth exists; give the name of a new file' in error
    assert (tmp_path / 'out.pth').read_text() == 'mine'
    (tmp_path / 'dangling.pth').symlink_to(tmp_path / 'nowhere')  # seen when writing only
    code, _, error = convert(source, tmp_path / 'dangling.pth')
    assert code == 2 and 'exists' in error
    assert not (tmp_path / 'nowhere').exists()
    code, _, error = convert(source, tmp_path / 'in.pth' / 'out.pth')
    assert code == 2 and 'in.pth is no folder' in error and error.count('\n') == 1
    assert {path.name for path in tmp_path.iterdir()} == {'in.pth', 'out.pth', 'dangling.pth'}


def test_a_bare_state_dict_is_taken(convert, source, tmp_path):
    state = torch.load(source)['state_dict']
    torch.save(state, tmp_path / 'bare.pth')
    assert convert(tmp_path / 'bare.pth', tmp_path / 'out.pth')[0] == 0
    assert_same(torch.load(tmp_path / 'out.pth')['state_dict'], from_stock(state))
