# 3 stages of 48 channels with fields and belief maps, on slim trunks, for small computers.
_base_ = 'paf-cpm-vgg-6s.py'

norm_cfg = dict(type='BN')
model = dict(
    backbone=dict(vgg_tail=None, channels=32, kernel_size=3, norm_cfg=norm_cfg),
    head=dict(
        in_channels=32,
        num_stages=3,
        channels=48,
        first_stage_channels=48,
        hidden_channels=48,
        first_stage_hidden_channels=128,
        refine_kernel_size=5,
        refine_depth=3,
        norm_cfg=norm_cfg))
