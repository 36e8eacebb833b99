# The authors' person network, for their weights: it finds where people are in a whole image, with
# one channel. No dataset of MMPose has such labels. init_model takes this file as it is.
custom_imports = dict(imports=['cpm_plugin.mmpose'])

model = dict(
    type='TopdownPoseEstimator',
    data_preprocessor=dict(
        type='CPMDataPreprocessor', mean=[128.] * 3, std=[256.] * 3, bgr_to_rgb=False),
    backbone=dict(type='CPMBackbone', vgg_tail=(512, 512, 512, 512, 512, 128)),
    head=dict(
        type='CPMStageHead',
        in_channels=128,
        num_keypoints=1,
        num_stages=4,
        joints='person',
        reduced_channels=None,
        first_stage_kernel_size=None,
        refine_kernel_size=7,
        refine_depth=5,
        beliefs_first=True))
