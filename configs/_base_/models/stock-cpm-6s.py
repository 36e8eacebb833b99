# Stock MMPose's CPM, to replace ours.
stock_model = dict(
    backbone=dict(
        _delete_=True,
        type='CPM',
        in_channels=3,
        out_channels=14,
        num_stages=6),
    head=dict(
        _delete_=True,
        type='CPMHead',
        in_channels=14,
        out_channels=14,
        num_stages=6,
        deconv_out_channels=None,
        final_layer=None,
        loss=dict(type='KeypointMSELoss', use_target_weight=True)),
    test_cfg=dict(shift_heatmap=True))
