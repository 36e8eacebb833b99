# The same six stages without intermediate supervision.
_base_ = 'td-hm_cpm-slim-6s_1xb32-6e_lspet-96x96.py'

model = dict(
    head=dict(
        loss=dict(
            type='IntermediateSupervisionLoss', stage_weights=[0., 0., 0., 0., 0., 1.])))
