# 3 stages of 64 channels with fields and belief maps, on the encoder of MoveNet Thunder.
_base_ = 'paf-cpm-slim-3s.py'

model = dict(
    backbone=dict(
        kernel_size=9,  # the default, which has no effect here
        encoder='movenet_thunder',
        frozen_groups=4,
        channels=64),
    head=dict(in_channels=64, channels=64, hidden_channels=64))
