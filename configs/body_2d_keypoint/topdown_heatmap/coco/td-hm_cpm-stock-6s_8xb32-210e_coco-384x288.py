# Stock's config with stock's network built from our components, for stock's checkpoints.
_base_ = [
    'mmpose::body_2d_keypoint/topdown_heatmap/coco/td-hm_cpm_8xb32-210e_coco-384x288.py',
    '../../../_base_/models/cpm-6s-mmpose.py',
    '../../../_base_/safe_hooks.py'
]

model = dict(
    backbone=_base_.converted_model.backbone,
    head=dict(_base_.converted_model.head, num_keypoints=17, decoder=_base_.codec))
default_hooks = _base_.safe_hooks
