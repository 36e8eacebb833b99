# The stages of a CPM on stock's ResNet-50. One feature map, at stride 8 by dilation, serves stage 1
# and the later stages.
_base_ = [
    'mmpose::body_2d_keypoint/topdown_heatmap/coco/td-hm_res50_8xb64-210e_coco-256x192.py',
    '../../../_base_/safe_hooks.py'
]

custom_imports = dict(imports=['cpm_plugin.mmpose'])

codec = dict(
    type='MSRAHeatmap', input_size=(192, 256), heatmap_size=(24, 32), sigma=2)
train_pipeline = [
    dict(step, encoder=codec) if step['type'] == 'GenerateTarget' else step
    for step in _base_.train_pipeline
]

model = dict(
    backbone=dict(strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4)),
    head=dict(
        _delete_=True,
        type='CPMStageHead',
        in_channels=2048,
        num_keypoints=17,
        num_stages=4,
        norm_cfg=dict(type='BN'),
        decoder=codec))
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
default_hooks = _base_.safe_hooks
