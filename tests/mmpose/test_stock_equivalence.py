"""Stock MMPose's CPM and our components with its weights: the same outputs, the same training."""

import copy
import itertools

import numpy as np
import pytest
import torch
from cpm_testing.configs import meta_of, random_batch
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS
from mmengine.runner import Runner
from torch import nn

import cpm_plugin.mmpose.baseline  # noqa: F401  (registers NarrowStockCPM)
from cpm_plugin.core.conversion.mmpose_cpm import from_stock, to_stock

from mmcv.cnn import ConvModule
from mmpose.registry import MODELS

TOPDOWN = 'body_2d_keypoint/topdown_heatmap'
PAIRS = {
    'coco-256x192': ('coco', 'td-hm_cpm_8xb64-210e', 'td-hm_cpm-stock-6s_8xb64-210e'),
    'coco-384x288': ('coco', 'td-hm_cpm_8xb32-210e', 'td-hm_cpm-stock-6s_8xb32-210e'),
    'mpii-368x368': ('mpii', 'td-hm_cpm_8xb64-210e', 'td-hm_cpm-stock-6s_8xb64-210e'),
}
SMALL = dict(type='MSRAHeatmap', input_size=(48, 64), heatmap_size=(6, 8), sigma=1)

pytestmark = pytest.mark.filterwarnings('ignore:The metainfo config file')


def configs(name, repo):
    """Stock's config and ours; 'small' is COCO's with 3 narrow stages and small images."""
    folder, stock_name, our_name = PAIRS['coco-256x192' if name == 'small' else name]
    ending = 'coco-256x192' if name == 'small' else name
    stock = get_config(f'mmpose::{TOPDOWN}/{folder}/{stock_name}_{ending}.py')
    ours = Config.fromfile(repo / 'configs' / TOPDOWN / folder / f'{our_name}_{ending}.py')
    for part in (ours.model.backbone, ours.model.head):
        part.conv_method = 'direct'  # equal to the bit, not only to rounding
    if name == 'small':
        widths = dict(channels=8, first_stage_channels=16)
        stock.model.backbone = dict(
            type='NarrowStockCPM', in_channels=3, out_channels=17, num_stages=3, **widths
        )
        ours.model.backbone.channels = 8
        ours.model.head.update(in_channels=8, **widths)
        for config in (stock, ours):
            config.model.head.update(num_stages=3, decoder=SMALL)
    return stock, ours


def scale_weights(stock):
    """Random weights with which every layer matters: He's, and batch norms that do something."""
    for layer in stock.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity='relu')
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias, std=0.2)
            layer.running_mean.normal_(std=0.2)
            layer.running_var.uniform_(0.5, 1.5)
            layer.num_batches_tracked += 7
        elif isinstance(layer, ConvModule) and layer.act_cfg is None:
            nn.init.normal_(layer.conv.bias, std=0.2)
    for layer in stock.modules():  # the outputs, after their convolutions in modules()
        if isinstance(layer, ConvModule) and layer.act_cfg is None:
            layer.conv.weight.data.mul_(0.5)


def pair(name, repo, own_start=False):
    """Both estimators with stock's weights: scaled ones, or MMPose's own initial weights."""
    stock, ours = (MODELS.build(config.model) for config in configs(name, repo))
    stock.init_weights()
    if not own_start:
        scale_weights(stock)
    ours.load_state_dict(from_stock(stock.state_dict()))
    return stock, ours


def difference(found, expected):
    """Largest difference in units of the largest value."""
    relative = float((found - expected).abs().max() / expected.abs().max())
    assert np.isfinite(relative)  # max() would pass over a NaN
    return relative


def stage_maps(model, inputs):
    with torch.no_grad():
        return model.head(model.backbone(inputs))


def largest_difference(stock, ours, inputs):
    """Over the stages' maps, which have a sensible size."""
    expected = stage_maps(stock, inputs)
    for maps in expected:
        assert 0.1 < maps.std() < 10
    found = stage_maps(ours, inputs)
    return max(difference(a, b) for a, b in zip(found, expected, strict=True))


def full(*names):
    return [pytest.param(name, marks=pytest.mark.full) for name in names]


# -- outputs


@pytest.mark.parametrize('name', ['small', *full('coco-256x192', 'mpii-368x368')])
def test_the_same_maps_and_key_points_and_back(name, repo):
    config, _ = configs(name, repo)
    stock, ours = (model.eval() for model in pair(name, repo))
    meta = meta_of(config.train_dataloader.dataset)
    data = stock.data_preprocessor(random_batch(config.model.head.decoder, meta, 2))
    worst = largest_difference(stock, ours, data['inputs'])
    assert worst <= 1e-5

    assert ours.test_cfg == stock.test_cfg and stock.test_cfg['flip_test']
    with torch.no_grad():
        expected, found = (model(**copy.deepcopy(data), mode='predict') for model in (stock, ours))
    apart = 0.0
    for one, other in zip(found, expected, strict=True):
        one, other = one.pred_instances, other.pred_instances
        assert other.keypoints.std() > 1
        apart = max(apart, np.abs(one.keypoints - other.keypoints).max())
        np.testing.assert_allclose(one.keypoint_scores, other.keypoint_scores, rtol=1e-5)
    assert apart < 1e-3
    print(f'\n{name}: maps differ by {worst:.1e} of a stage, keypoints by {apart:.1e} pixels')

    back = to_stock(ours.state_dict())
    assert back.keys() == stock.state_dict().keys()
    for key, value in stock.state_dict().items():
        assert torch.equal(back[key], value), key
    again = MODELS.build(config.model).eval()
    again.load_state_dict(back)
    for one, other in zip(
        stage_maps(again, data['inputs']), stage_maps(stock, data['inputs']), strict=True
    ):
        assert torch.equal(one, other)


def no_change(config, state):
    return config, state


def argument(part, name, value):
    def change(config, state):
        config[part][name] = value
        return config, state

    return change


def swapped_trunks(config, state):
    names = {'stage1_trunk': 'shared_trunk', 'shared_trunk': 'stage1_trunk'}
    return config, {
        next((k.replace(a, b) for a, b in names.items() if a in k), k): v for k, v in state.items()
    }


@pytest.mark.parametrize(
    'change, is_mistake',
    [
        (no_change, False),
        (argument('backbone', 'pool_padding', 0), True),
        (argument('head', 'beliefs_first', False), True),
        (swapped_trunks, True),
    ],
    ids=['none', 'pool_padding', 'beliefs_first', 'swapped trunks'],
)
def test_planted_mistakes_are_seen(change, is_mistake, repo):
    stock, _ = (model.eval() for model in pair('small', repo))
    config, state = change(configs('small', repo)[1].model, from_stock(stock.state_dict()))
    ours = MODELS.build(config).eval()
    ours.load_state_dict(state)
    worst = largest_difference(stock, ours, torch.randn(2, 3, 64, 48))
    assert worst > 1e-2 if is_mistake else worst <= 1e-5


# -- training


def test_initial_weights_are_drawn_as_stock_draws_them(repo):
    stock, ours = (MODELS.build(config.model) for config in configs('coco-256x192', repo))
    for model in (stock, ours):
        model.init_weights()
    expected, found = from_stock(stock.state_dict()), ours.state_dict()
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        if value.ndim < 4:  # biases and batch norms
            assert torch.equal(found[key], value), key
            continue
        for weight in (value, found[key]):  # at least 17 x 128 values
            assert weight.std().item() == pytest.approx(0.001, rel=0.1)
            assert weight.mean().item() == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize('name', PAIRS)
def test_all_but_the_model_and_the_safe_hooks_is_stocks(name, repo):
    stock, ours = configs(name, repo)
    assert ours.default_hooks.checkpoint.type == 'SafeCheckpointHook'
    ours.default_hooks.checkpoint.type = 'CheckpointHook'
    for hook in ours.safe_hooks.keys() - {'checkpoint'}:
        assert hook not in stock.default_hooks
        ours.default_hooks.pop(hook)
    decoders = [dict(config.model.head.decoder, _scope_='') for config in (stock, ours)]
    assert decoders[0] == decoders[1]
    for config in (stock, ours):
        for key in ('backbone', 'head'):
            config.model.pop(key)
        for key in ('custom_imports', 'converted_model', 'init_cfg', 'norm_cfg', 'safe_hooks'):
            config.pop(key, None)
    assert without_scopes(ours.to_dict()) == without_scopes(stock.to_dict())


def without_scopes(value):
    """Configs from a base of another package say so in every part."""
    if isinstance(value, dict):
        return {key: without_scopes(part) for key, part in value.items() if key != '_scope_'}
    return [without_scopes(part) for part in value] if isinstance(value, (list, tuple)) else value


class Training:
    """A model with the config's optimizer and warm-up, a step at a time."""

    def __init__(self, model, config):
        self.model = model.train()
        self.optimizer = build_optim_wrapper(model, copy.deepcopy(config.optim_wrapper))
        warm_up = copy.deepcopy(config.param_scheduler[0])
        assert warm_up['type'] == 'LinearLR'
        self.scheduler = PARAM_SCHEDULERS.build(
            warm_up, default_args=dict(optimizer=self.optimizer)
        )

    def gradients(self, data):
        """Loss, and a state dict with gradients in the place of weights."""
        self.optimizer.zero_grad()
        log = self.model(**copy.deepcopy(data), mode='loss')
        loss, _ = self.model.parse_losses(log)
        self.optimizer.backward(loss)
        gradients = {key: value.grad for key, value in self.model.named_parameters()}
        return loss.item(), {**self.model.state_dict(), **gradients}

    def step(self):
        self.optimizer.step()
        self.scheduler.step()


def compare_training(stock, ours, config, batches):
    """Largest relative differences in loss, gradients and weights over the steps."""
    start = {key: value.clone() for key, value in ours.named_parameters()}
    places = [{value.data_ptr() for value in model.parameters()} for model in (stock, ours)]
    assert not set.intersection(*places)  # neither learns through the other's weights
    trainings = Training(stock, config), Training(ours, config)
    worst = dict.fromkeys(('loss', 'gradients', 'weights'), 0.0)
    losses = []
    for batch in batches:
        data = stock.data_preprocessor(copy.deepcopy(batch), training=True)
        (expected, theirs), (found, own) = (training.gradients(data) for training in trainings)
        losses.append(expected)
        assert np.isfinite([expected, found]).all()
        theirs = from_stock(theirs)
        gradients = max(difference(own[name], theirs[name]) for name, _ in ours.named_parameters())
        for training in trainings:
            training.step()
        after = from_stock(stock.state_dict())
        weights = max(
            difference(value, after[key])
            for key, value in ours.state_dict().items()
            if value.is_floating_point()
        )
        apart = dict(loss=abs(found / expected - 1), gradients=gradients, weights=weights)
        worst = {key: max(worst[key], value) for key, value in apart.items()}
    for key, value in ours.named_parameters():
        assert not torch.equal(value, start[key]), key
    return worst, losses


def test_the_same_training_of_a_small_one(repo):
    config, _ = configs('small', repo)
    stock, ours = pair('small', repo)
    batch = random_batch(SMALL, meta_of(config.train_dataloader.dataset), 2)
    worst, losses = compare_training(stock, ours, config, [batch] * 3)
    assert max(worst.values()) <= 1e-5
    assert losses[-1] < losses[0]


def test_another_network_trains_otherwise(repo):
    config, other = configs('small', repo)
    stock, _ = pair('small', repo)
    other.model.head.beliefs_first = False
    ours = MODELS.build(other.model)
    ours.load_state_dict(from_stock(stock.state_dict()))
    batch = random_batch(SMALL, meta_of(config.train_dataloader.dataset), 2)
    worst, _ = compare_training(stock, ours, config, [batch])
    assert worst['loss'] > 1e-5 and worst['gradients'] > 1e-2


@pytest.mark.full
@pytest.mark.parametrize('own_start', [False, True], ids=['scaled weights', "stock's start"])
def test_the_same_training_on_real_images(own_start, repo, shared_data):
    folder = shared_data / 'coco_mini'
    if not folder.is_dir():
        pytest.skip(f'{folder} is not here')
    name, steps = 'coco-256x192', 20
    config, _ = configs(name, repo)
    loader = config.train_dataloader
    loader.update(batch_size=2, num_workers=0, persistent_workers=False)
    loader.dataset.data_root = f'{folder}/'
    batches = list(itertools.islice(Runner.build_dataloader(loader, seed=0), steps))
    assert len(batches) == steps
    stock, ours = pair(name, repo, own_start)
    worst, losses = compare_training(stock, ours, config, batches)
    figures = ', '.join(f'{key} {value:.1e}' for key, value in worst.items())
    print(f'\n{steps} steps, loss {losses[0]:.5g} to {losses[-1]:.5g}; differences: {figures}')
    assert max(worst.values()) <= 1e-5
