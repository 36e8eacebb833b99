# The stages on a small network trained on ImageNet: a few minutes on a GPU.
_base_ = [
    '../../../_base_/models/cpm-lite0-3s.py', '../../../_base_/datasets/lspet.py',
    '../../../_base_/schedules/adam-cosine-100e.py'
]

# for large photographs: the same crops where people become less than 2 times smaller
test_pipeline = [
    dict(step, type='PersonCrop', border=0, interpolation='area')
    if step['type'] == 'TopdownAffine' else step for step in _base_.val_pipeline
]

model = dict(backbone=dict(center_map_sigma=15.), head=dict(decoder=_base_.codec))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))

train_cfg = dict(max_epochs=40, val_interval=10)
optim_wrapper = dict(type='Bfloat16OptimWrapper')
param_scheduler = [
    dict(type='LinearLR', begin=0, end=200, start_factor=0.01, by_epoch=False),  # warm-up
    dict(
        type='CosineAnnealingLR',
        begin=0,
        end=40,
        T_max=40,
        by_epoch=True,
        convert_to_iter_based=True)
]
default_hooks = dict(checkpoint=dict(save_best='torso/PCK', rule='greater'))
env_cfg = dict(cudnn_benchmark=True)
custom_hooks = [dict(type='ChannelsLastHook'), dict(type='SyncBuffersHook')]
