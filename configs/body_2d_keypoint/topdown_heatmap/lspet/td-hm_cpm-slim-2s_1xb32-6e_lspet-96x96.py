# Two stages, to compare receptive fields of the second at equal parameters (358-360 thousand).
# refine_kernel_size and channels of the head go together; the field of stage 2 in pixels:
#   kernel size  1    3    5    7    9
#   channels     232  85   48   32   23
#   field        75   123  171  219  267
_base_ = 'td-hm_cpm-slim-3s-amp_1xb32-6e_lspet-96x96.py'

model = dict(head=dict(num_stages=2))
