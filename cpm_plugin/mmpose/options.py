"""Warnings about ``--cfg-options`` that a config does not know.

MMEngine takes a mistyped name as a new setting, which nobody reads.
"""

from __future__ import annotations

import difflib
import inspect
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner

# Settings that a config may lack: the arguments of the runner, and what is read elsewhere.
_KNOWN = (*inspect.signature(Runner.__init__).parameters, 'auto_scale_lr', 'custom_imports')
# Similarity of a typing error. Two settings such as test_dataloader and val_dataloader have less.
_SIMILAR = 0.8


def unknown_options(config: Mapping[str, Any], options: Mapping[str, Any]) -> list[str]:
    """Find options that change nothing in a config, because a name in them is mistyped.

    These are options inside a group that the config does not have, and settings at its top. A new
    group with a name like no other, such as a hook, is no mistake inside another group.

    Args:
        config: Config, before the options are merged into it.
        options: Options by dotted name.

    Returns:
        A message for each of them, with the name that is nearest.

    Examples:
        >>> from cpm_plugin.mmpose.options import unknown_options
        >>> config = dict(test_dataloader=dict(batch_size=1))
        >>> unknown_options(config, {'test_dataloder.batch_size': 2})
        ['test_dataloder.batch_size: the config has no test_dataloder; test_dataloader is meant?']
        >>> unknown_options(config, {'test_dataloader.batch_size': 2, 'randomness.seed': 0})
        []
    """
    return [message for name in options if (message := _describe(config, name))]


def _describe(config: Any, option: str) -> str:
    """Return what is wrong with the name of an option, or ''."""
    parts = option.split('.')
    here: Any = config
    for depth, part in enumerate(parts):
        if isinstance(here, Mapping | Config):
            if part not in here:
                return _describe_missing(here, parts, depth)
            here = here[part]
        elif isinstance(here, list | tuple) and part.isdecimal() and int(part) < len(here):
            here = here[int(part)]
        else:
            break  # MMEngine refuses it
    return ''


def _describe_missing(here: Any, parts: list[str], depth: int) -> str:
    """Return what is wrong with the name of an option that ``here`` lacks from ``depth`` on."""
    top, last = depth == 0, depth == len(parts) - 1
    if top and parts[0] in _KNOWN:
        return ''
    if last and not top:  # a new argument: what is built from the group refuses an unknown one
        return ''
    names = [*here.keys(), *(_KNOWN if top else ())]
    near = difflib.get_close_matches(parts[depth], names, n=1, cutoff=_SIMILAR)
    if not near and (last or not top):
        return ''
    meant = f'; {".".join([*parts[:depth], near[0]])} is meant?' if near else ''
    return f'{".".join(parts)}: the config has no {".".join(parts[: depth + 1])}{meant}'


@contextmanager
def options_checked() -> Iterator[None]:
    """Warn of ``unknown_options`` wherever options are merged into a config, in this block."""
    merge = Config.merge_from_dict
    if hasattr(merge, 'checked'):  # a block in a block
        yield
        return

    def warn_and_merge(self: Config, options: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        for message in unknown_options(self, options):
            print(f'warning: --cfg-options {message}', file=sys.stderr)
        merge(self, options, *args, **kwargs)

    warn_and_merge.checked = True  # type: ignore[attr-defined]
    Config.merge_from_dict = warn_and_merge
    try:
        yield
    finally:
        Config.merge_from_dict = merge
