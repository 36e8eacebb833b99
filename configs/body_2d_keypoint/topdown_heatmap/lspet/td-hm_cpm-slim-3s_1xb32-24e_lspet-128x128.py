# Twice as many epochs, for the weights of cpm_slim_3s in the package.
_base_ = 'td-hm_cpm-slim-3s_1xb32-12e_lspet-128x128.py'

train_cfg = dict(max_epochs=24)
param_scheduler = [
    dict(type='LinearLR', begin=0, end=200, start_factor=0.01, by_epoch=False),  # warm-up
    dict(
        type='CosineAnnealingLR',
        begin=0,
        end=24,
        T_max=24,
        by_epoch=True,
        convert_to_iter_based=True)
]

# for large photographs: the same crops where people become less than 2 times smaller
test_pipeline = [
    dict(step, type='PersonCrop', border=0, interpolation='area')
    if step['type'] == 'TopdownAffine' else step for step in _base_.val_pipeline
]
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
