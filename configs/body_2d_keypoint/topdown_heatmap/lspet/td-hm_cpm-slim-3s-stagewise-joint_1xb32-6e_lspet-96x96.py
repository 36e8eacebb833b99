# Stage by stage for an epoch each, then all stages together for 3.
_base_ = 'td-hm_cpm-slim-3s-amp_1xb32-6e_lspet-96x96.py'

custom_hooks = _base_.custom_hooks + [dict(type='StageByStageHook', epochs=[1, 1, 1])]

# The learning rate begins anew with each stage, and with all together; see -stagewise.
param_scheduler = [
    dict(
        type='CosineRestartLR',
        begin=0,
        end=6,
        periods=[1, 1, 1, 3],
        restart_weights=[1., 1., 1., 1.],
        eta_min=0.,
        by_epoch=True,
        convert_to_iter_based=True), *(dict(
            type='LinearLR',
            begin=begin,
            end=begin + 0.25,
            start_factor=0.01,
            by_epoch=True,
            convert_to_iter_based=True) for begin in (0, 1, 2, 3))
]
