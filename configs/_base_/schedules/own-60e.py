# Schedule of datasets/own.py, for data of any size: train_cfg.max_epochs alone changes its length.
# Warm-up and decay count in epochs, and MMEngine ends with the training what has no end.
_base_ = '../default_runtime.py'

train_cfg = dict(max_epochs=60, val_interval=5)

optim_wrapper = dict(optimizer=dict(type='Adam', lr=5e-3))
param_scheduler = [
    dict(  # warm-up
        type='LinearLR', begin=0, end=2, start_factor=0.01, by_epoch=True,
        convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', begin=0, by_epoch=True, convert_to_iter_based=True)
]
auto_scale_lr = dict(base_batch_size=16)
default_hooks = dict(
    logger=dict(interval=10),
    checkpoint=dict(interval=5, max_keep_ckpts=1, save_best='PCK', rule='greater'))
custom_hooks = [dict(type='ChannelsLastHook'), dict(type='SyncBuffersHook')]
