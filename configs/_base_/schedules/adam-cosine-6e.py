# Schedule: Adam for 6 epochs with a short warm-up and cosine decay, and MMPose's runtime.
_base_ = 'adam-cosine-100e.py'

train_cfg = dict(max_epochs=6)
param_scheduler = [
    dict(type='LinearLR', begin=0, end=100, start_factor=0.01, by_epoch=False),  # warm-up
    dict(
        type='CosineAnnealingLR',
        begin=0,
        end=6,
        T_max=6,
        by_epoch=True,
        convert_to_iter_based=True)
]
