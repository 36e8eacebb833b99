# What a long run needs: checkpoints that a crash cannot take away, a stop at what is not finite,
# randomness that a resumed run shares with an undisturbed one, and workers that end with it. In
# default_hooks, where a leaf can leave one out: default_hooks=dict(finite=None).
safe_hooks = dict(
    checkpoint=dict(type='SafeCheckpointHook'),
    finite=dict(type='FiniteHook'),
    reproducible=dict(type='ReproducibleHook'),
    workers=dict(type='WorkersHook'))
