# For GPUs: convolutions in bfloat16 and channels-last order. Add compile=True for torch.compile.
_base_ = 'td-hm_cpm-6s_8xb64-210e_coco-256x192.py'

optim_wrapper = dict(type='Bfloat16OptimWrapper')
custom_hooks = [dict(type='ChannelsLastHook'), dict(type='SyncBuffersHook')]
