"""The device that a program is to compute on, checked before anything is loaded."""

from __future__ import annotations

import torch

from .errors import one_line


def devices_here() -> list[str]:
    """List the processor and the GPUs that PyTorch can use on this computer.

    Returns:
        ``'cpu'``, ``'cuda:0'`` ...
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return ['cpu', *(f'cuda:{number}' for number in range(count))]


def check_device(device: str) -> str:
    """Check that PyTorch can compute on a device, by a sum of one number.

    Args:
        device: Name of the device, such as ``'cpu'`` or ``'cuda:0'``.

    Returns:
        The same name.

    Raises:
        ValueError: If it cannot. The message names the device, the reason and the devices here.
    """
    try:
        torch.zeros(1, device=device).sum().item()
    except Exception as error:  # of every type, by kind of device and build of PyTorch
        reason = one_line(error)
        if 'device string' in reason.lower():  # a long list of kinds that are not here
            reason = 'there is no such kind of device'
        raise ValueError(
            f'--device {device}: PyTorch cannot use it ({reason}); give one that is here: '
            f'{", ".join(devices_here())}'
        ) from error
    return device
