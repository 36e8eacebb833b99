# Baseline: stock's ResNet-50 from scratch, with stock's codec and decoder. Data and schedule are
# those of td-hm_cpm-6s-amp_1xb32-12e_lspet-256x256.py.
_base_ = ['td-hm_cpm-6s-amp_1xb32-12e_lspet-256x256.py', '../../../_base_/models/stock-res50.py']

custom_imports = dict(imports=['cpm_plugin.mmpose', 'cpm_plugin.mmpose.baseline'])

stock_codec = dict(type='MSRAHeatmap', input_size=(256, 256), heatmap_size=(64, 64), sigma=2)
train_pipeline = [
    dict(step, encoder=stock_codec) if step['type'] == 'GenerateTarget' else step
    for step in _base_.train_pipeline
]
model = dict(
    backbone=_base_.stock_model.backbone,
    head=dict(_base_.stock_model.head, type='Float32HeatmapHead', decoder=stock_codec),
    test_cfg=_base_.stock_model.test_cfg)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
