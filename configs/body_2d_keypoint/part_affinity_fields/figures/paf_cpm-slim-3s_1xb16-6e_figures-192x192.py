# A slim network for several people on images of tools/make_figures.py --people 1-4 --size 192.
_base_ = [
    '../../../_base_/models/paf-cpm-slim-3s.py', '../../../_base_/schedules/adam-cosine-100e.py'
]

codec = dict(
    type='CPMAffinityFields',
    input_size=(192, 192),
    heatmap_size=(24, 24),
    joints='lsp',
    sigma=6.,
    limb_width=6.)
model = dict(head=dict(joints='lsp', decoder=codec), test_cfg=dict(flip_test=False))

dataset_type = 'FiguresDataset'
data_mode = 'bottomup'
data_root = 'demo_output/people/'
train_pipeline = [
    dict(type='LoadImage'),
    dict(
        type='BottomupRandomAffine',
        input_size=codec['input_size'],
        shift_factor=0.05,
        scale_factor=(0.85, 1.15),
        rotate_factor=30.,
        scale_type='long'),
    dict(type='RandomFlip', direction='horizontal'),
    dict(type='GenerateTarget', encoder=codec),
    dict(type='PeopleMask'),
    dict(type='PackPoseInputs')
]
val_pipeline = [
    dict(type='LoadImage'),
    dict(type='BottomupResize', input_size=codec['input_size'], resize_mode='fit', size_factor=8),
    dict(type='PackSizes')
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
        data_mode=data_mode,
        ann_file='annotations/train.json',
        data_prefix=dict(img='train/'),
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=16,
    num_workers=1,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_mode=data_mode,
        ann_file='annotations/val.json',
        data_prefix=dict(img='val/'),
        test_mode=True,
        pipeline=val_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(type='CocoMetric', nms_mode='none', score_mode='bbox')
test_evaluator = val_evaluator

train_cfg = dict(max_epochs=6, val_interval=3)
optim_wrapper = dict(type='Bfloat16OptimWrapper', optimizer=dict(type='Adam', lr=5e-3))
param_scheduler = [
    dict(type='LinearLR', begin=0, end=140, start_factor=0.04, by_epoch=False),  # warm-up
    dict(
        type='CosineAnnealingLR',
        begin=0,
        end=6,
        T_max=6,
        by_epoch=True,
        convert_to_iter_based=True)
]
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(interval=1, max_keep_ckpts=1))
custom_hooks = [dict(type='ChannelsLastHook'), dict(type='SyncBuffersHook')]
randomness = dict(seed=0)
