"""Parts that only tests register."""

from contextlib import contextmanager


@contextmanager
def registered(registry, *parts):
    """Configs can name these classes in here."""
    for part in parts:
        registry.register_module(module=part)
    try:
        yield
    finally:
        for part in parts:
            registry.module_dict.pop(part.__name__)
