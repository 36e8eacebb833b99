# Six stages with the gradients of each layer on record, for tools/analysis/gradient_flow.py.
_base_ = 'td-hm_cpm-slim-3s-amp_1xb32-6e_lspet-96x96.py'

model = dict(head=dict(num_stages=6))
custom_hooks = _base_.custom_hooks + [dict(type='GradientFlowHook', interval=25)]
