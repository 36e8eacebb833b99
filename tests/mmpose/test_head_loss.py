"""Loss and accuracy of every stage of CPMStageHead, and the targets they need."""

import pytest
import torch
from cpm_testing.heads import CPM_CODEC, estimator, gives, peak_at, samples, slim_head

from mmpose.evaluation.functional import pose_pck_accuracy
from mmpose.models.losses import KeypointMSELoss


def test_loss_and_accuracy_of_every_stage_by_hand(monkeypatch):
    # 3 joints; the third is not labeled, so neither its error nor its peak may count
    target = peak_at((2, 1), (5, 4), (3, 3))
    weights = [[1, 1, 0]]
    stage1 = peak_at((2, 1), (6, 4), (0, 0)) * 0.5  # right, one cell off (of 8: more than 5 %)
    stage2 = peak_at((2, 1), (5, 4), (7, 5))
    stage2[0, 0] += 0.5
    head = gives(slim_head(), [stage1, stage2], monkeypatch)
    log = head.loss(None, samples(weights, heatmaps=target))
    assert set(log) == {'loss_stage1', 'acc_stage1', 'loss_stage2', 'acc_stage2'}
    pixels = 3 * 48
    # stage 1: joint 1 lacks 0.5; joint 2 lacks 1 and has 0.5 where nothing is
    assert log['loss_stage1'].item() == pytest.approx((0.25 + 1 + 0.25) / pixels, rel=1e-6)
    assert log['acc_stage1'].item() == 0.5
    assert log['loss_stage2'].item() == pytest.approx(48 * 0.25 / pixels, rel=1e-6)
    assert log['acc_stage2'].item() == 1


def test_every_stage_equals_stock_keypoint_mse_with_masked_joints(monkeypatch):
    beliefs = [torch.rand(4, 3, 6, 8) for _ in range(2)]
    target = torch.rand(4, 3, 6, 8)
    weights = torch.tensor([[1, 0, 1], [1, 1, 1], [0, 0, 0], [0, 1, 0]]).float()
    head = gives(slim_head(), beliefs, monkeypatch)
    log = head.loss(None, samples(weights, heatmaps=target))
    stock = KeypointMSELoss(use_target_weight=True)
    for stage in (1, 2):
        expected = stock(beliefs[stage - 1], target, weights)
        assert log[f'loss_stage{stage}'].item() == pytest.approx(expected.item(), rel=1e-6)


def test_accuracy_is_mmposes(monkeypatch):
    """On maps higher than wide, with ties, values below 0 and joints that do not count."""
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(16, 3, 40, 30, generator=generator)
    right = torch.rand(16, 3, 1, 1, generator=generator) > 0.5
    belief = torch.where(right, target, torch.rand(target.shape, generator=generator))
    belief[0, 0], belief[1, 1], belief[2, :, :, 3] = -1, 0, 2
    weights = (torch.rand(16, 3, generator=generator) > 0.3).float()
    weights[:, 2] = 0
    head = gives(slim_head(), [belief, belief.bfloat16()], monkeypatch)
    log = head.loss(None, samples(weights, heatmaps=target))
    for stage, found in ((1, belief), (2, belief.bfloat16().float())):
        _, expected, _ = pose_pck_accuracy(found.numpy(), target.numpy(), weights.numpy() > 0)
        assert 0.1 < expected < 0.9
        assert log[f'acc_stage{stage}'].item() == pytest.approx(expected, rel=1e-6)


def test_total_loss_is_the_sum_over_the_stages_only(monkeypatch):
    beliefs = [torch.rand(1, 3, 6, 8) for _ in range(2)]
    head = gives(slim_head(), beliefs, monkeypatch)
    log = head.loss(None, samples([[1, 1, 1]], heatmaps=torch.rand(1, 3, 6, 8)))
    total, _ = estimator().parse_losses(log)
    assert total.item() == pytest.approx(log['loss_stage1'].item() + log['loss_stage2'].item())


def test_loss_config_is_used(monkeypatch):
    loss = dict(type='IntermediateSupervisionLoss', reduction='sum', stage_weights=[1, 3])
    belief = torch.ones(2, 3, 6, 8)
    head = gives(slim_head(loss=loss), [belief, belief], monkeypatch)
    log = head.loss(None, samples([[1, 1, 1]] * 2, heatmaps=torch.zeros(2, 3, 6, 8)))
    assert log['loss_stage1'].item() == 3 * 48 / 2
    assert log['loss_stage2'].item() == 3 * 3 * 48 / 2


def test_background_counts_only_where_all_joints_are_labeled(monkeypatch):
    head = gives(slim_head(background=True), [torch.zeros(2, 4, 6, 8)] * 2, monkeypatch)
    target = torch.zeros(2, 4, 6, 8)
    target[0, 3] = 2  # background of an image with all joints
    target[1, 3] = 7  # of one without
    batch = samples([[1, 1, 1], [1, 1, 0]], background=[1.0, 0.0], heatmaps=target)
    log = head.loss(None, batch)
    assert log['loss_stage1'].item() == pytest.approx(48 * 4 / (2 * 4 * 48), rel=1e-6)


def test_background_is_no_joint_in_the_accuracy(monkeypatch):
    target = peak_at((2, 1), (5, 4), (3, 3), (0, 0))
    belief = peak_at((2, 1), (5, 4), (3, 3), (7, 5))
    head = gives(slim_head(background=True), [belief] * 2, monkeypatch)
    log = head.loss(None, samples([[1, 1, 1]], background=[1.0], heatmaps=target))
    assert log['acc_stage1'].item() == log['acc_stage2'].item() == 1


def test_each_stage_has_its_own_target(monkeypatch):
    everybody, person = torch.full((1, 3, 6, 8), 3.0), torch.full((1, 3, 6, 8), 1.0)
    head = gives(
        slim_head(num_stages=3, target_fields=['heatmaps_all', 'heatmaps', 'heatmaps']),
        [torch.zeros(1, 3, 6, 8)] * 3,
        monkeypatch,
    )
    log = head.loss(None, samples([[1, 1, 1]], heatmaps=person, heatmaps_all=everybody))
    assert [log[f'loss_stage{stage}'].item() for stage in (1, 2, 3)] == [9, 1, 1]


@pytest.mark.parametrize('kind', [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_beliefs_of_autocast(monkeypatch, kind):
    target = peak_at((2, 1), (5, 4), (3, 3))
    belief = (target * 300).to(kind)  # a square above what float16 holds
    head = slim_head(decoder=dict(CPM_CODEC, subpixel=False))
    gives(head, [belief, belief], monkeypatch)
    batch = samples([[1, 1, 1]], heatmaps=target)
    log = head.loss(None, batch)
    assert log['loss_stage1'].item() == pytest.approx(299**2 / 48, rel=1e-2)
    assert log['acc_stage1'].item() == 1
    (instance,), (fields,) = head.predict(None, batch, dict(output_heatmaps=True))
    assert instance.keypoints.tolist() == [[[19.5, 11.5], [43.5, 35.5], [27.5, 27.5]]]
    assert fields.heatmaps.dtype == torch.float32
    monkeypatch.setattr(head, 'forward', lambda feats: [feats])
    (averaged,) = head.keypoint_beliefs([belief, belief], batch, dict(flip_test=True))
    assert averaged.dtype == torch.float32


def test_background_without_a_codec_that_makes_it_is_refused(monkeypatch):
    head = gives(slim_head(background=True), [torch.zeros(1, 4, 6, 8)] * 2, monkeypatch)
    with pytest.raises(ValueError, match="type='CPMHeatmap', background=True"):
        head.loss(None, samples([[1, 1, 1]], heatmaps=torch.zeros(1, 4, 6, 8)))


def test_background_of_the_codec_without_one_in_the_head_is_refused(monkeypatch):
    head = gives(slim_head(), [torch.zeros(1, 3, 6, 8)] * 2, monkeypatch)
    batch = samples([[1, 1, 1]], background=[1.0], heatmaps=torch.zeros(1, 4, 6, 8))
    with pytest.raises(ValueError, match='background'):
        head.loss(None, batch)


def test_missing_target_names_what_there_is_and_what_makes_it(monkeypatch):
    head = gives(
        slim_head(target_fields=['heatmaps_all', 'heatmaps']),
        [torch.zeros(1, 3, 6, 8)] * 2,
        monkeypatch,
    )
    with pytest.raises(ValueError, match=r"'heatmaps_all'.*\['heatmaps'\].*AddNeighbors"):
        head.loss(None, samples([[1, 1, 1]], heatmaps=torch.zeros(1, 3, 6, 8)))


def test_another_number_of_joints_is_told_with_the_setting():
    with pytest.raises(ValueError, match=r'has 4 joints, .*=3; .*head=dict\(num_keypoints=4\)'):
        slim_head().loss(None, samples([[1, 1, 1, 1]], heatmaps=torch.zeros(1, 4, 6, 8)))


def test_number_of_target_fields_must_be_that_of_the_stages():
    with pytest.raises(ValueError, match='2 target_fields for num_stages=3'):
        slim_head(num_stages=3, target_fields=['heatmaps_all', 'heatmaps'])


# -- the authors' way of training


def test_empty_maps_count_in_the_loss_and_not_in_the_accuracy(monkeypatch):
    """Joints that are not labeled, or outside, are to have a belief of 0 everywhere."""
    target = peak_at((2, 1), (5, 4), (3, 3))
    target[0, 2] = 0
    belief = peak_at((2, 1), (7, 5), (0, 0)) * 0.5  # right; two cells off; nowhere to be
    head = gives(slim_head(), [belief, target], monkeypatch)
    log = head.loss(None, samples([[1, 1, 1]], heatmaps=target))
    # 0.5 is missing; 1 is missing and 0.5 too much; 0.5 too much
    expected = (0.25 + 1.25 + 0.25) / (3 * 48)
    assert log['loss_stage1'].item() == pytest.approx(expected, rel=1e-6)
    assert log['acc_stage1'].item() == 0.5
    assert log['acc_stage2'].item() == 1
    nobody = head.loss(None, samples([[1, 1, 1]], heatmaps=torch.zeros(1, 3, 6, 8)))
    assert nobody['acc_stage1'].item() == 0


def test_accuracy_of_a_stage_is_that_of_its_own_target(monkeypatch):
    """A joint that only a neighbor has is counted in stage 1 and in no other."""
    person = peak_at((2, 1), (5, 4), (3, 3))
    everybody = person.clone()
    person[0, 2] = 0
    belief = peak_at((2, 1), (5, 4), (7, 5))
    head = gives(
        slim_head(target_fields=['heatmaps_all', 'heatmaps']), [belief, belief], monkeypatch
    )
    log = head.loss(None, samples([[1, 1, 1]], heatmaps=person, heatmaps_all=everybody))
    assert log['acc_stage1'].item() == pytest.approx(2 / 3)
    assert log['acc_stage2'].item() == 1
