# First part of the training of cpm_lite0_3s, the stages on a small ImageNet network, for small
# computers: about 40 minutes on two CPU cores, in float32. On processors with bfloat16
# instructions, optim_wrapper.type=Bfloat16OptimWrapper is faster.
_base_ = [
    '../../../_base_/models/cpm-lite0-3s.py', '../../../_base_/datasets/lspet.py',
    '../../../_base_/schedules/adam-cosine-6e.py'
]

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

model = dict(
    # those of ImageNet, which timm downloads; to train only
    backbone=dict(encoder_weights='timm', center_map_sigma=11.),
    head=dict(decoder=codec))
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = dict(dataset=dict(pipeline=val_pipeline))

train_cfg = dict(val_interval=3)
default_hooks = dict(
    logger=dict(interval=10),
    checkpoint=dict(
        interval=1, max_keep_ckpts=2, save_best='torso/PCK', rule='greater'))
custom_hooks = [dict(type='ChannelsLastHook'), dict(type='SyncBuffersHook')]
