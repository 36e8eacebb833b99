"""The networks of OpenPose: sizes, against numbers from the deploy files."""

from itertools import pairwise

import pytest
import torch

from cpm_plugin import create_model
from cpm_plugin.core import AffinityPoseMachine
from cpm_plugin.core.maps.joint_sets import OPENPOSE_BODY25, OPENPOSE_COCO
from cpm_plugin.core.models.affinity_models import (
    AFFINITY_MODELS,
    openpose_body25,
    openpose_coco,
)
from cpm_plugin.core.models.registry import MODELS


def convs(*layers):
    """Parameters of convolutions (in, out, kernel) with a bias."""
    return sum(kernel**2 * seen * out + out for seen, out, kernel in layers)


def chain(kernel, *widths):
    return [(a, b, kernel) for a, b in pairwise(widths)]


# conv1_1 to conv4_4_CPM, the same in both
TRUNK = convs(*chain(3, 3, 64, 64, 128, 128, *[256] * 4, 512, 512, 256, 128))


def branch_of_2017(seen, out, first):
    if first:
        return convs(*chain(3, seen, 128, 128, 128), *chain(1, 128, 512, out))
    return convs(*chain(7, seen, *[128] * 5), *chain(1, 128, 128, out))


def branch_of_body_25(seen, out, first):
    """Five blocks of three, a hidden layer and the output; a slope for each hidden channel."""
    width, hidden = (96, 256) if first else (128, 512)
    count = 0
    for block in range(5):
        count += convs(*chain(3, 3 * width if block else seen, width, width, width)) + 3 * width
    return count + convs(*chain(1, 3 * width, hidden, out)) + hidden


COCO = TRUNK + sum(
    branch_of_2017(128 if stage == 1 else 185, out, stage == 1)  # 185 = 38 + 19 + 128
    for stage in range(1, 7)
    for out in (38, 19)
)
BODY_25 = (
    TRUNK + 512 + 256 + 128  # slopes after conv4_2, conv4_3_CPM and conv4_4_CPM
    + branch_of_body_25(128, 52, True)
    + 3 * branch_of_body_25(180, 52, False)
    + branch_of_body_25(180, 26, True)
    + branch_of_body_25(206, 26, False)
)  # fmt: skip


@pytest.mark.parametrize(
    'name, parameters, expected',
    [
        ('openpose_coco', COCO, [((19, 13, 17), (38, 13, 17))] * 6),
        ('openpose_body25', BODY_25, [(None, (52, 13, 17))] * 4 + [((26, 13, 17), None)] * 2),
    ],
)
def test_full_size(name, parameters, expected):
    with torch.device('meta'):
        model = create_model(name)
        stages = model(torch.zeros(1, 3, 104, 136))
    assert isinstance(model, AffinityPoseMachine) and MODELS[name] is AFFINITY_MODELS[name]
    assert sum(p.numel() for p in model.parameters()) == parameters
    found = [tuple(m if m is None else tuple(m.shape[1:]) for m in stage) for stage in stages]
    assert found == expected


def test_sizes_are_those_that_are_published():
    """52.3 million; the file of BODY_25's weights has 104.7 MB of float32."""
    assert (COCO, BODY_25) == (52_311_446, 26_166_084)


def test_models_carry_their_joints():
    with torch.device('meta'):
        assert openpose_coco().joints is OPENPOSE_COCO
        assert openpose_body25().joints is OPENPOSE_BODY25
        assert openpose_coco(num_limbs=3).joints is None
        assert openpose_coco(num_keypoints=18, num_stages=2).joints is OPENPOSE_COCO
        other = openpose_coco(joints='lsp', num_stages=1)
    assert (other.stages.num_keypoints, other.stages.num_limbs) == (14, 13)
