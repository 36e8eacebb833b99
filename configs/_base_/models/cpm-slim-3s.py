# cpm_slim_3s: 3 stages of 32 channels, for images of about 128 pixels and small computers.
_base_ = 'cpm-6s.py'

model = dict(
    backbone=dict(channels=32, kernel_size=5, center_map_sigma=7.),
    head=dict(
        in_channels=32,
        num_stages=3,
        channels=32,
        first_stage_channels=128,
        reduce_kernel_size=3,
        first_stage_kernel_size=3,
        refine_kernel_size=7))
