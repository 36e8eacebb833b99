# The network and the training as the authors published them: no normalization, initialization from
# a Gaussian, dropout in stage 1, Euclidean loss. A config that inherits this adds the decoder and,
# where the dataset has others, the joints. The 14 joints in order are head, neck, right and left
# shoulder, elbow, wrist, right and left hip, knee, ankle.
_base_ = 'cpm-6s.py'

norm_cfg = None
# genProto.py: weight_filler gaussian 0.01, bias_filler constant
filler = dict(type='Normal', layer='Conv2d', std=0.01)
model = dict(
    # with the center map as a fourth channel
    data_preprocessor=dict(type='CPMDataPreprocessor'),
    backbone=dict(norm_cfg=norm_cfg, init_cfg=filler),
    head=dict(
        joints='cpm',
        dropout=0.5,
        norm_cfg=norm_cfg,
        loss=dict(type='IntermediateSupervisionLoss', reduction='sum'),
        init_cfg=filler))
