# Baseline: stock MMPose's CPM with stock's codec and decoder. Channels and schedule are those of
# td-hm_cpm-slim-3s_1xb32-12e_lspet-128x128.py.
_base_ = ['td-hm_cpm-slim-3s_1xb32-12e_lspet-128x128.py', '../../../_base_/models/stock-cpm-slim-3s.py']

custom_imports = dict(imports=['cpm_plugin.mmpose', 'cpm_plugin.mmpose.baseline'])

stock_codec = dict(
    type='MSRAHeatmap',
    input_size=(128, 128),
    heatmap_size=(16, 16),
    sigma=1)
train_pipeline = [
    dict(step, encoder=stock_codec) if step['type'] == 'GenerateTarget' else step
    for step in _base_.train_pipeline
]
model = dict(
    backbone=_base_.stock_model.backbone,
    head=dict(_base_.stock_model.head, decoder=stock_codec),
    test_cfg=_base_.stock_model.test_cfg)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
