# MMPose's runtime, with the hooks that a long training needs.
_base_ = ['mmpose::_base_/default_runtime.py', 'safe_hooks.py']

default_hooks = _base_.safe_hooks
