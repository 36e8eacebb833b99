# Training of cpm_lightning_3s: 35 minutes on one CPU core with bfloat16 instructions, beside other
# work. The encoder begins with MoveNet Lightning's weights, which were trained for poses on other
# images.
_base_ = [
    '../../../_base_/models/cpm-lightning-3s.py', '../../../_base_/datasets/lspet.py',
    '../../../_base_/schedules/adam-cosine-6e.py'
]

codec = dict(
    type='CPMHeatmap',
    input_size=(192, 192),
    heatmap_size=(24, 24),
    sigma=9.,
    background=True)
sized = dict(
    TopdownAffine=dict(input_size=codec['input_size']), GenerateTarget=dict(encoder=codec))
train_pipeline = [dict(step, **sized.get(step['type'], {})) for step in _base_.train_pipeline]
val_pipeline = [dict(step, **sized.get(step['type'], {})) for step in _base_.val_pipeline]
# for large photographs: the same crops where people become less than 2 times smaller
test_pipeline = [
    dict(step, type='PersonCrop', border=0, interpolation='area')
    if step['type'] == 'TopdownAffine' else step for step in val_pipeline
]

model = dict(
    # tools/convert_encoder.py makes the file; to train only
    backbone=dict(encoder_weights='data/movenet_lightning.pth'),
    head=dict(decoder=codec))
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))

train_cfg = dict(max_epochs=8, val_interval=1)
# The stages learn faster than at 1e-3; the encoder has the rate of the larger model.
optim_wrapper = dict(
    type='Bfloat16OptimWrapper',
    optimizer=dict(lr=5e-3),
    paramwise_cfg=dict(custom_keys=dict(encoder=dict(lr_mult=0.04))))
param_scheduler = [
    dict(type='LinearLR', begin=0, end=100, start_factor=0.01, by_epoch=False),  # warm-up
    dict(
        type='CosineAnnealingLR',
        begin=0,
        end=8,
        T_max=8,
        by_epoch=True,
        convert_to_iter_based=True)
]
default_hooks = dict(
    logger=dict(interval=10),
    checkpoint=dict(
        interval=1, max_keep_ckpts=2, save_best='torso/PCK', rule='greater'))
custom_hooks = [dict(type='ChannelsLastHook'), dict(type='SyncBuffersHook')]
