# Without intermediate supervision: joint training with the loss of the last stage alone.
_base_ = 'td-hm_cpm-slim-3s-amp_1xb32-6e_lspet-96x96.py'

model = dict(
    head=dict(loss=dict(type='IntermediateSupervisionLoss', stage_weights=[0., 0., 1.])))
