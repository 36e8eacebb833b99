# Stock MMPose's ResNet-50 with deconvolutions ("SimpleBaseline"), from scratch, to be put in the
# place of a CPM's backbone and head.
stock_model = dict(
    backbone=dict(_delete_=True, type='ResNet', depth=50),
    head=dict(
        _delete_=True,
        type='HeatmapHead',
        in_channels=2048,
        out_channels=14,
        loss=dict(type='KeypointMSELoss', use_target_weight=True)),
    test_cfg=dict(shift_heatmap=True))
