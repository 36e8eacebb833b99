"""Every config has what a long run needs, and a leaf can leave it out."""

import pytest
from mmengine.config import Config

SAFE = {
    'checkpoint': 'SafeCheckpointHook',
    'finite': 'FiniteHook',
    'names': 'KeypointNamesHook',
    'runtime_info': 'LateLogHook',
    'reproducible': 'ReproducibleHook',
    'warm_up': 'WarmUpHook',
    'workers': 'WorkersHook',
}


def leaves(repo):
    found = sorted((repo / 'configs' / 'body_2d_keypoint').rglob('*.py'))
    assert len(found) > 30
    return found


def test_every_config_has_the_safe_hooks(repo):
    for path in leaves(repo):
        hooks = Config.fromfile(path).default_hooks
        assert {name: hooks[name].type for name in SAFE} == SAFE, path
        assert hooks.sampler_seed.type == 'DistSamplerSeedHook', path  # MMPose's own are there


@pytest.mark.parametrize('name', sorted(SAFE))
def test_a_hook_can_be_left_out(name, repo):
    config = Config.fromfile(leaves(repo)[0])
    config.merge_from_dict({f'default_hooks.{name}': None})
    assert config.default_hooks[name] is None
