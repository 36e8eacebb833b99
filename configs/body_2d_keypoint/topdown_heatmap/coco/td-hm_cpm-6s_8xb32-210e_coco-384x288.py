# Stock MMPose's config of CPM with our network. Codec, data, schedule and evaluator are stock's.
_base_ = [
    'mmpose::body_2d_keypoint/topdown_heatmap/coco/td-hm_cpm_8xb32-210e_coco-384x288.py',
    '../../../_base_/safe_hooks.py'
]

custom_imports = dict(imports=['cpm_plugin.mmpose'])

norm_cfg = dict(type='BN')
model = dict(
    backbone=dict(_delete_=True, type='CPMBackbone', norm_cfg=norm_cfg),
    head=dict(
        _delete_=True,
        type='CPMStageHead',
        in_channels=128,
        num_keypoints=17,
        norm_cfg=norm_cfg,
        decoder=_base_.codec))
default_hooks = _base_.safe_hooks
