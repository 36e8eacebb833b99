"""Memory of the C library: kept when it is freed, instead of being asked for at every call.

glibc takes every tensor of more than 32 MiB anew from the system, and gives it back when it is
freed. The system fills new memory with zeros, page by page. For the full network that is a sixth of
the time of a training step on a CPU (docs/how-it-works/speed.md).
"""

from __future__ import annotations

import ctypes
import platform

# Numbers of the options in glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
# "Setting M_TRIM_THRESHOLD to -1 disables trimming completely" (man mallopt).
_NEVER = -1


def keep_freed_memory() -> bool:
    """Let this process keep the memory that it frees, for later tensors on the CPU.

    Values do not change. The process never gives memory back until it ends, and what it holds may
    grow by pieces that fit no later tensor. It is meant for programs whose steps are alike, such as
    a training. It stands for the whole process, whatever the network.

    Environment variables do the same for any program: ``MALLOC_MMAP_MAX_=0
    MALLOC_TRIM_THRESHOLD_=17179869184``.

    Returns:
        Whether the C library is glibc, as on most Linux systems. Others stay as they are.

    Examples:
        >>> from cpm_plugin.core.conv.allocator import keep_freed_memory
        >>> keep_freed_memory()  # doctest: +SKIP
        True
    """
    if platform.libc_ver()[0] != 'glibc':
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(_M_MMAP_MAX, 0) and mallopt(_M_TRIM_THRESHOLD, _NEVER))
