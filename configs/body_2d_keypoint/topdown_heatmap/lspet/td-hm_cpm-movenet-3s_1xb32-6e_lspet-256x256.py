# First part of the training of cpm_movenet_3s: 88 minutes for 5 epochs on one CPU core with bfloat16
# instructions, beside other work. The encoder begins with MoveNet Thunder's weights, which were trained for poses on
# other images.
_base_ = [
    '../../../_base_/models/cpm-movenet-3s.py', '../../../_base_/datasets/lspet.py',
    '../../../_base_/schedules/adam-cosine-6e.py'
]

codec = dict(
    type='CPMHeatmap',
    input_size=(256, 256),
    heatmap_size=(32, 32),
    sigma=12.,
    background=True)
sized = dict(GenerateTarget=dict(encoder=codec))
train_pipeline = [dict(step, **sized.get(step['type'], {})) for step in _base_.train_pipeline]
# for large photographs: the same crops where people become less than 2 times smaller
test_pipeline = [
    dict(step, type='PersonCrop', border=0, interpolation='area')
    if step['type'] == 'TopdownAffine' else step for step in _base_.val_pipeline
]

model = dict(
    # tools/convert_encoder.py makes the file; to train only
    backbone=dict(encoder_weights='data/movenet_thunder.pth'),
    head=dict(decoder=codec))
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))

train_cfg = dict(val_interval=1)
# The stages learn faster than at 1e-3 (docs/appendix/experiments.md); the encoder has 2e-4.
optim_wrapper = dict(
    type='Bfloat16OptimWrapper',
    optimizer=dict(lr=5e-3),
    paramwise_cfg=dict(custom_keys=dict(encoder=dict(lr_mult=0.04))))
default_hooks = dict(
    logger=dict(interval=10),
    checkpoint=dict(
        interval=1, max_keep_ckpts=2, save_best='torso/PCK', rule='greater'))
custom_hooks = [dict(type='ChannelsLastHook'), dict(type='SyncBuffersHook')]
