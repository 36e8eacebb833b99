"""What the package logs."""


def keep_log(monkeypatch, module):
    """The lines that a module gives to MMEngine's ``print_log`` from now on."""
    lines = []
    monkeypatch.setattr(module, 'print_log', lambda text, **_: lines.append(text))
    return lines
