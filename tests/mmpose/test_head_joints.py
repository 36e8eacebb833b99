"""CPMStageHead with joints of its own, other than those of the dataset."""

import numpy as np
import pytest
import torch
from cpm_testing.heads import (
    CELLS,
    CPM_CODEC,
    gives,
    peak_at,
    samples,
    slim_head,
)

# Of MPII's 16: the channel of the authors' 14 that it is, or the two that it lies between
MPII_OF_CPM = [
    [10], [9], [8], [11], [12], [13],  # right ankle, knee, hip, left hip, knee, ankle
    [8, 11], [2, 5], [1], [0],  # pelvis, thorax, neck, head top
    [4], [3], [2], [5], [6], [7],  # right wrist, elbow, shoulder, left shoulder, elbow, wrist
]  # fmt: skip
CPM_FLIP = [0, 1, 5, 6, 7, 2, 3, 4, 11, 12, 13, 8, 9, 10]
MPII_FLIP = [5, 4, 3, 2, 1, 0, 6, 7, 8, 9, 15, 14, 13, 12, 11, 10]


def mpii_head(**arguments):
    return slim_head(
        num_keypoints=14,
        joints='cpm',
        output_joints='mpii',
        decoder=dict(CPM_CODEC, subpixel=False),
        **arguments,
    )


def test_predictions_are_given_in_the_joints_of_the_data_set(monkeypatch):
    cells = np.random.default_rng(0).integers(0, CELLS, (14, 2))
    maps = peak_at(*cells) * torch.linspace(0.1, 1, 14)[:, None, None]
    head = gives(mpii_head(), [maps, maps], monkeypatch)
    batch = samples([[1] * 14], flip_indices=MPII_FLIP)
    (instance,), (fields,) = head.predict(None, batch, dict(output_heatmaps=True))
    positions, scores = 8 * cells + 3.5, np.linspace(0.1, 1, 14)
    expected = np.array([positions[channels].mean(axis=0) for channels in MPII_OF_CPM])
    assert instance.keypoints.shape == (1, 16, 2) and instance.keypoint_scores.shape == (1, 16)
    np.testing.assert_allclose(instance.keypoints[0], expected, atol=1e-5)
    np.testing.assert_allclose(
        instance.keypoint_scores[0], [scores[c].mean() for c in MPII_OF_CPM], rtol=1e-6
    )
    assert torch.equal(fields.heatmaps, maps[0])  # the beliefs stay the head's


def test_same_joints_in_another_order(monkeypatch):
    maps = peak_at(*[(c % 8, c // 8) for c in range(14)])
    head = slim_head(
        num_keypoints=14,
        joints='cpm',
        output_joints='lsp',
        decoder=dict(CPM_CODEC, subpixel=False),
    )
    (instance,) = gives(head, [maps] * 2, monkeypatch).predict(None, samples([[1] * 14]))
    order = [10, 9, 8, 11, 12, 13, 4, 3, 2, 5, 6, 7, 1, 0]
    expected = [[8 * (c % 8) + 3.5, 8 * (c // 8) + 3.5] for c in order]
    assert instance.keypoints.tolist() == [expected]


def test_flip_test_swaps_the_heads_own_joints(monkeypatch):
    """The samples carry the dataset's 16 flip indices, which would not fit."""
    head = mpii_head(background=True)
    monkeypatch.setattr(head, 'forward', lambda feats: [feats])
    one, other = torch.rand(2, 1, 15, 6, 8)
    batch = samples([[1] * 14], flip_indices=MPII_FLIP)
    (averaged,) = head.keypoint_beliefs([one, other], batch, dict(flip_test=True))
    torch.testing.assert_close(averaged, (one[:, :14] + other.flip(-1)[:, CPM_FLIP]) / 2)


def test_without_output_joints_predictions_are_the_heads(monkeypatch):
    head = slim_head(num_keypoints=14, joints='cpm', decoder=CPM_CODEC)
    gives(head, [torch.rand(1, 14, 6, 8)] * 2, monkeypatch)
    (instance,) = head.predict(None, samples([[1] * 14]))
    assert instance.keypoints.shape == (1, 14, 2)
    assert slim_head().joints is None


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(joints='horse'), "no joint set 'horse'; there are: coco, cpm, flic, lsp, mpii, "),
        (dict(joints='mpii'), r'16 joints \(right_ankle, .*num_keypoints=14'),
        (
            dict(output_joints='mpii'),
            "output_joints='mpii' needs joints, the joint set of the belief",
        ),
        (dict(joints='cpm', output_joints='horse'), "no joint set 'horse'; there are: coco, cpm"),
        (dict(joints='cpm', output_joints='flic'), "no joint 'head', which left_shoulder"),
    ],
    ids=['unknown', 'another number', 'no joints', 'unknown output', 'missing joint'],
)
def test_joints_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        slim_head(num_keypoints=14, **arguments)
