# The authors' network and training as they published them: no normalisation, Gaussian
# fillers, dropout in stage 1, Euclidean loss. A leaf adds the decoder and, where the dataset
# has others, joints; 14 joints in their order are head, neck, right and left shoulder,
# elbow, wrist, right and left hip, knee, ankle.
custom_imports = dict(imports=['cpm_plugin.mmpose'])

# genProto.py: weight_filler gaussian 0.01, bias_filler constant
filler = dict(type='Normal', layer='Conv2d', std=0.01)
model = dict(
    type='TopdownPoseEstimator',
    data_preprocessor=dict(
        # BGR, (v - 128) / 256, and the center map as the fourth channel
        type='CPMDataPreprocessor', mean=[128.] * 3, std=[256.] * 3, bgr_to_rgb=False),
    backbone=dict(type='CPMBackbone', center_map_sigma=21., init_cfg=filler),
    head=dict(
        type='CPMStageHead',
        in_channels=128,
        num_keypoints=14,
        num_stages=6,
        background=True,
        center_map=True,
        joints='cpm',
        dropout=0.5,
        loss=dict(type='IntermediateSupervisionLoss', reduction='sum'),
        init_cfg=filler),
    test_cfg=dict(flip_test=True, flip_mode='heatmap', shift_heatmap=False))
