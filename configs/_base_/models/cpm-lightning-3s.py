# cpm_lightning_3s: 3 stages of 56 channels on the encoder of MoveNet Lightning, for images of about
# 192 pixels and small computers. To begin with MoveNet's weights, set encoder_weights, as the config
# of LSP Extended does.
_base_ = 'cpm-movenet-3s.py'

model = dict(
    backbone=dict(
        encoder='movenet_lightning',
        frozen_groups=3,
        channels=56,
        center_map_sigma=11.25),
    head=dict(in_channels=56, channels=56, refine_kernel_size=5))
