# Several people in real pictures, in 256x256: mosaics of four people of LSP Extended, and one in four
# of a single larger person. Images 1-7500 for training, 7501-8000 for validation, 8001-9000 for the
# test. Other people in the pictures have no labels and are not masked.
codec = dict(
    type='CPMAffinityFields',
    input_size=(256, 256),
    heatmap_size=(32, 32),
    joints='lsp',
    sigma=7.,
    limb_width=8.)

dataset_type = 'LspDataset'
data_mode = 'topdown'
data_root = 'data/lspet/'

mosaic = dict(type='MosaicPeople', size=codec['input_size'], grid=(2, 2))
single = dict(type='MosaicPeople', size=codec['input_size'], grid=(1, 1), fill=(0.5, 0.95))
train_pipeline = [
    dict(type='RandomChoice', transforms=[[mosaic], [single]], prob=[0.75, 0.25]),
    dict(
        type='BottomupRandomAffine',
        input_size=codec['input_size'],
        shift_factor=0.1,
        scale_factor=(0.6, 1.25),
        rotate_factor=40.,
        pad_val=128),
    dict(type='RandomFlip', direction='horizontal'),
    dict(type='GenerateTarget', encoder=codec),
    dict(type='PeopleMask'),
    dict(type='PackPoseInputs')
]
val_pipeline = [
    dict(mosaic, fixed=True),
    dict(
        type='BottomupResize',
        input_size=codec['input_size'],
        size_factor=8,
        pad_val=(128, 128, 128)),
    dict(type='PackSizes')
]

train_dataloader = dict(
    batch_size=16,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        image_range=(1, 7500),
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=16,
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
    batch_size=16,
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

val_evaluator = dict(type='CocoMetric', nms_mode='none', score_mode='bbox')
test_evaluator = val_evaluator
