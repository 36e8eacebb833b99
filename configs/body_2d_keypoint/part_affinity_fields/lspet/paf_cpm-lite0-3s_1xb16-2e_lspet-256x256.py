# Several people in real pictures: mosaics of people of LSP Extended. It begins with the encoder of
# cpm_lite0_3s in the package, which is for academic use only.
_base_ = [
    '../../../_base_/models/paf-cpm-lite0-3s.py', '../../../_base_/datasets/lspet-mosaics.py',
    '../../../_base_/schedules/adam-cosine-100e.py'
]
load_from = 'cpm_plugin://cpm_lite0_3s'

# the stages are others than those of one person
model = dict(head=dict(joints='lsp', strict_load=False, decoder=_base_.codec))

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
