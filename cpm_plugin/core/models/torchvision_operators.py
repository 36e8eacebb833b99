"""Lets torchvision be imported where its compiled operators do not load.

So it is with a CUDA build of torchvision beside a CPU build of PyTorch. timm and MMPose import
torchvision, and need none of these operators.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import torch

# Operators of torchvision that its Python code refers to at import time (versions 0.20 to 0.28).
_SCHEMAS = {
    name: f'{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor'
    for name in ('nms', 'qnms')
}
# Definitions in a torch.library.Library exist as long as the object does.
_libraries: list[torch.library.Library] = []


def fix_torchvision() -> bool:
    """Declare the compiled operators whose absence keeps torchvision from being imported.

    Only the schemas of the operators are declared, one for each that the import needs. A call of
    such an operator still fails. The error is torchvision's own; through ``torch.ops`` it names
    the operator and the remedy.

    Returns:
        Whether something was declared.

    Raises:
        RuntimeError: If torchvision cannot be imported for another reason.
    """
    acted = False
    while True:
        try:
            importlib.import_module('torchvision')
            return acted
        except ModuleNotFoundError:
            return acted  # not installed: nothing to fix
        except RuntimeError as error:
            found = re.search(r'operator torchvision::(\w+) does not exist', str(error))
            schema = _SCHEMAS.get(found[1]) if found else None
            if found is None or schema is None:
                raise
            for name in [key for key in sys.modules if key.split('.')[0] == 'torchvision']:
                del sys.modules[name]
            make_library: Any = torch.library.Library  # which has no types
            library = make_library('torchvision', 'FRAGMENT')
            library.define(schema)
            remedy = 'install the torchvision build that belongs to this torch'
            library.impl(found[1], missing_operator(f'torchvision::{found[1]}', remedy), 'CPU')
            _libraries.append(library)
            acted = True


def missing_operator(operator: str, remedy: str) -> Callable[..., NoReturn]:
    """Make a function in place of an operator that is not compiled.

    Args:
        operator: Name of the operator.
        remedy: What lets it be used.

    Returns:
        Function of any arguments that raises NotImplementedError, with the name and the remedy.
    """

    def raise_missing(*args: Any, **kwargs: Any) -> NoReturn:
        raise NotImplementedError(f'{operator} is not compiled here; to use it, {remedy}')

    return raise_missing
