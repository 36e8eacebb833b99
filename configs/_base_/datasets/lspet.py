# LSP Extended in 256x256: images 1-7500 for training, 7501-8000 for validation, 8001-9000 for the
# test.
codec = dict(
    type='CPMHeatmap',
    input_size=(256, 256),
    heatmap_size=(32, 32),
    # stock's 2 cells; at 256 it learns faster than the authors' 7 (docs/appendix/experiments.md)
    sigma=16.,
    background=True)

dataset_type = 'LspDataset'
data_mode = 'topdown'
data_root = 'data/lspet/'

train_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='RandomFlip', direction='horizontal'),
    dict(
        type='RandomBBoxTransform',
        shift_prob=0,
        rotate_factor=60,
        scale_factor=(0.75, 1.25)),
    dict(type='TopdownAffine', input_size=codec['input_size']),
    dict(type='GenerateTarget', encoder=codec),
    dict(type='PackPoseInputs')
]
val_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='TopdownAffine', input_size=codec['input_size']),
    dict(type='PackPoseInputs')
]

train_dataloader = dict(
    batch_size=32,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        image_range=(1, 7500),
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=32,
    num_workers=2,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        image_range=(7501, 8000),
        test_mode=True,
        pipeline=val_pipeline))
test_dataloader = dict(
    batch_size=32,
    num_workers=2,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        image_range=(8001, 9000),
        test_mode=True,
        pipeline=val_pipeline))

val_evaluator = dict(type='TorsoPCKAccuracy')
test_evaluator = val_evaluator
