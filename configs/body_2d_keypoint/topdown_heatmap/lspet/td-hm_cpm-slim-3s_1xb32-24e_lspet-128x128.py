# Twice as long, for the weights in the package.
_base_ = 'td-hm_cpm-slim-3s_1xb32-12e_lspet-128x128.py'

train_cfg = dict(max_epochs=24)
param_scheduler = [
    dict(type='LinearLR', begin=0, end=200, start_factor=0.01, by_epoch=False),  # warm-up
    dict(
        type='CosineAnnealingLR',
        begin=0,
        end=24,
        T_max=24,
        by_epoch=True,
        convert_to_iter_based=True)
]
