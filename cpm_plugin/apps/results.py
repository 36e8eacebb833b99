"""Results of a test in the form that tables and metafiles have."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from ..mmpose.metrics import TorsoPCKAccuracy


def torso_threshold(config: Mapping[str, Any]) -> float:
    """Return ``thr`` of the ``TorsoPCKAccuracy`` that a config tests with, or its default.

    Args:
        config: Config of MMPose.

    Returns:
        Largest distance of a correct joint, as a fraction of the torso.
    """
    evaluators = config.get('test_evaluator') or []
    for evaluator in [evaluators] if isinstance(evaluators, Mapping) else evaluators:
        if evaluator.get('type') == 'TorsoPCKAccuracy' and 'thr' in evaluator:
            return float(evaluator['thr'])
    return float(inspect.signature(TorsoPCKAccuracy).parameters['thr'].default)


def metrics_of(results: Mapping[str, float], threshold: float) -> dict[str, float]:
    """Convert the metrics that ``tools/test.py`` writes to those of tables.

    Times and counts are left out. So are prefixes, if the names differ without them. Values are
    rounded to two digits, those up to 1 to four. ``torso/PCK`` gets the threshold in its name.

    Args:
        results: Metrics by name.
        threshold: Threshold of ``torso/PCK``.

    Returns:
        Metrics by short name.
    """
    kept = {
        key: value
        for key, value in results.items()
        if key not in ('time', 'data_time') and not key.rpartition('/')[2].startswith('num_')
    }
    short = {}
    for key in kept:
        prefix, _, name = key.rpartition('/')
        if prefix == 'torso':
            name = f'PCK@{threshold:g}' if name == 'PCK' else name.removeprefix('PCK_')
        short[key] = name
    names = list(short.values())
    return {
        short[key] if names.count(short[key]) == 1 else key: round(
            float(value), 4 if abs(value) <= 1 else 2
        )
        for key, value in kept.items()
    }
