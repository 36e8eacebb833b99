# Stage by stage: each stage alone for 2 epochs, those before it frozen. As many iterations as joint.
_base_ = 'td-hm_cpm-slim-3s-amp_1xb32-6e_lspet-96x96.py'

epochs = [2, 2, 2]  # of each stage
custom_hooks = _base_.custom_hooks + [dict(type='StageByStageHook', epochs=epochs)]

train_cfg = dict(val_interval=6)  # a validation is of the last stage
# The learning rate begins anew with each stage. The cosine sets it, so the warm-ups come after it.
param_scheduler = [
    dict(
        type='CosineRestartLR',
        begin=0,
        end=6,
        periods=epochs,
        restart_weights=[1., 1., 1.],
        eta_min=0.,
        by_epoch=True,
        convert_to_iter_based=True), *(dict(
            type='LinearLR',
            begin=begin,
            end=begin + 0.25,
            start_factor=0.01,
            by_epoch=True,
            convert_to_iter_based=True) for begin in (0, 2, 4))
]
