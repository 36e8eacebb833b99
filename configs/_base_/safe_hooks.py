# Hooks that a long training needs: checkpoints that survive a crash, a stop at values that are not
# finite, keypoints that are those of the training, random numbers that are the same after --resume,
# a warning of a warm-up without end, and workers that end with the training. And a log without a
# wait for a GPU.
# They are default_hooks, so that a config can leave one out: default_hooks=dict(finite=None).
safe_hooks = dict(
    checkpoint=dict(type='SafeCheckpointHook'),
    finite=dict(type='FiniteHook'),
    names=dict(type='KeypointNamesHook'),
    runtime_info=dict(type='LateLogHook'),
    reproducible=dict(type='ReproducibleHook'),
    warm_up=dict(type='WarmUpHook'),
    workers=dict(type='WorkersHook'))
