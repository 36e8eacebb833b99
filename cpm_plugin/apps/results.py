"""Figures of a test as tables and metafiles have them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from ..mmpose.metrics import TorsoPCKAccuracy


def torso_threshold(config: Mapping[str, Any]) -> float:
    """``thr`` of the ``TorsoPCKAccuracy`` that a config tests with, or its default."""
    evaluators = config.get('test_evaluator') or []
    for evaluator in [evaluators] if isinstance(evaluators, Mapping) else evaluators:
        if evaluator.get('type') == 'TorsoPCKAccuracy' and 'thr' in evaluator:
            return float(evaluator['thr'])
    return float(inspect.signature(TorsoPCKAccuracy).parameters['thr'].default)


def metrics_of(results: Mapping[str, float], threshold: float) -> dict[str, float]:
    """Metrics as ``tools/test.py`` writes them -> as tables have them.

    Times and counts are left out, prefixes too where names differ without them. Figures are
    rounded to two digits, those of at most 1 to four. ``torso/PCK`` gets the threshold's name.
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
