# 3 stages of 48 channels with fields and belief maps, on timm's EfficientNet-Lite0. It needs
# pip install 'cpm_plugin[timm]'.
_base_ = 'paf-cpm-slim-3s.py'

model = dict(
    backbone=dict(
        kernel_size=9,  # the default, which has no effect here
        encoder='timm/tf_efficientnet_lite0',
        frozen_groups=4,  # a step takes two thirds of the time
        channels=48),
    head=dict(in_channels=48))
