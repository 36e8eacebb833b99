# The authors' recipe on FLIC: 4 stages, and 9 joints of the upper body with left and right of the
# observer. No checkpoint is selected, because there is only the test set to select on.
_base_ = [
    '../../../_base_/models/cpm-6s-paper.py', '../../../_base_/datasets/paper-368x368.py',
    '../../../_base_/schedules/sgd-step-600k.py'
]

codec = dict(_base_.codec, all_people=True)
model = dict(
    head=dict(
        num_keypoints=9,
        num_stages=4,
        joints='flic',
        target_fields=['heatmaps_all'] + ['heatmaps'] * 3,
        decoder=codec))

train_pipeline = [
    dict(type='LoadImage'),
    dict(type='SelectJoints', source='flic', target='flic'),
    *_base_.train_pipeline[1:-2],
    dict(type='AddNeighbors'),
    dict(type='GenerateTarget', encoder=codec),
    dict(type='PackPoseInputs')
]
dataset_type = 'FlicDataset'
flic = dict(type=dataset_type, data_root='data/flic/')
train_dataloader = dict(dataset=dict(**flic, split='train', pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(**flic, split='test'))
test_dataloader = val_dataloader

# the paper's figures are torso/PCK_elbow and torso/PCK_wrist
val_evaluator = dict(type='TorsoPCKAccuracy')
test_evaluator = val_evaluator
