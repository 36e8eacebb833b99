# The paper's network and belief maps on MPII. Data, schedule and evaluator are stock MMPose's.
_base_ = [
    'mmpose::body_2d_keypoint/topdown_heatmap/mpii/td-hm_cpm_8xb64-210e_mpii-368x368.py',
    '../../../_base_/safe_hooks.py'
]

custom_imports = dict(imports=['cpm_plugin.mmpose'])

codec = dict(
    type='CPMHeatmap',
    input_size=(368, 368),
    heatmap_size=(46, 46),
    sigma=7.,
    background=True)
train_pipeline = [
    dict(step, encoder=codec) if step['type'] == 'GenerateTarget' else step
    for step in _base_.train_pipeline
]

norm_cfg = dict(type='BN')
model = dict(
    backbone=dict(
        _delete_=True, type='CPMBackbone', center_map_sigma=21., norm_cfg=norm_cfg),
    head=dict(
        _delete_=True,
        type='CPMStageHead',
        in_channels=128,
        num_keypoints=16,
        background=True,
        center_map=True,
        norm_cfg=norm_cfg,
        decoder=codec),
    test_cfg=dict(shift_heatmap=False))
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
default_hooks = _base_.safe_hooks
