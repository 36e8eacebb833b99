"""Checks that all classes of settings share."""

from __future__ import annotations

from dataclasses import fields
from numbers import Integral, Real
from typing import Any


def _is_whole(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


# What the annotation of a setting allows, in words, and how to tell.
_KINDS = {
    'int': ('a whole number', _is_whole),
    'float': ('a number', lambda value: isinstance(value, Real) and not isinstance(value, bool)),
    'bool': ('True or False', lambda value: isinstance(value, bool)),
    'str': ('a text', lambda value: isinstance(value, str)),
    'tuple[int, ...]': (
        'a list of whole numbers',
        lambda value: isinstance(value, list | tuple) and all(map(_is_whole, value)),
    ),
    'None': ('None', lambda value: value is None),
}


def check_types(settings: Any) -> None:
    """Check that every setting is of a kind that its annotation allows.

    Args:
        settings: Instance of a dataclass of settings.

    Raises:
        ValueError: If one is not; the message names it and what it must be.
    """
    for field in fields(settings):
        value = getattr(settings, field.name)
        kinds = [_KINDS[kind] for kind in str(field.type).split(' | ')]
        if not any(fits(value) for _, fits in kinds):
            words = ' or '.join(word for word, _ in kinds)
            raise ValueError(f'{field.name}={value!r} must be {words}')


def check_counts(settings: object, *names: str) -> None:
    """Check that numbers are at least 1.

    Args:
        settings: Settings.
        *names: Names of those that are numbers.

    Raises:
        ValueError: If one is less; the message names it.
    """
    for name in names:
        value = getattr(settings, name)
        if value < 1:
            raise ValueError(f'{name}={value!r} must be a whole number of at least 1')


def check_kernels(settings: object, *names: str) -> None:
    """Check that kernel sizes are odd and at least 1.

    Args:
        settings: Settings.
        *names: Names of those that are kernel sizes.

    Raises:
        ValueError: If one is not; the message names it.
    """
    check_counts(settings, *names)
    for name in names:
        value = getattr(settings, name)
        if value % 2 == 0:
            raise ValueError(f'{name}={value} must be odd, so that the size is kept')
