# Baseline: stock MMPose CPM at the width and with the schedule of
# td-hm_cpm-slim-3s_1xb32-6e_lspet-96x96.py; stock's codec and decoder.
_base_ = 'td-hm_cpm-slim-3s_1xb32-6e_lspet-96x96.py'

custom_imports = dict(imports=['cpm_plugin.mmpose', 'cpm_plugin.mmpose.baseline'])

stock_codec = dict(type='MSRAHeatmap', input_size=(96, 96), heatmap_size=(12, 12), sigma=1)
train_pipeline = [
    dict(step, encoder=stock_codec) if step['type'] == 'GenerateTarget' else step
    for step in _base_.train_pipeline
]
model = dict(
    backbone=dict(
        _delete_=True,
        type='NarrowStockCPM',
        in_channels=3,
        out_channels=14,
        channels=32,
        first_stage_channels=128,
        num_stages=3),
    head=dict(
        _delete_=True,
        type='CPMHead',
        in_channels=14,
        out_channels=14,
        num_stages=3,
        deconv_out_channels=None,
        final_layer=None,
        loss=dict(type='KeypointMSELoss', use_target_weight=True),
        decoder=stock_codec),
    test_cfg=dict(shift_heatmap=True))
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
