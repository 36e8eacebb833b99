# Short training in bfloat16, the base of those that compare ways to train: a quarter of an hour each
# on one CPU core with bfloat16 instructions. This one is joint, with a loss at every stage.
_base_ = 'td-hm_cpm-slim-3s_1xb32-6e_lspet-96x96.py'

optim_wrapper = dict(type='Bfloat16OptimWrapper')
