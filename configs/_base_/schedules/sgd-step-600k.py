# Schedule of the authors' genProto.py: SGD for 600,000 iterations with 16 people each. The lr in
# the log is that of the first group of parameters, stage 1: 4e-4. With --resume, MMEngine first
# reads all the batches again that it has already trained on.
_base_ = '../default_runtime.py'

train_cfg = dict(by_epoch=False, max_iters=600_000, val_interval=10_000)

# lr_mult and decay_mult of genProto.py: biases learn twice as fast and do not decay, stage 1
# five times as fast. MMEngine applies bias_lr_mult and bias_decay_mult only to parameters that
# no custom key matches, and the longest key wins: so stage 1's biases have keys of their own.
stage1_biases = [
    *(f'backbone.trunks.stage1_trunk.conv{n}.conv.bias' for n in (1, 2, 3)),
    *(f'head.stages.first.{name}.conv.bias' for name in ('reduce', 'conv1', 'conv2')),
    'head.stages.first.beliefs.bias'
]
optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=8e-5, momentum=0.9, weight_decay=5e-4),
    paramwise_cfg=dict(
        bias_lr_mult=2.,
        bias_decay_mult=0.,
        custom_keys={
            'backbone.trunks.stage1_trunk': dict(lr_mult=5.),
            'head.stages.first': dict(lr_mult=5.),
            **{key: dict(lr_mult=10., decay_mult=0.) for key in stage1_biases}
        }))
param_scheduler = [
    dict(type='StepLR', begin=0, end=600_000, step_size=136_106, gamma=0.333, by_epoch=False)
]
auto_scale_lr = dict(base_batch_size=16)

default_hooks = dict(
    checkpoint=dict(by_epoch=False, interval=10_000, max_keep_ckpts=3),
    logger=dict(interval=100))
log_processor = dict(by_epoch=False)
