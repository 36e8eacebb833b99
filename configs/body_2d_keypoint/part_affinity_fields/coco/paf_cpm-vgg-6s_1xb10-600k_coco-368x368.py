# The network and schedule of Cao et al. (CVPR 2017) on COCO. Sources: pose_solver.prototxt and
# setLayers.py of their release, with lr_mult_distro 1, 1, 4. Different are: targets without the
# half cell between their belief maps and fields; images are scaled, moved and turned as a whole, by
# stock's BottomupRandomAffine, where theirs crops around one person.
_base_ = [
    '../../../_base_/models/paf-cpm-vgg-6s.py', '../../../_base_/default_runtime.py'
]

codec = dict(
    type='CPMAffinityFields',
    input_size=(368, 368),
    heatmap_size=(46, 46),
    joints='openpose_coco',
    sigma=7.,
    limb_width=8.)
filler = dict(type='Normal', layer='Conv2d', std=0.01)
model = dict(
    backbone=dict(
        # torchvision's; to train only
        encoder_weights='data/vgg19-dcbb9e9d.pth',
        init_cfg=filler),
    head=dict(
        joints='openpose_coco',
        output_joints='coco',
        loss=dict(type='AffinityLoss', reduction='sum'),
        decoder=codec,
        init_cfg=filler))

dataset_type = 'CocoDataset'
data_mode = 'bottomup'
data_root = 'data/coco/'
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='SelectJoints', source='coco', target='openpose_coco'),
    dict(
        type='BottomupRandomAffine',
        input_size=codec['input_size'],
        rotate_factor=40.,
        scale_factor=(0.75, 1.5),
        pad_val=128),
    dict(type='RandomFlip', direction='horizontal'),
    dict(type='GenerateTarget', encoder=codec),
    dict(type='PeopleMask'),
    dict(type='PackPoseInputs')
]
val_pipeline = [
    dict(type='LoadImage'),
    dict(
        type='BottomupResize',
        input_size=codec['input_size'],
        resize_mode='expand',
        size_factor=8,
        pad_val=(128, 128, 128)),
    dict(type='PackSizes')
]
coco = dict(type=dataset_type, data_root=data_root, data_mode=data_mode)
train_dataloader = dict(
    batch_size=10,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        **coco,
        ann_file='annotations/person_keypoints_train2017.json',
        data_prefix=dict(img='train2017/'),
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=1,  # images differ in size
    num_workers=4,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
    dataset=dict(
        **coco,
        ann_file='annotations/person_keypoints_val2017.json',
        data_prefix=dict(img='val2017/'),
        test_mode=True,
        pipeline=val_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(
    type='CocoMetric',
    ann_file=data_root + 'annotations/person_keypoints_val2017.json',
    nms_mode='none',
    score_mode='bbox')
test_evaluator = val_evaluator

train_cfg = dict(by_epoch=False, max_iters=600_000, val_interval=10_000)
# lr_mult and decay_mult of setLayers.py: biases learn twice as fast and do not decay, stages 2 and
# later four times as fast. Their biases have keys of their own: MMEngine applies bias_lr_mult only
# where no key matches.
later = [(kind, stage) for kind in ('fields', 'beliefs') for stage in range(1, 6)]
layers = [*(f'layers.{number}.conv' for number in range(5)), 'hidden.conv', 'output']
optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=4e-5, momentum=0.9, weight_decay=5e-4),
    paramwise_cfg=dict(
        bias_lr_mult=2.,
        bias_decay_mult=0.,
        custom_keys={
            **{f'head.stages.{kind}.{stage}.': dict(lr_mult=4.) for kind, stage in later},
            **{
                f'head.stages.{kind}.{stage}.{layer}.bias': dict(lr_mult=8., decay_mult=0.)
                for kind, stage in later
                for layer in layers
            }
        }))
param_scheduler = [
    dict(type='StepLR', begin=0, end=600_000, step_size=136_106, gamma=0.333, by_epoch=False)
]
auto_scale_lr = dict(base_batch_size=10)
default_hooks = dict(
    checkpoint=dict(
        by_epoch=False, interval=10_000, max_keep_ckpts=3, save_best='coco/AP', rule='greater'),
    logger=dict(interval=100))
log_processor = dict(by_epoch=False)
