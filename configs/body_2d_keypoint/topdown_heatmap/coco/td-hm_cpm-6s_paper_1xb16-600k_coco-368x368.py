# The authors' recipe on COCO, which they did not train on: 17 joints, and the scale of people from
# their bounding boxes. Joints that are not labeled are masked in the loss, because most people have
# some.
_base_ = [
    '../../../_base_/models/cpm-6s-paper.py', '../../../_base_/datasets/paper-368x368.py',
    '../../../_base_/schedules/sgd-step-600k.py'
]

codec = dict(_base_.codec, all_people=True, mask_unlabeled=True)
model = dict(
    head=dict(
        num_keypoints=17,
        joints=None,
        target_fields=['heatmaps_all'] + ['heatmaps'] * 5,
        decoder=codec))

train_pipeline = [
    *_base_.train_pipeline[:-2],
    dict(type='AddNeighbors'),
    dict(type='GenerateTarget', encoder=codec),
    dict(type='PackPoseInputs')
]
dataset_type = 'CocoDataset'
coco = dict(type=dataset_type, data_root='data/coco/', data_mode=_base_.data_mode)
train_dataloader = dict(
    dataset=dict(
        **coco,
        ann_file='annotations/person_keypoints_train2017.json',
        data_prefix=dict(img='train2017/'),
        pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(
        **coco,
        ann_file='annotations/person_keypoints_val2017.json',
        bbox_file='data/coco/person_detection_results/'
        'COCO_val2017_detections_AP_H_56_person.json',
        data_prefix=dict(img='val2017/')))
test_dataloader = val_dataloader

val_evaluator = dict(
    type='CocoMetric', ann_file='data/coco/annotations/person_keypoints_val2017.json')
test_evaluator = val_evaluator
default_hooks = dict(checkpoint=dict(save_best='coco/AP', rule='greater'))
