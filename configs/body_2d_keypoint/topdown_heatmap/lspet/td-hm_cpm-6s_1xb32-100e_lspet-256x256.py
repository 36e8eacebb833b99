# The paper's network with batch normalization on LSP Extended, trained with Adam.
_base_ = [
    '../../../_base_/models/cpm-6s.py', '../../../_base_/datasets/lspet.py',
    '../../../_base_/schedules/adam-cosine-100e.py'
]

model = dict(backbone=dict(center_map_sigma=15.), head=dict(decoder=_base_.codec))
default_hooks = dict(checkpoint=dict(save_best='torso/PCK', rule='greater'))
