# MMPose's runtime, and what a long run needs besides.
_base_ = ['mmpose::_base_/default_runtime.py', 'safe_hooks.py']

default_hooks = _base_.safe_hooks
