# 3 stages of 48 channels with fields and belief maps, on EfficientNet-Lite0.
_base_ = 'paf-cpm-slim-3s.py'

model = dict(
    backbone=dict(
        kernel_size=9,  # the default, which has no effect here
        encoder='efficientnet_lite0',
        frozen_groups=2,
        channels=48),
    head=dict(in_channels=48))
