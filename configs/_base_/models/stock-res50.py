# Stock MMPose's ResNet-50 with deconvolutions ("SimpleBaseline"), trained from scratch, to replace
# the backbone and the head of a CPM.
stock_model = dict(
    backbone=dict(_delete_=True, type='ResNet', depth=50),
    head=dict(
        _delete_=True,
        type='HeatmapHead',
        in_channels=2048,
        out_channels=14,
        loss=dict(type='KeypointMSELoss', use_target_weight=True)),
    test_cfg=dict(shift_heatmap=True))
