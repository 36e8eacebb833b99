# The paper's data for LSP and its input size: train on LSP 1-1000 and LSP Extended, test on LSP
# 1001-2000. No checkpoint is selected: the last one counts. Do not report results of this model on
# LSP Extended.
_base_ = '../lspet/td-hm_cpm-6s_1xb32-100e_lspet-368x368.py'

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='LspConcatDataset',
        datasets=[
            dict(
                type='LspDataset',
                data_root=data_root,
                image_range=image_range,
                pipeline=_base_.train_pipeline)
            for data_root, image_range in (('data/lsp/', (1, 1000)), ('data/lspet/', None))
        ]))
val_dataloader = dict(
    dataset=dict(data_root='data/lsp/', image_range=(1001, 2000)))
test_dataloader = val_dataloader
default_hooks = dict(checkpoint=dict(save_best=None))
