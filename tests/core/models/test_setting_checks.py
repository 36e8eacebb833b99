"""Checks of settings: what they let pass, and what their messages say."""

from dataclasses import dataclass

import pytest

from cpm_plugin.core.models.setting_checks import check_counts, check_kernels, check_types


@dataclass
class Settings:
    count: 'int' = 1
    size: 'int | None' = None
    share: 'float' = 0.5
    flag: 'bool' = False
    widths: 'tuple[int, ...]' = (1, 2)


@pytest.mark.parametrize(
    'given',
    [{}, {'size': 3}, {'share': 1}, {'widths': [3]}, {'flag': True, 'count': 0}],
    ids=str,
)
def test_types_that_fit(given):
    check_types(Settings(**given))


@pytest.mark.parametrize(
    'given, message',
    [
        ({'count': None}, '^count=None must be a whole number$'),
        ({'count': True}, '^count=True must be a whole number$'),
        ({'size': 1.5}, '^size=1.5 must be a whole number or None$'),
        ({'share': '1'}, "^share='1' must be a number$"),
        ({'flag': 1}, '^flag=1 must be True or False$'),
        ({'widths': [1, 2.0]}, 'must be a list of whole numbers$'),
    ],
)
def test_types_that_do_not(given, message):
    with pytest.raises(ValueError, match=message):
        check_types(Settings(**given))


def test_counts_and_kernels():
    check_counts(Settings(), 'count')
    check_kernels(Settings(count=3), 'count')
    with pytest.raises(ValueError, match='count=0 must be a whole number of at least 1'):
        check_counts(Settings(count=0), 'count')
    with pytest.raises(ValueError, match='count=0 must be a whole number of at least 1'):
        check_kernels(Settings(count=0), 'count')
    with pytest.raises(ValueError, match='count=4 must be odd'):
        check_kernels(Settings(count=4), 'count')
