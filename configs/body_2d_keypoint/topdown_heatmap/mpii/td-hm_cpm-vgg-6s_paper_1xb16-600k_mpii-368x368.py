# The authors' VGG network, for their weights. They have not published how they trained it; the
# schedule here is that of their other networks.
_base_ = 'td-hm_cpm-6s_paper_1xb16-600k_mpii-368x368.py'

model = dict(
    backbone=dict(vgg_tail=(512, 512, 256, 256, 256, 256, 128)),
    head=dict(
        reduced_channels=None,
        first_stage_kernel_size=None,
        refine_kernel_size=7,
        refine_depth=5,
        beliefs_first=True,
        dropout=0.))
