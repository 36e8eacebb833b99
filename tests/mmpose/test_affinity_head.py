"""CPMPAFHead: losses by hand, flip test, several scales, and people in image pixels."""

import numpy as np
import pytest
import torch
from mmengine.structures import PixelData

from cpm_plugin.core.maps.joint_sets import COCO, LSP, OPENPOSE_COCO
from cpm_plugin.core.models import PartMaps
from cpm_plugin.mmpose import CPMAffinityFields, CPMPAFHead

from mmpose.registry import MODELS
from mmpose.structures import PoseDataSample

# One person of LSP's 14 joints, turned a little, so that nothing in it is symmetric.
PERSON = np.array(
    [(34, 170), (34, 130), (36, 96), (58, 98), (64, 130), (70, 170), (12, 92), (16, 68), (28, 46),
     (66, 50), (78, 70), (84, 92), (48, 42), (50, 14)], dtype=np.float32,
)  # fmt: skip
PEOPLE = np.stack([PERSON, PERSON + np.array([96, 10])])
SIZE, CELLS = 192, 24


def codec(joints='lsp'):
    return dict(
        type='CPMAffinityFields', input_size=(SIZE, SIZE), heatmap_size=(CELLS, CELLS),
        joints=joints,
    )  # fmt: skip


def slim_head(joints='lsp', **arguments):
    sizes = dict(
        in_channels=4, num_stages=2, channels=4, first_stage_channels=4, hidden_channels=4,
        first_stage_hidden_channels=4, refine_kernel_size=3, refine_depth=1, first_stage_depth=1,
    )  # fmt: skip
    return CPMPAFHead(joints=joints, **{**sizes, 'decoder': codec(joints), **arguments})


def ideal(points=PEOPLE, joints='lsp', cells=CELLS):
    """The targets of people as the maps of a stage."""
    arguments = {**codec(joints), 'input_size': (8 * cells,) * 2, 'heatmap_size': (cells,) * 2}
    arguments.pop('type')
    found = CPMAffinityFields(**arguments).encode(np.asarray(points, np.float32))
    beliefs, fields = (
        torch.from_numpy(found[key])[None] for key in ('heatmaps', 'affinity_fields')
    )
    return PartMaps(beliefs, fields)


def mirrored(points=PEOPLE):
    points = points[:, list(LSP.flip_indices)].copy()
    points[..., 0] = SIZE - 1 - points[..., 0]
    return points


@pytest.fixture
def head(monkeypatch):
    """A head whose stages return what they are given as features: maps of a single stage."""
    head = slim_head()
    monkeypatch.setattr(head, 'forward', lambda maps: [maps])
    return head


def assert_people(found, points=PEOPLE):
    assert found.keypoints.shape == points.shape
    order = np.abs(found.keypoints[:, None] - points).sum(axis=(2, 3)).argmin(axis=0)
    assert sorted(order) == list(range(len(points)))
    np.testing.assert_allclose(found.keypoints[order], points, atol=0.05)


# -- predictions


def test_people_with_scores_and_boxes(head):
    (found,) = head.predict(ideal(), [None])
    assert_people(found)
    np.testing.assert_allclose(found.keypoint_scores, 1, atol=0.4)
    first = found.keypoints[:, 0, 0].argmin()
    np.testing.assert_allclose(found.bboxes[first], [12, 14, 84, 170], atol=0.05)
    assert found.bbox_scores.shape == (2,) and (found.bbox_scores > 0.8).all()


def test_a_batch_with_nobody_in_one_image(head):
    nobody = ideal(np.zeros((0, 14, 2)))
    both = PartMaps(*(torch.cat(pair) for pair in zip(nobody, ideal())))
    empty, found = head.predict(both, [None] * 2)
    assert_people(found)
    assert [empty[key].shape for key in ('keypoints', 'keypoint_scores', 'bboxes', 'bbox_scores')] \
        == [(0, 14, 2), (0, 14), (0, 4), (0,)]  # fmt: skip


def test_maps_are_given_out_without_background(head):
    _, (maps,) = head.predict(ideal(), [None], dict(output_heatmaps=True))
    assert torch.equal(maps.heatmaps[None], ideal().beliefs[:, :14])
    assert torch.equal(maps.affinity_fields[None], ideal().fields)


def test_flip_test_of_the_mirrored_maps_is_exact(head):
    """Sides change places and vectors change sign along x; limbs across the body turn round."""
    flip = dict(flip_test=True)
    back = head.part_maps([ideal(), ideal(mirrored())], test_cfg=flip)
    for one, other in zip(back, head.part_maps(ideal())):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)
    assert_people(head.predict([ideal(), ideal(mirrored())], [None], flip)[0])
    # without any swap it is not
    same = head.part_maps([ideal(), PartMaps(*(m.flip(-1) for m in ideal()))], test_cfg=flip)
    assert (same[0] - ideal().beliefs[:, :14]).abs().max() > 0.4
    assert (same[1] - ideal().fields).abs().max() > 0.4


@pytest.mark.parametrize('joints', [COCO, LSP, OPENPOSE_COCO], ids=['coco', 'lsp', 'openpose'])
def test_flip_test_of_every_joint_set(joints, monkeypatch):
    name = {COCO: 'coco', LSP: 'lsp', OPENPOSE_COCO: 'openpose_coco'}[joints]
    points = np.random.default_rng(0).uniform(8, SIZE - 8, (1, len(joints.names), 2))
    other = points[:, list(joints.flip_indices)].copy()
    other[..., 0] = SIZE - 1 - other[..., 0]
    head = slim_head(name)
    monkeypatch.setattr(head, 'forward', lambda maps: [maps])
    pair = [ideal(points, name), ideal(other, name)]
    for one, straight in zip(head.part_maps(pair, test_cfg=dict(flip_test=True)), pair[0]):
        torch.testing.assert_close(one, straight[:, : one.shape[1]], rtol=0, atol=1e-5)


def test_an_odd_vector_by_hand(head):
    """A single cell of the field from neck to left elbow's shoulder, in a mirrored image."""
    limb = LSP.limbs.index(('left_shoulder', 'left_elbow'))
    other = LSP.limbs.index(('right_shoulder', 'right_elbow'))
    fields = torch.zeros(1, 26, 2, 3)
    fields[0, 2 * limb : 2 * limb + 2, 1, 0] = torch.tensor([0.6, 0.8])
    maps = [PartMaps(torch.zeros(1, 15, 2, 3), found) for found in (0 * fields, fields)]
    found = head.part_maps(maps, test_cfg=dict(flip_test=True))[1]
    assert found.count_nonzero() == 2
    torch.testing.assert_close(found[0, 2 * other : 2 * other + 2, 1, 2], torch.tensor([-0.3, 0.4]))


def test_several_scales_are_averaged_at_the_size_of_the_first(head):
    """Of constant maps, the mean; and bilinear between cells, aligned at the edges."""

    def constant(value, *size):
        return PartMaps(torch.full((1, 15, *size), value), torch.full((1, 26, *size), -value))

    test_cfg = dict(multiscale_test=True)
    found = head.part_maps([constant(1.0, 4, 6), constant(4.0, 8, 12)], test_cfg=test_cfg)
    assert found[0].shape == (1, 14, 4, 6) and (found[0] == 2.5).all()
    assert found[1].shape == (1, 26, 4, 6) and (found[1] == -2.5).all()
    ramp = PartMaps(*(m + torch.arange(12.0) for m in constant(0.0, 8, 12)))
    found = head.part_maps([constant(0.0, 4, 6), ramp], test_cfg=test_cfg)
    # cells 0 and 1 of the larger maps are cell 0 of the smaller
    assert found[0][0, 0, 0].tolist() == [0.25, 1.25, 2.25, 3.25, 4.25, 5.25]


def test_several_scales_and_flip_test_find_the_people(head):
    both = dict(multiscale_test=True, flip_test=True)
    large, small = 2 * PEOPLE + 0.5, PEOPLE
    turned = mirrored()
    scales = [
        [ideal(small), ideal(turned)],
        [ideal(large, cells=48), ideal(2 * turned + 0.5, cells=48)],
    ]
    (found,) = head.predict(scales, [None], both)
    assert found.keypoints.shape == (2, 14, 2)
    order = np.abs(found.keypoints[:, None] - PEOPLE).sum(axis=(2, 3)).argmin(axis=0)
    np.testing.assert_allclose(found.keypoints[order], PEOPLE, atol=1)


def test_joints_of_the_data_set(monkeypatch):
    """OpenPose's 18 to COCO's 17: the neck goes, the order is COCO's."""
    head = slim_head('openpose_coco', output_joints='coco')
    monkeypatch.setattr(head, 'forward', lambda maps: [maps])
    points = (
        np.random.default_rng(1).permutation(
            np.stack(np.meshgrid(np.arange(5), np.arange(4)), -1).reshape(-1, 2)
        )[None, :18]
        * 36.0
        + 20
    )
    (found,) = head.predict(ideal(points, 'openpose_coco'), [None])
    assert found.keypoints.shape == (1, 17, 2) and found.keypoint_scores.shape == (1, 17)
    names = [OPENPOSE_COCO.index(name) for name in COCO.names]
    known = found.keypoint_scores[0] > 0
    assert known.sum() >= 10
    np.testing.assert_allclose(found.keypoints[0][known], points[0][names][known], atol=0.1)


def test_image_pixels_and_an_image_without_people_in_stocks_estimator(monkeypatch):
    model = MODELS.build(
        dict(
            type='BottomupPoseEstimator',
            backbone=dict(type='CPMBackbone', channels=4, kernel_size=3),
            head=dict(
                type='CPMPAFHead', in_channels=4, joints='lsp', num_stages=1, decoder=codec(),
            ),
        )
    )  # fmt: skip
    maps = PartMaps(*(torch.cat([a, 0 * a]) for a in ideal()))
    monkeypatch.setattr(model.head, 'forward', lambda feats: [maps])
    samples = [
        PoseDataSample(
            metainfo=dict(
                input_size=(SIZE, SIZE), input_center=np.array([200.0, 100.0]),
                input_scale=np.array([384.0, 384.0]),
            )
        )
        for _ in range(2)
    ]  # fmt: skip
    found, nobody = model.predict(torch.zeros(2, 3, SIZE, SIZE), samples)
    assert_people(found.pred_instances, 2 * PEOPLE + np.array([200 - 192, 100 - 192]))
    first = found.pred_instances.keypoints[:, 0, 0].argmin()
    np.testing.assert_allclose(found.pred_instances.bboxes[first], [32, -64, 176, 248], atol=0.1)
    assert nobody.pred_instances.keypoints.shape == (0, 14, 2)
    assert nobody.pred_instances.bboxes.shape == (0, 4)


# -- losses


def sample(maps, mask=None):
    fields = dict(heatmaps=maps.beliefs[0], affinity_fields=maps.fields[0])
    if mask is not None:
        fields['heatmap_mask'] = mask
    return PoseDataSample(gt_fields=PixelData(**fields))


def test_losses_by_hand(monkeypatch):
    """Everything differs by 2 at stage 1 and by 1 at stage 2; half of the cells do not count."""
    target = PartMaps(torch.zeros(1, 15, 2, 4), torch.ones(1, 26, 2, 4))
    stages = [
        PartMaps(target.beliefs + 2, target.fields + 2),
        PartMaps(target.beliefs + 1, target.fields - 1),
    ]
    head = slim_head()
    monkeypatch.setattr(head, 'forward', lambda feats: stages)
    log = head.loss(None, [sample(target)])
    assert {key: float(value) for key, value in log.items()} == {
        'loss_fields_stage1': 4, 'loss_fields_stage2': 1,
        'loss_beliefs_stage1': 4, 'loss_beliefs_stage2': 1, 'field_strength': 0,
    }  # fmt: skip
    mask = torch.ones(1, 2, 4, dtype=torch.bool)
    mask[..., :2] = False
    log = head.loss(None, [sample(target, mask)])
    assert [float(log[f'loss_{kind}_stage1']) for kind in ('fields', 'beliefs')] == [2, 2]
    summed = slim_head(loss=dict(type='AffinityLoss', reduction='sum', field_weight=0.5))
    monkeypatch.setattr(summed, 'forward', lambda feats: stages)
    log = summed.loss(None, [sample(target)])
    assert float(log['loss_beliefs_stage2']) == 15 * 8 / 2
    assert float(log['loss_fields_stage2']) == 0.5 * 26 * 8 / 2


@pytest.mark.parametrize('settings', [{}, dict(field_stages=2, num_stages=3, dense=True)])
def test_the_gradient_reaches_every_stage(settings):
    torch.manual_seed(0)
    head = slim_head(**settings)
    target = ideal()
    features = torch.randn(1, 4, CELLS, CELLS)
    log = head.loss(features, [sample(target)])
    kinds = {key for key in log if key.startswith('loss')}
    if settings:
        assert kinds == {'loss_fields_stage1', 'loss_fields_stage2', 'loss_beliefs_stage3'}
    else:
        assert len(kinds) == 4
    sum(log[key] for key in kinds).backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


# -- mistakes


@pytest.mark.parametrize(
    'arguments, words',
    [
        (dict(joints='person'), "joints='person' have no limbs"),
        (dict(num_limbs=3), "num_limbs=3, but joints='lsp' have 13; leave it out"),
        (dict(decoder=codec('coco')), "other joints than joints='lsp' of the head"),
        (dict(output_joints='coco'), "no joint 'nose'"),
        (dict(kernels=3), 'kernels'),
    ],
)
def test_wrong_settings_are_named(arguments, words):
    with pytest.raises(ValueError, match=words):
        slim_head(**{'joints': 'lsp', 'decoder': codec(), **arguments})


def test_wrong_calls_are_named(head):
    for name in ('shift_heatmap', 'restore_heatmap_size', 'align_corners'):
        with pytest.raises(ValueError, match=f'{name}=True.* Leave it out'):
            head.part_maps(ideal(), test_cfg={name: True})
    with pytest.raises(ValueError, match=r"no target 'heatmaps'.*GenerateTarget"):
        head.loss(ideal(), [PoseDataSample()])
    with pytest.raises(ValueError, match='set decoder to the codec'):
        slim_head(decoder=None).predict(torch.zeros(1, 4, 2, 2), [None])
    with pytest.raises(ValueError, match='center_map_sigma=None'):
        slim_head()((torch.zeros(1, 4, 2, 2),) * 3)
