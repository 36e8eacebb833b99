# OpenPose's newer arrangement (arXiv 1812.08008): four stages of fields, then two of belief maps,
# in dense blocks of 3x3 convolutions with PReLU. The layers are those of BODY_25, whose feet COCO
# does not label; the joints are those of COCO with a neck. The schedule is that of 2017: we have not
# looked for OpenPose's own.
_base_ = 'paf_cpm-vgg-6s_1xb10-600k_coco-368x368.py'

model = dict(
    backbone=dict(vgg_prelu=3),
    head=dict(
        field_stages=4,
        first_stage_channels=96,
        first_stage_hidden_channels=256,
        hidden_channels=512,
        refine_kernel_size=3,
        first_stage_depth=5,
        dense=True,
        prelu=True,
        features_first=True))
# No lr_mult for stages: they are not known for this network.
optim_wrapper = dict(
    paramwise_cfg=dict(_delete_=True, bias_lr_mult=2., bias_decay_mult=0.))
