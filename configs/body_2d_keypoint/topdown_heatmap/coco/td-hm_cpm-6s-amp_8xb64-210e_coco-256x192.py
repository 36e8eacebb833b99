# For GPUs: training in bfloat16 and channels-last order, with nothing in a step that waits for the
# GPU. For torch.compile of backbone and head add compile=True.
_base_ = 'td-hm_cpm-6s_8xb64-210e_coco-256x192.py'

train_dataloader = dict(pin_memory=True)
model = dict(data_preprocessor=dict(non_blocking=True))
optim_wrapper = dict(type='Bfloat16OptimWrapper', optimizer=dict(fused=True))
custom_hooks = [dict(type='ChannelsLastHook'), dict(type='SyncBuffersHook')]
