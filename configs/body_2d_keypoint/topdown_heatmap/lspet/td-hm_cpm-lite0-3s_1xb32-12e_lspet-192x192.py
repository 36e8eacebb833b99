# Second part of the training of cpm_lite0_3s, with larger images: about two hours on two CPU cores,
# in float32. It begins with the weights of the 6 epochs at 160 pixels, which have to be trained
# first.
_base_ = 'td-hm_cpm-lite0-3s_1xb32-6e_lspet-160x160.py'
# where tools/train.py leaves them
load_from = 'work_dirs/td-hm_cpm-lite0-3s_1xb32-6e_lspet-160x160/epoch_6.pth'

codec = dict(
    type='CPMHeatmap',
    input_size=(192, 192),
    heatmap_size=(24, 24),
    sigma=7.,
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
    backbone=dict(encoder_weights=None),  # load_from has all weights
    head=dict(decoder=codec))
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))

train_cfg = dict(max_epochs=12)
param_scheduler = [
    dict(type='LinearLR', begin=0, end=100, start_factor=0.01, by_epoch=False),  # warm-up
    dict(
        type='CosineAnnealingLR',
        begin=0,
        end=12,
        T_max=12,
        by_epoch=True,
        convert_to_iter_based=True)
]
