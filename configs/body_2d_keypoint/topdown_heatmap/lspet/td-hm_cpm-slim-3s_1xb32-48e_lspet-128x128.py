# Four times as long, for GPUs.
_base_ = 'td-hm_cpm-slim-3s_1xb32-12e_lspet-128x128.py'

train_cfg = dict(max_epochs=48, val_interval=12)
param_scheduler = [
    dict(type='LinearLR', begin=0, end=200, start_factor=0.01, by_epoch=False),  # warm-up
    dict(
        type='CosineAnnealingLR',
        begin=0,
        end=48,
        T_max=48,
        by_epoch=True,
        convert_to_iter_based=True)
]
