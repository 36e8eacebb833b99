# Baseline: stock MMPose's CPM with stock's codec and decoder. Data and schedule are those of
# td-hm_cpm-6s-amp_1xb32-12e_lspet-256x256.py.
_base_ = ['td-hm_cpm-6s-amp_1xb32-12e_lspet-256x256.py', '../../../_base_/models/stock-cpm-6s.py']

custom_imports = dict(imports=['cpm_plugin.mmpose', 'cpm_plugin.mmpose.baseline'])

stock_codec = dict(type='MSRAHeatmap', input_size=(256, 256), heatmap_size=(32, 32), sigma=2)
train_pipeline = [
    dict(step, encoder=stock_codec) if step['type'] == 'GenerateTarget' else step
    for step in _base_.train_pipeline
]
model = dict(
    # stock CPM, with beliefs in float32 for CPMHead
    backbone=dict(
        _base_.stock_model.backbone, type='NarrowStockCPM', channels=128, first_stage_channels=512),
    head=dict(_base_.stock_model.head, decoder=stock_codec),
    test_cfg=_base_.stock_model.test_cfg)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
