# Config of `make demo`: a slim network on images of tools/make_figures.py, in about 100 seconds on
# two CPU cores.
_base_ = [
    '../../../_base_/models/cpm-slim-3s.py', '../../../_base_/schedules/adam-cosine-100e.py'
]

codec = dict(
    type='CPMHeatmap',
    input_size=(96, 96),
    heatmap_size=(12, 12),
    sigma=6.,
    background=True)
# Narrower views than in the base, because the images are smaller: stage 1 sees 45 of 96 pixels.
model = dict(
    backbone=dict(kernel_size=3, center_map_sigma=None),
    head=dict(
        center_map=False,
        first_stage_kernel_size=1,
        refine_kernel_size=5,
        decoder=codec),
    test_cfg=dict(flip_test=False))

dataset_type = 'FiguresDataset'
data_mode = 'topdown'
data_root = 'demo_output/figures/'
val_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='TopdownAffine', input_size=codec['input_size']),
    dict(type='PackPoseInputs')
]
train_pipeline = val_pipeline[:-1] + [
    dict(type='GenerateTarget', encoder=codec),
    dict(type='PackPoseInputs')
]
train_dataloader = dict(
    batch_size=16,
    num_workers=1,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='annotations/train.json',
        data_prefix=dict(img='train/'),
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=32,
    num_workers=1,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='annotations/val.json',
        data_prefix=dict(img='val/'),
        test_mode=True,
        pipeline=val_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(type='TorsoPCKAccuracy')
test_evaluator = val_evaluator

train_cfg = dict(max_epochs=3, val_interval=1)
optim_wrapper = dict(optimizer=dict(type='Adam', lr=5e-3))
param_scheduler = [
    dict(type='LinearLR', begin=0, end=140, start_factor=0.04, by_epoch=False),  # warm-up
    dict(
        type='CosineAnnealingLR',
        begin=0,
        end=3,
        T_max=3,
        by_epoch=True,
        convert_to_iter_based=True)
]
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(interval=1, max_keep_ckpts=1))
custom_hooks = [dict(type='ChannelsLastHook'), dict(type='SyncBuffersHook')]
randomness = dict(seed=0)
