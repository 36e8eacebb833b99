"""Named models."""

import pytest
import torch
from cpm_testing.extras import timm

import cpm_plugin
from cpm_plugin import create_model, list_models
from cpm_plugin.core import ConvolutionalPoseMachine
from cpm_plugin.core.models.affinity_models import AFFINITY_MODELS

SMALL = {'channels': 4, 'first_stage_channels': 4, 'reduced_channels': 2}


def test_list_of_models():
    assert list_models() == [
        'cpm_6s', 'cpm_6s_bn', 'cpm_flic', 'cpm_k7_6s', 'cpm_lightning_3s',
        'cpm_lite0_3s', 'cpm_lsp', 'cpm_movenet_3s', 'cpm_movenet_coco_3s', 'cpm_mpii',
        'cpm_mpii_vgg', 'cpm_person', 'cpm_slim_3s',
        'openpose_body25', 'openpose_coco', 'paf_lite0_3s', 'paf_movenet_3s',
    ]  # fmt: skip
    assert cpm_plugin.__all__ == [
        '__version__', 'create_model', 'list_models', 'optimize_for_inference', 'predict',
    ]  # fmt: skip


@pytest.mark.parametrize('name, stages', [('cpm_6s', 6), ('cpm_6s_bn', 6), ('cpm_slim_3s', 3)])
def test_overrides_and_forward(name, stages):
    model = create_model(name, num_keypoints=17, background=False, **SMALL)
    assert isinstance(model, ConvolutionalPoseMachine)
    outputs = model(torch.zeros(2, 3, 32, 40))
    assert [tuple(o.shape) for o in outputs] == [(2, 17, 4, 5)] * stages
    assert len(create_model(name, num_stages=2, **SMALL).stages.later) == 1


def test_every_listed_model_builds_and_overrides_do_not_stick():
    of_timm = {'cpm_lite0_3s'} if timm is None else set()
    for name in set(list_models()) - set(AFFINITY_MODELS) - of_timm:
        small = create_model(name, **SMALL)
        with torch.device('meta'):
            full = create_model(name)
        assert small.stages.later[0].refine[0].conv.out_channels == 4
        assert full.stages.later[0].refine[0].conv.out_channels > 4


def test_unknown_model_lists_the_models():
    with pytest.raises(
        ValueError,
        match=r"no model 'cpm_7s'; .*cpm_6s, cpm_6s_bn, cpm_flic, cpm_k7_6s, .*cpm_slim_3s",
    ):
        create_model('cpm_7s')


def test_unknown_arguments_are_listed_with_the_known_ones():
    with pytest.raises(ValueError, match='unknown setting stages, keypoints; there are') as error:
        create_model('cpm_6s', stages=3, keypoints=14, channels=4)
    for known in ('num_keypoints', 'num_stages', 'center_map_sigma', 'norm_layer'):
        assert known in str(error.value)


def test_checkpoint_is_loaded(tmp_path):
    torch.manual_seed(0)
    saved = create_model('cpm_slim_3s', **SMALL)
    torch.save(saved.state_dict(), tmp_path / 'slim.pth')
    loaded = create_model('cpm_slim_3s', checkpoint=str(tmp_path / 'slim.pth'), **SMALL)
    for name, value in loaded.state_dict().items():
        assert torch.equal(value, saved.state_dict()[name]), name
    with pytest.raises(ValueError, match=r'slim\.pth does not fit'):
        create_model('cpm_6s', checkpoint=tmp_path / 'slim.pth', **SMALL)
