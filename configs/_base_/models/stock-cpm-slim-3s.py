# Stock MMPose's CPM with the number of channels of cpm_slim_3s.
_base_ = 'stock-cpm-6s.py'

stock_model = dict(
    backbone=dict(
        type='NarrowStockCPM', channels=32, first_stage_channels=128, num_stages=3),
    head=dict(num_stages=3))
