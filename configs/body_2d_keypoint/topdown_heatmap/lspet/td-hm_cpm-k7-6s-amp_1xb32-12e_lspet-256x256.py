# The paper's six stages and channels, with kernels of 5, 3, 3 and 7 as in our slim network. The
# paper has 9, 5, 9 and 11. This takes a third of the operations.
_base_ = 'td-hm_cpm-6s-amp_1xb32-12e_lspet-256x256.py'

model = dict(
    backbone=dict(kernel_size=5),
    head=dict(reduce_kernel_size=3, first_stage_kernel_size=3, refine_kernel_size=7))
