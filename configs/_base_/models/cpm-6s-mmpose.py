# Stock MMPose's CPM itself, built from our components: the same layers, pools, order of inputs and
# initial weights. tools/convert_mmpose_cpm.py converts checkpoints from and to stock's configs. A
# config that inherits this replaces stock's model by it, and adds num_keypoints and the decoder.
custom_imports = dict(imports=['cpm_plugin.mmpose'])

norm_cfg = dict(type='BN')
init_cfg = [
    dict(type='Normal', std=0.001, layer=['Conv2d']),
    dict(type='Constant', val=1, layer=['_BatchNorm'])
]
converted_model = dict(
    backbone=dict(
        _delete_=True,
        type='CPMBackbone',
        pool_padding=1,
        norm_cfg=norm_cfg,
        init_cfg=init_cfg),
    head=dict(
        _delete_=True,
        type='CPMStageHead',
        in_channels=128,
        beliefs_first=True,
        norm_cfg=norm_cfg,
        init_cfg=init_cfg))
