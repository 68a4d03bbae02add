"""What Linux has and other systems may lack, with a substitute for those.

macOS has no core affinity; Windows has neither that nor POSIX locks, memory figures or file owners.
"""

from __future__ import annotations

import math
import os
import sys
from typing import IO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


def locked(file: IO[str], wait: bool = False) -> bool:
    """Lock a file until it is closed; returns whether this process now holds the lock.

    On a system without such locks it returns True: a second training of a run goes unnoticed.

    Args:
        file: that is open.
        wait: for a process that holds the lock to release it.
    """
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


def usable_cores() -> int:
    """Cores that this process may use; all of the machine if the system does not say."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def physical_memory() -> float:
    """Bytes of memory of this machine; infinite if the system does not say."""
    if hasattr(os, "sysconf"):
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return math.inf


def has_owners() -> bool:
    """Whether files have owners, which show that code to be loaded is the user's own."""
    return sys.platform != "win32"
