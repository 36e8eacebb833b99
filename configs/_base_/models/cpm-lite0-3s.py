# cpm_lite0_3s: 3 stages of 48 channels on timm's EfficientNet-Lite0, for images of about 256 pixels
# and small computers. It needs pip install 'cpm_plugin[timm]'. To begin with ImageNet weights, set
# encoder_weights, as the 160x160 config does.
_base_ = 'cpm-6s.py'

model = dict(
    backbone=dict(
        encoder='timm/tf_efficientnet_lite0',
        frozen_groups=2,
        channels=48,
        center_map_sigma=15.),
    head=dict(
        in_channels=48,
        num_stages=3,
        channels=48,
        first_stage_channels=128,
        reduce_kernel_size=3,
        first_stage_kernel_size=3,
        refine_kernel_size=7))
