# Shorter training in bfloat16 and channels-last order: a few minutes on a GPU.
_base_ = 'td-hm_cpm-6s_1xb32-100e_lspet-256x256.py'

# On an H200, with 5 workers, the wait for a batch was 33 ms without pinned memory (this network),
# 3 ms with it (cpm-k7-6s).
train_dataloader = dict(num_workers=5, pin_memory=True)

train_cfg = dict(max_epochs=12, val_interval=3)
# Nothing in a step waits for the GPU.
model = dict(data_preprocessor=dict(non_blocking=True))
optim_wrapper = dict(type='Bfloat16OptimWrapper', optimizer=dict(fused=True))
param_scheduler = [
    dict(type='LinearLR', begin=0, end=200, start_factor=0.01, by_epoch=False),  # warm-up
    dict(
        type='CosineAnnealingLR',
        begin=0,
        end=12,
        T_max=12,
        by_epoch=True,
        convert_to_iter_based=True)
]
env_cfg = dict(cudnn_benchmark=True)
custom_hooks = [dict(type='ChannelsLastHook'), dict(type='SyncBuffersHook')]
