# Training of paf_movenet_3s, for several people in real pictures, on one CPU core with bfloat16
# instructions. It takes mosaics of people of LSP Extended, and images of COCO, which have no tops of
# heads. The encoder begins with MoveNet Thunder's weights, which were trained for poses on other
# images. The shipped weights saw 110 images of COCO train2017 only, each 5 times an epoch:
# sample_ratio_factor=[1, 5] of the combined dataset.
_base_ = [
    '../../../_base_/models/paf-cpm-movenet-3s.py', '../../../_base_/datasets/lspet-mosaics.py',
    '../../../_base_/schedules/adam-cosine-6e.py'
]

model = dict(
    # tools/convert_encoder.py makes the file; to train only
    backbone=dict(encoder_weights='data/movenet_thunder.pth'),
    head=dict(joints='lsp', decoder=_base_.codec))

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

train_cfg = dict(val_interval=1)
optim_wrapper = dict(
    type='Bfloat16OptimWrapper',
    paramwise_cfg=dict(custom_keys=dict(encoder=dict(lr_mult=0.2))))
auto_scale_lr = dict(base_batch_size=16)
default_hooks = dict(
    logger=dict(interval=10),
    checkpoint=dict(interval=1, max_keep_ckpts=2, save_best='coco/AP', rule='greater'))
custom_hooks = [dict(type='ChannelsLastHook'), dict(type='SyncBuffersHook')]
