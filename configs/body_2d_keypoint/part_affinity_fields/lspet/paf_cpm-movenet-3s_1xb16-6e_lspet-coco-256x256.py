# Training of paf_movenet_3s, for several people in real pictures, on one CPU core with bfloat16
# instructions. It takes mosaics of people of LSP Extended, as the config with EfficientNet does, and
# images of COCO, which have no tops of heads. The encoder begins with MoveNet Thunder's weights, which
# were trained for poses on other images. The shipped weights saw 110 images of COCO train2017 only,
# each 5 times an epoch: sample_ratio_factor=[1, 5] of the combined dataset.
_base_ = 'paf_cpm-lite0-3s_1xb16-2e_lspet-256x256.py'
load_from = None

model = dict(
    backbone=dict(
        encoder='movenet_thunder',
        # tools/convert_encoder.py makes the file; to train only
        encoder_weights='data/movenet_thunder.pth',
        channels=64),
    head=dict(in_channels=64, channels=64, hidden_channels=64, strict_load=True))

people = dict(
    type='LspDataset',
    data_root='data/lspet/',
    image_range=(1, 7500),
    pipeline=_base_.train_pipeline[:1])
images = dict(
    type='CocoDataset',
    data_root='data/coco/',
    ann_file='annotations/person_keypoints_train2017.json',
    data_prefix=dict(img='train2017/'),
    data_mode='bottomup',
    pipeline=[
        dict(type='LoadImage'),
        dict(type='SelectJoints', source='coco', target='lsp', partial=True)
    ])
train_pipeline = [
    dict(step, joints='lsp') if step['type'] == 'PeopleMask' else step
    for step in _base_.train_pipeline[1:]
]
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='CombinedPoseDataset',
        joints='lsp',
        datasets=[people, images],
        pipeline=train_pipeline))

train_cfg = dict(max_epochs=6)
optim_wrapper = dict(
    type='Bfloat16OptimWrapper',
    paramwise_cfg=dict(custom_keys=dict(encoder=dict(lr_mult=0.2))))
param_scheduler = [
    dict(type='LinearLR', begin=0, end=100, start_factor=0.01, by_epoch=False),  # warm-up
    dict(
        type='CosineAnnealingLR',
        begin=0,
        end=6,
        T_max=6,
        by_epoch=True,
        convert_to_iter_based=True)
]
