# Shorter training with smaller images, in float32, to compare variants on a CPU: half an hour each
# on one core.
_base_ = 'td-hm_cpm-slim-3s_1xb32-12e_lspet-128x128.py'

codec = dict(
    type='CPMHeatmap', input_size=(96, 96), heatmap_size=(12, 12), sigma=7., background=True)
sized = dict(
    TopdownAffine=dict(input_size=codec['input_size']), GenerateTarget=dict(encoder=codec))
train_pipeline = [dict(step, **sized.get(step['type'], {})) for step in _base_.train_pipeline]
val_pipeline = [dict(step, **sized.get(step['type'], {})) for step in _base_.val_pipeline]

model = dict(backbone=dict(center_map_sigma=5.25), head=dict(decoder=codec))
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = dict(dataset=dict(pipeline=val_pipeline))

train_cfg = dict(max_epochs=6, val_interval=3)
optim_wrapper = dict(type='OptimWrapper')
param_scheduler = [
    dict(type='LinearLR', begin=0, end=200, start_factor=0.01, by_epoch=False),  # warm-up
    dict(
        type='CosineAnnealingLR',
        begin=0,
        end=6,
        T_max=6,
        by_epoch=True,
        convert_to_iter_based=True)
]
