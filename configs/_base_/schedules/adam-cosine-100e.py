# Schedule: Adam for 100 epochs with a warm-up and cosine decay, and MMPose's runtime.
_base_ = '../default_runtime.py'

train_cfg = dict(max_epochs=100, val_interval=5)

optim_wrapper = dict(optimizer=dict(type='Adam', lr=1e-3))
param_scheduler = [
    dict(type='LinearLR', begin=0, end=200, start_factor=0.01, by_epoch=False),  # warm-up
    dict(
        type='CosineAnnealingLR',
        begin=0,
        end=100,
        T_max=100,
        by_epoch=True,
        convert_to_iter_based=True)
]
auto_scale_lr = dict(base_batch_size=32)
