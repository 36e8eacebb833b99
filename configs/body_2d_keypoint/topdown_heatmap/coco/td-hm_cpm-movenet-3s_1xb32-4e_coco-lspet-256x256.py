# Training of cpm_movenet_coco_3s, with COCO's 17 joints, on one CPU core with bfloat16 instructions.
# It begins with the weights of cpm_movenet_3s. Beside images of COCO it takes those of LSP Extended,
# for the 12 joints that both have. sample_ratio_factor says how often an epoch takes each dataset.
# The shipped weights saw 110 images of COCO train2017 only: it was 10 for them, and 0.15.
_base_ = '../lspet/td-hm_cpm-movenet-3s_1xb32-6e_lspet-256x256.py'
load_from = 'cpm_plugin://cpm_movenet_3s'

# OKS asks for more precision than PCK: narrower Gaussians than those of the base
codec = dict(_base_.codec, sigma=8.)
train_pipeline = [
    dict(step, encoder=codec) if step['type'] == 'GenerateTarget' else step
    for step in _base_.train_pipeline
]

model = dict(
    backbone=dict(encoder_weights=None),  # load_from has them
    head=dict(num_keypoints=17, strict_load=False, decoder=codec))  # the outputs are others

dataset_type = 'CocoDataset'
data_root = 'data/coco/'
train = dict(
    type=dataset_type,
    data_root=data_root,
    data_mode='topdown',
    ann_file='annotations/person_keypoints_train2017.json',
    data_prefix=dict(img='train2017/'),
    pipeline=train_pipeline[:1])
people = dict(
    type='LspDataset',
    data_root='data/lspet/',
    image_range=(1, 7500),
    pipeline=[
        *train_pipeline[:1],
        dict(type='SelectJoints', source='lsp', target='coco', partial=True)
    ])
val = dict(
    _delete_=True,
    type=dataset_type,
    data_root=data_root,
    data_mode='topdown',
    ann_file='annotations/person_keypoints_val2017.json',
    data_prefix=dict(img='val2017/'),
    test_mode=True,
    pipeline=_base_.val_pipeline)

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='CombinedDataset',
        metainfo=dict(from_file='configs/_base_/datasets/coco.py'),
        datasets=[train, people],
        pipeline=train_pipeline[1:]))
val_dataloader = dict(dataset=val)
test_dataloader = dict(dataset=dict(val, pipeline=_base_.test_pipeline))
val_evaluator = dict(
    _delete_=True,
    type='CocoMetric',
    ann_file=data_root + 'annotations/person_keypoints_val2017.json')
test_evaluator = val_evaluator

train_cfg = dict(max_epochs=4)
param_scheduler = [
    dict(type='LinearLR', begin=0, end=100, start_factor=0.01, by_epoch=False),  # warm-up
    dict(
        type='CosineAnnealingLR',
        begin=0,
        end=4,
        T_max=4,
        by_epoch=True,
        convert_to_iter_based=True)
]
default_hooks = dict(checkpoint=dict(save_best='coco/AP'))
