# Your own keypoints, fine-tuned from the trained weights of cpm_movenet_3s in the package, which are
# for academic use only (docs/tutorials/own-data.md). In a leaf set num_keypoints, data_root,
# ann_file and data_prefix.
_base_ = [
    '../../../_base_/models/cpm-movenet-3s.py', '../../../_base_/datasets/own.py',
    '../../../_base_/schedules/own-60e.py'
]
load_from = 'cpm_plugin://cpm_movenet_3s'

codec = dict(
    type='CPMHeatmap',
    input_size=(256, 256),
    heatmap_size=(32, 32),
    sigma=12.,
    background=True)
sized = dict(
    TopdownAffine=dict(input_size=codec['input_size']), GenerateTarget=dict(encoder=codec))
train_pipeline = [dict(step, **sized.get(step['type'], {})) for step in _base_.train_pipeline]
val_pipeline = [dict(step, **sized.get(step['type'], {})) for step in _base_.val_pipeline]

# other keypoints: the layers that do not fit begin anew, and the log names them
model = dict(head=dict(strict_load=False, decoder=codec))
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = dict(dataset=dict(pipeline=val_pipeline))

# 5e-3 for the stages; for the encoder what it had in the training of the weights
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(encoder=dict(lr_mult=0.04))))
