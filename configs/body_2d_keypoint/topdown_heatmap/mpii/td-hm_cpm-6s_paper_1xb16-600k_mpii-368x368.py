# The authors' recipe on MPII. Their 14 joints are MPII's 16 without pelvis and thorax. Stage 1
# learns the joints of all people in the crop, later stages those of the person in the middle.
_base_ = [
    '../../../_base_/models/cpm-6s-paper.py', '../../../_base_/datasets/paper-368x368.py',
    '../../../_base_/schedules/sgd-step-600k.py'
]

codec = dict(_base_.codec, all_people=True)
model = dict(
    head=dict(
        output_joints='mpii',
        target_fields=['heatmaps_all'] + ['heatmaps'] * 5,
        decoder=codec))

train_pipeline = [
    dict(type='LoadImage'),
    # MMPose's centers of MPII are counted from 0, its joints, as in MPII, from 1
    dict(type='SelectJoints', source='mpii', target='cpm', first_pixel=1),
    dict(type='RandomFlip', direction='horizontal'),
    # MMPose moves the centers of MPII down, the authors do not
    dict(type='GetPersonCenterScale', moved_down=15.),
    dict(type='RandomScaleRotate', scale=(0.7, 1.3), rotate=40.),
    _base_.crop,
    dict(type='AddNeighbors'),
    dict(type='GenerateTarget', encoder=codec),
    dict(type='PackPoseInputs')
]
val_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetPersonCenterScale', moved_down=15.),
    _base_.crop,
    dict(type='PackPoseInputs')
]

dataset_type = 'MpiiDataset'
data_root = 'data/mpii/'
train_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_mode=_base_.data_mode,
        ann_file='annotations/mpii_train.json',
        data_prefix=dict(img='images/'),
        pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_mode=_base_.data_mode,
        ann_file='annotations/mpii_val.json',
        headbox_file=f'{data_root}annotations/mpii_gt_val.mat',
        data_prefix=dict(img='images/'),
        pipeline=val_pipeline))
test_dataloader = val_dataloader

val_evaluator = dict(type='MpiiPCKAccuracy')
test_evaluator = val_evaluator
default_hooks = dict(checkpoint=dict(save_best='PCK', rule='greater'))
