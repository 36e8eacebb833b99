"""The configs for several people agree with their names and themselves, learn and predict."""

import json
import re

import cv2
import numpy as np
import pytest
import torch

pytest.importorskip('mmpose')

from cpm_testing.configs import PEOPLE, load, loaders, step
from cpm_testing.extras import skip_without_timm
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.optim import build_optim_wrapper
from mmengine.runner import Runner
from mmengine.structures import PixelData

from cpm_plugin.apps.figures import draw
from cpm_plugin.core.maps.joint_sets import JOINT_SETS, LSP
from cpm_plugin.core.models import PartMaps
from cpm_plugin.core.models.affinity_models import AFFINITY_MODELS
from cpm_plugin.mmpose import CPMPAFHead

from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.registry import DATASETS, MODELS
from mmpose.structures import PoseDataSample

NAME = re.compile(
    r'paf_cpm-(?P<model>[a-z0-9-]+)-(?P<stages>\d+)s_1xb(?P<batch>\d+)-(?P<length>\d+)'
    r'(?P<unit>[ek])_(?P<dataset>[a-z]+)(-[a-z]+)?-(?P<height>\d+)x(?P<width>\d+)'
)
pytestmark = pytest.mark.filterwarnings('ignore')


@pytest.fixture(params=PEOPLE, ids=lambda path: path.stem)
def path(request):
    return request.param


def test_all_are_found():
    assert {path.parent.name for path in PEOPLE} == {'coco', 'figures', 'lspet'}
    assert len(PEOPLE) == 5


def test_a_config_agrees_with_its_name_and_itself(path):
    cfg, name = load(path), NAME.fullmatch(path.stem)
    assert name['dataset'] == path.parent.name
    head, size = cfg.model.head, (int(name['width']), int(name['height']))
    assert tuple(head.decoder.input_size) == size
    assert tuple(head.decoder.heatmap_size) == tuple(side // 8 for side in size)
    assert head.joints == head.decoder.joints and head.num_stages == int(name['stages'])
    assert cfg.train_dataloader.batch_size == int(name['batch'])
    if name['unit'] == 'e':
        assert cfg.train_cfg.max_epochs == int(name['length'])
        assert cfg.param_scheduler[-1].T_max == int(name['length'])
    else:
        assert cfg.train_cfg.max_iters == int(name['length']) * 1000
    train = cfg.train_dataloader.dataset.pipeline
    assert step(train, 'GenerateTarget').encoder == head.decoder
    assert tuple(step(train, 'BottomupRandomAffine').input_size) == size
    kinds = [one['type'] for one in train]
    order = ('BottomupRandomAffine', 'RandomFlip', 'GenerateTarget', 'PeopleMask', 'PackPoseInputs')
    assert [kind for kind in kinds if kind in order] == list(order)
    meta = parse_pose_metainfo(DATASETS.get(cfg.dataset_type).METAINFO)
    output = JOINT_SETS[head.get('output_joints', head.joints)]
    assert tuple(meta['flip_indices']) == output.flip_indices
    assert len(meta['sigmas']) == len(output.names)
    assert ('SelectJoints' in kinds) == ('output_joints' in head)
    for loader in loaders(cfg)[1:]:
        resize = step(loader.dataset.pipeline, 'BottomupResize')
        assert tuple(resize.input_size) == size and resize.size_factor == 8
        assert loader.dataset.pipeline[-1] == dict(type='PackSizes')


def test_one_step_of_training_and_a_prediction(path):
    cfg = load(path)
    skip_without_timm(cfg.model.backbone)
    cfg.model.backbone.pop('encoder_weights', None)
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    assert isinstance(model.head, CPMPAFHead)
    model.head.decoder.heatmap_size = (6, 6)
    people = np.random.default_rng(0).uniform(4, 44, (2, len(model.head.joints.names), 2))
    target = model.head.decoder.encode(people.astype(np.float32))
    sample = PoseDataSample(gt_fields=PixelData(**target).to_tensor())
    inputs = torch.randint(0, 256, (3, 48, 48), generator=torch.Generator().manual_seed(0))
    data = pseudo_collate([dict(inputs=inputs, data_samples=sample)] * 2)
    data = model.data_preprocessor(data, training=True)
    total, log = model.parse_losses(model(**data, mode='loss'))
    stages, of_fields = cfg.model.head.num_stages, cfg.model.head.get('field_stages')
    losses = {name for name in log if name.startswith('loss_')}
    assert len(losses) == (2 * stages if of_fields is None else stages)
    total.backward()
    for key, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), key
    model.eval()
    with torch.no_grad():
        feats = [model.extract_feat(data['inputs'])] * 2
        found = model.head.predict(feats, data['data_samples'], dict(flip_test=True))
    joints = len(JOINT_SETS[cfg.model.head.get('output_joints', cfg.model.head.joints)].names)
    assert [one.keypoints.shape[1:] for one in found] == [(joints, 2)] * 2


def is_named(model, name):
    """Whether the weights of a model have the names and shapes of those of a named network."""
    named = AFFINITY_MODELS[name]().state_dict()
    return {
        key.replace('backbone.', '').replace('head.', ''): value.shape
        for key, value in model.state_dict().items()
    } == {key: value.shape for key, value in named.items()}


@pytest.mark.parametrize('encoder', ['lite0', 'movenet'])
def test_the_network_on_an_encoder_is_the_named_model(encoder):
    (path,) = (path for path in PEOPLE if encoder in path.stem)
    model = load(path).model
    skip_without_timm(model.backbone)
    with torch.device('meta'):
        assert is_named(MODELS.build(model), f'paf_{encoder}_3s')


def test_the_network_of_the_paper_is_the_named_model():
    (path,) = (path for path in PEOPLE if 'vgg' in path.stem)
    cfg = load(path)
    cfg.model.backbone.pop('encoder_weights')
    with torch.device('meta'):  # only names and sizes count
        model = MODELS.build(cfg.model)
        assert is_named(model, 'openpose_coco')
    # setLayers.py: lr_mult 1 of the trunk and stage 1, 4 of later stages; biases twice, no decay
    groups = build_optim_wrapper(model, cfg.optim_wrapper).optimizer.param_groups
    of = {id(group['params'][0]): (group['lr'], group['weight_decay']) for group in groups}
    for name, parameter in model.named_parameters():
        later = re.search(r'(fields|beliefs)\.[1-5]\.', name)
        bias = name.endswith('bias')
        rate = 4e-5 * (4 if later else 1) * (2 if bias else 1)
        assert of[id(parameter)] == pytest.approx((rate, 0 if bias else 5e-4)), name


# -- a round trip


def write_people(folder, count=3, size=96):
    """COCO-format images of two figures side by side, and of nobody in the last."""
    (folder / 'annotations').mkdir()
    images, people = [], []
    for number in range(1, count + 1):
        shown = [] if number == count else [draw((7, 2 * number + side), size) for side in (0, 1)]
        image = np.concatenate(
            [one for one, _ in shown] or [np.full((96, 192, 3), 99, np.uint8)], 1
        )
        for side, (_, found) in enumerate(shown):
            points = np.reshape(found['keypoints'], (14, 3)) + np.array([size * side, 0, 0])
            box = np.array(found['bbox']) + np.array([size * side, 0, 0, 0])
            people.append(
                {**found, 'id': len(people) + 1, 'image_id': number, 'bbox': box.tolist(),
                 'keypoints': points.ravel().tolist()}
            )  # fmt: skip
        images.append(dict(id=number, file_name=f'{number}.png', width=192, height=96))
        for split in ('train', 'val'):
            (folder / split).mkdir(exist_ok=True)
            assert cv2.imwrite(str(folder / split / f'{number}.png'), image)
    person = {'id': 1, 'name': 'person', 'keypoints': list(LSP.names), 'skeleton': []}
    content = dict(images=images, annotations=people, categories=[person])
    for split in ('train', 'val'):
        (folder / 'annotations' / f'{split}.json').write_text(json.dumps(content))
    return folder


def small(folder, **options):
    (path,) = (path for path in PEOPLE if path.parent.name == 'figures')
    config = Config.fromfile(path)
    names = ('train_dataloader', 'val_dataloader', 'test_dataloader')
    config.merge_from_dict(
        {
            'work_dir': str(folder / 'work'),
            'model.backbone': dict(channels=4),
            'model.head': dict(in_channels=4, channels=4, first_stage_channels=4, num_stages=2),
            **{f'{name}.dataset.data_root': f'{folder}/' for name in names},
            **{f'{name}.num_workers': 0 for name in names},
            **{f'{name}.persistent_workers': False for name in names},
            'train_dataloader.batch_size': 2,
            'train_cfg.max_epochs': 1,
            'log_level': 'ERROR',
            'visualizer.vis_backends': [],
            **options,
        }
    )
    config.custom_hooks = []
    config.experiment_name = f'people_{abs(hash(str(options)))}'
    return config


def test_training_and_validation_with_stocks_runner_and_metric(tmp_path):
    runner = Runner.from_cfg(small(write_people(tmp_path)))
    before = runner.model.head.stages.fields[1].output.weight.clone()
    runner.train()
    assert not torch.equal(runner.model.head.stages.fields[1].output.weight, before)
    assert (tmp_path / 'work' / 'epoch_1.pth').is_file()


@pytest.mark.parametrize('tested', ['once', 'flipped, in three sizes'])
def test_ideal_maps_have_an_average_precision_of_1(tested, tmp_path, monkeypatch):
    """Through stock's pipeline, estimator and CocoMetric, with nobody in one image."""
    options = {}
    if tested != 'once':
        options = {
            'model.type': 'SizesPoseEstimator',
            'model.test_cfg': dict(flip_test=True, multiscale_test=True),
        }
    config = small(write_people(tmp_path), **options)
    if tested != 'once':
        config.test_dataloader.dataset.pipeline[1].aug_scales = [1.5, 0.5]
        config.test_dataloader.batch_size = 1
    runner = Runner.from_cfg(config)
    head, content = runner.model.head, json.loads((tmp_path / 'annotations/val.json').read_text())
    asked = []

    def features(inputs):
        """The image's number, and whether it is mirrored, in place of features."""
        asked.append(inputs)
        return inputs

    def ideal(inputs):
        """What a perfect network would compute."""
        found = []
        for image in inputs:
            number, points = number_of(image), []
            size = image.shape[-1]
            for one in content['annotations']:
                if one['image_id'] == abs(number):
                    points.append(np.reshape(one['keypoints'], (14, 3))[:, :2])
            points = np.reshape(points, (-1, 14, 2)) * size / 192
            points[..., 1] += size / 4  # the image is as wide as the input and half as high
            if number < 0:
                points = points[:, list(LSP.flip_indices)]
                points[..., 0] = size - 1 - points[..., 0]
            head.decoder.heatmap_size = (size // 8, size // 8)
            found.append(head.decoder.encode(points.astype(np.float32)))
        return [
            type(maps)(*(torch.from_numpy(np.stack([one[key] for one in found])) for key in keys))
        ]

    maps, keys = PartMaps(None, None), ('heatmaps', 'affinity_fields')
    pictures = [cv2.imread(str(tmp_path / 'val' / f'{n}.png')).mean(axis=(0, 2)) for n in (1, 2, 3)]

    def number_of(image):
        """Which picture it is, negative if mirrored, by the gray of its columns."""
        columns = image.shape[-1]
        rows = slice(image.shape[1] // 4, 3 * image.shape[1] // 4)
        seen = ((image[:, rows] * 256 + 128).mean(dim=(0, 1))).numpy()
        known = {
            sign * n: cv2.resize(gray[None, ::sign], (columns, 1))[0]
            for n, gray in enumerate(pictures, 1)
            for sign in (1, -1)
        }
        return min(known, key=lambda n: np.abs(known[n] - seen).mean())

    monkeypatch.setattr(runner.model, 'extract_feat', features)
    monkeypatch.setattr(head, 'forward', ideal)
    result = runner.test()
    assert result['coco/AP'] == result['coco/AR'] == 1
    assert len(asked) == (1 if tested == 'once' else 3 * 3 * 2)
