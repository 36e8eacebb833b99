# The same as td-hm_cpm-6s_1xb32-100e_lspet-256x256.py, with the paper's input size and belief maps.
_base_ = 'td-hm_cpm-6s_1xb32-100e_lspet-256x256.py'

codec = dict(
    type='CPMHeatmap',
    input_size=(368, 368),
    heatmap_size=(46, 46),
    sigma=7.,
    background=True)
sized = dict(
    TopdownAffine=dict(input_size=codec['input_size']), GenerateTarget=dict(encoder=codec))
train_pipeline = [dict(step, **sized.get(step['type'], {})) for step in _base_.train_pipeline]
val_pipeline = [dict(step, **sized.get(step['type'], {})) for step in _base_.val_pipeline]

model = dict(backbone=dict(center_map_sigma=21.), head=dict(decoder=codec))
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = dict(dataset=dict(pipeline=val_pipeline))
