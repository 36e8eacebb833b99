# The paper's network (6 stages, 128 channels, background, center map) with batch normalization. A
# config that inherits this adds num_keypoints and the decoder.
custom_imports = dict(imports=['cpm_plugin.mmpose'])

norm_cfg = dict(type='BN')
model = dict(
    type='TopdownPoseEstimator',
    data_preprocessor=dict(
        # the authors' input: BGR, (v - 128) / 256
        type='PoseDataPreprocessor', mean=[128.] * 3, std=[256.] * 3, bgr_to_rgb=False),
    backbone=dict(type='CPMBackbone', center_map_sigma=21., norm_cfg=norm_cfg),
    head=dict(
        type='CPMStageHead',
        in_channels=128,
        num_keypoints=14,
        num_stages=6,
        background=True,
        center_map=True,
        norm_cfg=norm_cfg),
    test_cfg=dict(flip_test=True, flip_mode='heatmap', shift_heatmap=False))
