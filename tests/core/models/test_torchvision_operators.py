"""torchvision is helped where its operators are missing, and nothing else is hidden.

What is declared, and when, tests/mmpose/test_compat.py sees in a fresh interpreter.
"""

import pytest

from cpm_plugin.core.models import torchvision_operators


@pytest.mark.parametrize(
    'error',
    [
        RuntimeError('operator torchvision::roi_pool_of_tomorrow does not exist'),
        RuntimeError('CUDA driver version is insufficient'),
        ImportError('libjpeg.so.62: cannot open shared object file'),
    ],
    ids=['unknown operator', 'other runtime error', 'import error'],
)
def test_other_failures_of_torchvision_are_not_hidden(monkeypatch, error):
    def import_module(name):
        raise error

    monkeypatch.setattr(torchvision_operators.importlib, 'import_module', import_module)
    with pytest.raises(type(error), match=str(error)):
        torchvision_operators.fix_torchvision()


def test_torchvision_that_is_not_installed_is_left_alone(monkeypatch):
    def import_module(name):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(torchvision_operators.importlib, 'import_module', import_module)
    assert not torchvision_operators.fix_torchvision()


def test_a_missing_operator_says_its_name_and_the_remedy():
    call = torchvision_operators.missing_operator('package.crop', 'install the whole package')
    message = 'package.crop is not compiled here; to use it, install the whole package'
    with pytest.raises(NotImplementedError, match=message):
        call(1, size=2)
