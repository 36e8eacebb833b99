# For GPUs: training in bfloat16 and channels-last order. For torch.compile add compile=True.
_base_ = 'td-hm_cpm-6s_8xb64-210e_coco-256x192.py'

optim_wrapper = dict(type='Bfloat16OptimWrapper')
custom_hooks = [dict(type='ChannelsLastHook'), dict(type='SyncBuffersHook')]
