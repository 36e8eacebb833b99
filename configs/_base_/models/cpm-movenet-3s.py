# cpm_movenet_3s: 3 stages of 64 channels on the encoder of MoveNet Thunder, for images of about 256
# pixels. To begin with MoveNet's weights, set encoder_weights, as the config of LSP Extended does.
_base_ = 'cpm-lite0-3s.py'

model = dict(
    backbone=dict(encoder='movenet_thunder', frozen_groups=3, channels=64),
    head=dict(in_channels=64, channels=64))
