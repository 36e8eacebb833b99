# The authors' recipe on LSP Extended alone: images 1-7500 for training, 7501-8000 for validation,
# 8001-9000 for the test.
_base_ = [
    '../../../_base_/models/cpm-6s-paper.py', '../../../_base_/datasets/paper-368x368.py',
    '../../../_base_/schedules/sgd-step-600k.py'
]

model = dict(head=dict(output_joints='lsp', decoder=_base_.codec))
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='SelectJoints', source='lsp', target='cpm'), *_base_.train_pipeline[1:]
]

dataset_type = 'LspDataset'
lspet = dict(type=dataset_type, data_root='data/lspet/', center_scale='authors')
train_dataloader = dict(dataset=dict(**lspet, image_range=(1, 7500), pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(**lspet, image_range=(7501, 8000)))
test_dataloader = dict(dataset=dict(**lspet, image_range=(8001, 9000)))

val_evaluator = dict(type='TorsoPCKAccuracy')
test_evaluator = val_evaluator
default_hooks = dict(checkpoint=dict(save_best='torso/PCK', rule='greater'))
