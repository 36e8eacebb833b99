"""Checks of ``--cfg-options``: names that a config does not know, and contradictions.

MMEngine takes a mistyped name as a new setting, which nobody reads. It also changes a variable such
as ``codec`` alone: pipelines and decoder have copies, made when the config was read.
"""

from __future__ import annotations

import difflib
import inspect
import sys
from collections.abc import Iterator, Mapping, Sequence
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


def copies_of(config: Mapping[str, Any], name: str) -> list[str]:
    """Find the copies of a variable in a config.

    Args:
        config: Config.
        name: Name of a variable at its top, such as ``codec`` or ``data_root``.

    Returns:
        Dotted names of equal values elsewhere. None for a setting that is read itself, and for
            values that may be equal by chance, such as numbers.

    Examples:
        >>> from cpm_plugin.mmpose.options import copies_of
        >>> config = dict(codec=dict(sigma=7), model=dict(head=dict(decoder=dict(sigma=7))))
        >>> copies_of(config, 'codec')
        ['model.head.decoder']
    """
    value = config.get(name)
    if name in _KNOWN or not isinstance(value, str | Mapping | list | tuple) or not value:
        return []
    others = {key: part for key, part in config.items() if key in _KNOWN}
    return [path for path, part in _parts(others) if type(part) is type(value) and part == value]


def _parts(value: Any, path: str = '') -> Iterator[tuple[str, Any]]:
    """Yield all parts of a value with their dotted names."""
    if path:
        yield path, value
    if isinstance(value, Mapping):
        inner = list(value.items())
    else:
        inner = list(enumerate(value)) if isinstance(value, list | tuple) else []
    for key, part in inner:
        yield from _parts(part, f'{path}.{key}' if path else str(key))


def _stale(config: Any, copies: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Describe the variables that options have changed, and whose copies they have not."""
    for name, paths in copies.items():
        parts = dict(_parts({key: part for key, part in config.items() if key in _KNOWN}))
        kept = [path for path in paths if path in parts and parts[path] != config[name]]
        if kept:
            more = f' and {len(kept) - 1} more' if len(kept) > 1 else ''
            yield (
                f'{name}: it is a variable, copied when the config was read; this does not change '
                f'{kept[0]}{more}. Name each of them, or write a config of your own with {name!r}'
            )


def check_agreement(
    config: Mapping[str, Any], options: Mapping[str, Any], arguments: Sequence[str]
) -> None:
    """Refuse options in whose favor a script would forget another of its arguments.

    MMPose's ``tools/test.py`` writes CHECKPOINT into ``load_from``, and then merges the options.
    With ``load_from=None`` it would test random weights.

    Args:
        config: Config, before the options are merged into it.
        options: Options by dotted name.
        arguments: Command-line arguments of the script.

    Raises:
        ValueError: If an option changes ``load_from`` or ``work_dir`` from what an argument says.
    """
    for name in ('load_from', 'work_dir'):
        given = config.get(name)
        words = (word for argument in arguments for word in (argument, argument.split('=', 1)[-1]))
        if given and options.get(name, given) != given and given in words:
            raise ValueError(
                f'--cfg-options {name}={options[name]}: {given!r} is given, too, and would be '
                'forgotten; leave one of them out'
            )


@contextmanager
def options_checked() -> Iterator[None]:
    """Check options wherever they are merged into a config, in this block.

    It warns of ``unknown_options``, and of variables whose copies stay as they were. What
    ``check_agreement`` refuses is an error.
    """
    merge = Config.merge_from_dict
    if hasattr(merge, 'checked'):  # a block in a block
        yield
        return

    def warn_and_merge(self: Config, options: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        check_agreement(self, options, sys.argv[1:])
        for message in unknown_options(self, options):
            print(f'warning: --cfg-options {message}', file=sys.stderr)
        copies = {name: copies_of(self, name) for name in {key.split('.')[0] for key in options}}
        merge(self, options, *args, **kwargs)
        for message in _stale(self, copies):
            print(f'warning: --cfg-options {message}', file=sys.stderr)

    warn_and_merge.checked = True  # type: ignore[attr-defined]
    Config.merge_from_dict = warn_and_merge
    try:
        yield
    finally:
        Config.merge_from_dict = merge
