# Shorter and smaller, for machines without bfloat16 instructions: about 40 minutes on two CPU
# cores, in float32.
_base_ = 'td-hm_cpm-lite0-3s_1xb32-16e_lspet-192x192.py'

codec = dict(
    type='CPMHeatmap',
    input_size=(160, 160),
    heatmap_size=(20, 20),
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

train_cfg = dict(max_epochs=6, val_interval=3)
optim_wrapper = dict(type='OptimWrapper')
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
