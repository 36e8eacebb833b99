"""Results of a test in the form that tables and metafiles have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..mmpose.metrics import TorsoPCKAccuracy

from mmpose.registry import METRICS


def torso_thresholds(evaluator: Any) -> list[float]:
    """List ``thr`` of every ``TorsoPCKAccuracy`` in the config of an evaluator.

    Args:
        evaluator: ``test_evaluator`` of a config: a metric, a list of metrics, or an evaluator
            with metrics in it. A metric's type can be its name or its class.

    Returns:
        Largest distances of a correct joint, as fractions of the torso, each once, in the order
            of the config. Empty if there is no ``TorsoPCKAccuracy``.
    """
    return list(dict.fromkeys(metric.thr for metric in torso_metrics(evaluator)))


def torso_metrics(evaluator: Any) -> list[TorsoPCKAccuracy]:
    """Build every ``TorsoPCKAccuracy`` in the config of an evaluator.

    Args:
        evaluator: See ``torso_thresholds``.

    Returns:
        The metrics, in the order of the config.
    """
    return list(_torso_metrics(evaluator))


def _torso_metrics(config: Any) -> Iterator[TorsoPCKAccuracy]:
    """Build the metrics that are a ``TorsoPCKAccuracy``, wherever they are in the config."""
    if isinstance(config, Mapping):
        kind = config.get('type')
        kind = METRICS.get(kind) if isinstance(kind, str) else kind
        if isinstance(kind, type) and issubclass(kind, TorsoPCKAccuracy):
            yield METRICS.build(dict(config))
            return
        config = config.values()
    elif not isinstance(config, list | tuple):
        return
    for part in config:
        yield from _torso_metrics(part)


def metrics_of(results: Mapping[str, float]) -> dict[str, float]:
    """Convert the metrics that ``tools/test.py`` writes to those of tables.

    Times and counts are left out. So are prefixes, if the names differ without them. Values are
    rounded to two digits, those up to 1 to four. The PCK of ``TorsoPCKAccuracy`` gets its
    threshold in its name, which is in the results, too.

    Args:
        results: Metrics by name.

    Returns:
        Metrics by short name.

    Raises:
        ValueError: If there is a PCK of ``TorsoPCKAccuracy`` without its threshold.
    """
    thresholds = {
        key.removesuffix('/thr'): value for key, value in results.items() if key.endswith('/thr')
    }
    kept, short = {}, {}
    for key, value in results.items():
        prefix, _, name = key.rpartition('/')
        ours = prefix == TorsoPCKAccuracy.default_prefix or f'{prefix}/num_left_out' in results
        if ours and prefix not in thresholds:
            raise ValueError(
                f'{key} has no threshold beside it ({prefix}/thr): an earlier version has written '
                'it; test again'
            )
        if key in ('time', 'data_time') or name.startswith('num_'):
            continue
        if prefix in thresholds:
            if name == 'thr':
                continue
            name = f'PCK@{thresholds[prefix]:g}' if name == 'PCK' else name.removeprefix('PCK_')
        kept[key], short[key] = value, name
    names = list(short.values())
    return {
        short[key] if names.count(short[key]) == 1 else key: round(
            float(value), 4 if abs(value) <= 1 else 2
        )
        for key, value in kept.items()
    }
