# The slim network, for small computers: 12 epochs take about three quarters of an hour on one CPU
# core with bfloat16 instructions.
_base_ = [
    '../../../_base_/models/cpm-slim-3s.py', '../../../_base_/datasets/lspet.py',
    '../../../_base_/schedules/adam-cosine-100e.py'
]

codec = dict(
    type='CPMHeatmap',
    input_size=(128, 128),
    heatmap_size=(16, 16),
    sigma=7.,
    background=True)
sized = dict(
    TopdownAffine=dict(input_size=codec['input_size']), GenerateTarget=dict(encoder=codec))
train_pipeline = [dict(step, **sized.get(step['type'], {})) for step in _base_.train_pipeline]
val_pipeline = [dict(step, **sized.get(step['type'], {})) for step in _base_.val_pipeline]

model = dict(head=dict(decoder=codec))
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = dict(dataset=dict(pipeline=val_pipeline))

train_cfg = dict(max_epochs=12, val_interval=3)
optim_wrapper = dict(type='Bfloat16OptimWrapper', optimizer=dict(lr=5e-3))
param_scheduler = [
    dict(type='LinearLR', begin=0, end=200, start_factor=0.01, by_epoch=False),  # warm-up
    dict(
        type='CosineAnnealingLR',
        begin=0,
        end=12,
        T_max=12,
        by_epoch=True,
        convert_to_iter_based=True)
]
default_hooks = dict(
    logger=dict(interval=10),
    checkpoint=dict(
        interval=1, max_keep_ckpts=2, save_best='torso/PCK', rule='greater'))
# worth 1.5x at this width on a CPU
custom_hooks = [dict(type='ChannelsLastHook'), dict(type='SyncBuffersHook')]
