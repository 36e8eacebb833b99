# Several people in real pictures: mosaics of four people of LSP Extended, and one in four of a single
# larger person, images 1-7500 to train. It begins with the encoder of cpm_lite0_3s in the package, which is for academic use only.
# Other people in the pictures have no labels and are not masked.
_base_ = [
    '../../../_base_/models/paf-cpm-lite0-3s.py', '../../../_base_/datasets/lspet.py',
    '../../../_base_/schedules/adam-cosine-100e.py'
]
load_from = 'cpm_plugin://cpm_lite0_3s'

codec = dict(
    type='CPMAffinityFields',
    input_size=(256, 256),
    heatmap_size=(32, 32),
    joints='lsp',
    sigma=7.,
    limb_width=8.)
# the stages are others than those of one person
model = dict(
    backbone=dict(frozen_groups=4),  # a step takes two thirds of the time
    head=dict(joints='lsp', strict_load=False, decoder=codec))

mosaic = dict(type='MosaicPeople', size=codec['input_size'], grid=(2, 2))
single = dict(type='MosaicPeople', size=codec['input_size'], grid=(1, 1), fill=(0.5, 0.95))
train_pipeline = [
    dict(type='RandomChoice', transforms=[[mosaic], [single]], prob=[0.75, 0.25]),
    dict(
        type='BottomupRandomAffine',
        input_size=codec['input_size'],
        shift_factor=0.1,
        scale_factor=(0.6, 1.25),
        rotate_factor=40.,
        pad_val=128),
    dict(type='RandomFlip', direction='horizontal'),
    dict(type='GenerateTarget', encoder=codec),
    dict(type='PeopleMask'),
    dict(type='PackPoseInputs')
]
val_pipeline = [
    dict(mosaic, fixed=True),
    dict(
        type='BottomupResize',
        input_size=codec['input_size'],
        size_factor=8,
        pad_val=(128, 128, 128)),
    dict(type='PackSizes')
]
train_dataloader = dict(batch_size=16, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(batch_size=16, dataset=dict(pipeline=val_pipeline))
test_dataloader = dict(batch_size=16, dataset=dict(pipeline=val_pipeline))
val_evaluator = dict(_delete_=True, type='CocoMetric', nms_mode='none', score_mode='bbox')
test_evaluator = val_evaluator

train_cfg = dict(max_epochs=2, val_interval=1)
param_scheduler = [
    dict(type='LinearLR', begin=0, end=60, start_factor=0.01, by_epoch=False),  # warm-up
    dict(
        type='CosineAnnealingLR',
        begin=0,
        end=2,
        T_max=2,
        by_epoch=True,
        convert_to_iter_based=True)
]
auto_scale_lr = dict(base_batch_size=16)
default_hooks = dict(
    logger=dict(interval=10),
    checkpoint=dict(interval=1, max_keep_ckpts=2, save_best='coco/AP', rule='greater'))
custom_hooks = [dict(type='ChannelsLastHook'), dict(type='SyncBuffersHook')]
