"""What Linux has and other systems may lack, and what stands in for it there.

macOS has no core affinity; Windows neither that nor POSIX locks, memory figures or file owners.
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
    """Whether this process now holds the lock on a file, until it is closed.

    Where there are no such locks it always does: two trainings of one run are not told apart.
    """
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


def usable_cores() -> int:
    """Cores that this process may use; where the system does not say, all there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def physical_memory() -> float:
    """Bytes of this machine; infinite where the system does not say."""
    if hasattr(os, "sysconf"):
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return math.inf


def has_owners() -> bool:
    """Whether files have owners, by which code that is loaded can be told to be the user's."""
    return sys.platform != "win32"
