# The authors' belief maps, crop and augmentation (data_transformer.cpp, genProto.py). A config that
# inherits this adds the dataset.
data_mode = 'topdown'
codec = dict(
    type='CPMHeatmap',
    input_size=(368, 368),
    heatmap_size=(46, 46),
    sigma=7.,
    background=True,
    mask_unlabeled=False,
    mask_outside=False)

crop = dict(type='PersonCrop', input_size=codec['input_size'], center_map_sigma=21.)
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='RandomFlip', direction='horizontal'),
    dict(type='GetPersonCenterScale'),
    dict(type='RandomScaleRotate', scale=(0.7, 1.3), rotate=40.),
    crop,
    dict(type='GenerateTarget', encoder=codec),
    dict(type='PackPoseInputs')
]
val_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetPersonCenterScale'),
    crop,
    dict(type='PackPoseInputs')
]

train_dataloader = dict(
    batch_size=16,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=16,
    num_workers=4,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
    dataset=dict(test_mode=True, pipeline=val_pipeline))
test_dataloader = val_dataloader
