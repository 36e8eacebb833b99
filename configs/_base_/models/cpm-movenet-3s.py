# cpm_movenet_3s: 3 stages of 64 channels on the encoder of MoveNet Thunder, for images of about 256
# pixels. To begin with MoveNet's weights, set encoder_weights, as the config of LSP Extended does.
_base_ = 'cpm-6s.py'

model = dict(
    backbone=dict(
        encoder='movenet_thunder',
        frozen_groups=3,
        channels=64,
        center_map_sigma=15.),
    head=dict(
        in_channels=64,
        num_stages=3,
        channels=64,
        first_stage_channels=128,
        reduce_kernel_size=3,
        first_stage_kernel_size=3,
        refine_kernel_size=7))
