# The authors' recipe and protocol on LSP: train on LSP 1-1000 and LSP Extended, test on LSP
# 1001-2000. In the test, the middle and the height of the image stand for the person. No checkpoint
# is selected: the last one counts. Do not report results of this model on LSP Extended.
_base_ = '../lspet/td-hm_cpm-6s_paper_1xb16-600k_lspet-368x368.py'

val_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetImageCenterScale'), _base_.crop,
    dict(type='PackPoseInputs')
]
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='LspConcatDataset',
        datasets=[
            dict(
                type='LspDataset',
                data_root=data_root,
                image_range=image_range,
                center_scale='authors',
                limbs_of=['data/lspet/joints.mat', 'data/lsp/joints.mat'],
                pipeline=_base_.train_pipeline)
            for data_root, image_range in (('data/lsp/', (1, 1000)), ('data/lspet/', None))
        ]))
val_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='LspDataset',
        data_root='data/lsp/',
        image_range=(1001, 2000),
        test_mode=True,
        pipeline=val_pipeline))
test_dataloader = val_dataloader
default_hooks = dict(checkpoint=dict(save_best=None))
