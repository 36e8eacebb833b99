# Stock MMPose CPM at the width of cpm_slim_3s, to be put in the place of its backbone and head.
stock_model = dict(
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
        loss=dict(type='KeypointMSELoss', use_target_weight=True)),
    test_cfg=dict(shift_heatmap=True))
