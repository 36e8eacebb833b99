# Second part of the training of cpm_movenet_3s: 79 minutes on one CPU core with bfloat16 instructions.
# It begins with the weights of the first part, which has to be trained first; those of its epoch 5
# were used.
_base_ = 'td-hm_cpm-movenet-3s_1xb32-6e_lspet-256x256.py'
load_from = 'work_dirs/td-hm_cpm-movenet-3s_1xb32-6e_lspet-256x256/epoch_5.pth'
model = dict(backbone=dict(encoder_weights=None))  # load_from has them
