# cpm_lite0_3s: 3 stages of 48 channels on EfficientNet-Lite0 with ImageNet weights, for images of
# about 256 pixels and small computers.
_base_ = 'cpm-6s.py'

model = dict(
    backbone=dict(
        encoder='efficientnet_lite0',
        # tools/convert_efficientnet_lite.py makes it; to train only
        encoder_weights='data/efficientnet_lite0.pth',
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
