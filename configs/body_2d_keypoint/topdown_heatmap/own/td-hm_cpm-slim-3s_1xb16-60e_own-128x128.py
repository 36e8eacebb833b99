# Your own keypoints with the slim network, from scratch (docs/tutorials/own-data.md). In a leaf set
# num_keypoints, data_root, ann_file and data_prefix.
_base_ = [
    '../../../_base_/models/cpm-slim-3s.py', '../../../_base_/datasets/own.py',
    '../../../_base_/schedules/own-60e.py'
]

model = dict(head=dict(decoder=_base_.codec))
