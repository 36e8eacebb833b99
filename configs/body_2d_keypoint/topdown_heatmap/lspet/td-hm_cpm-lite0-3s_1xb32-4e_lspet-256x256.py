# Third part of the training of cpm_lite0_3s, with still larger images: about an hour on one CPU
# core with bfloat16 instructions. It begins with the weights of the 12 epochs at 192 pixels, which
# have to be trained first. The Gaussians of the target are wider than before, which helped the slim
# network with larger images (docs/appendix/experiments.md); 7 pixels were not tried here.
_base_ = 'td-hm_cpm-lite0-3s_1xb32-12e_lspet-192x192.py'
load_from = 'work_dirs/td-hm_cpm-lite0-3s_1xb32-12e_lspet-192x192/epoch_12.pth'

codec = dict(
    type='CPMHeatmap',
    input_size=(256, 256),
    heatmap_size=(32, 32),
    sigma=12.,
    background=True)
size = dict(input_size=codec['input_size'])
sized = dict(TopdownAffine=size, PersonCrop=size, GenerateTarget=dict(encoder=codec))
train_pipeline = [dict(step, **sized.get(step['type'], {})) for step in _base_.train_pipeline]
val_pipeline = [dict(step, **sized.get(step['type'], {})) for step in _base_.val_pipeline]
test_pipeline = [dict(step, **sized.get(step['type'], {})) for step in _base_.test_pipeline]

model = dict(backbone=dict(center_map_sigma=15.), head=dict(decoder=codec))
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))

train_cfg = dict(max_epochs=4, val_interval=1)
optim_wrapper = dict(type='Bfloat16OptimWrapper', optimizer=dict(lr=5e-4))
param_scheduler = [
    dict(type='LinearLR', begin=0, end=100, start_factor=0.01, by_epoch=False),  # warm-up
    dict(
        type='CosineAnnealingLR',
        begin=0,
        end=4,
        T_max=4,
        by_epoch=True,
        convert_to_iter_based=True)
]
