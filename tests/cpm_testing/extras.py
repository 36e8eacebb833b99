"""timm, where the extra [timm] is installed, and what skips the tests that need it."""

import pytest

from cpm_plugin.core.models.settings import TIMM
from cpm_plugin.core.models.timm_encoder import timm_package

try:
    timm = timm_package()  # also where torchvision's own import fails
except ImportError:
    timm = None
REASON = 'needs the extra [timm]'
needs_timm = pytest.mark.skipif(timm is None, reason=REASON)


def skip_without_timm(backbone):
    """Skip a test of a config whose encoder is timm's, where timm is missing."""
    if timm is None and str(backbone.get('encoder')).startswith(TIMM):
        pytest.skip(REASON)
