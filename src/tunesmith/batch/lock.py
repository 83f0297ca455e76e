"""Lock of a job, which the system releases however the run ends."""

import os
import sys
from pathlib import Path

__all__ = ["is_locked", "try_lock_file"]


def try_lock_file(descriptor: int) -> bool:
    """Lock an open file until it is closed; return False if it is locked already."""
    try:
        if sys.platform == "win32":
            import msvcrt  # noqa: PLC0415 - Windows only

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl  # noqa: PLC0415 - other systems only

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def is_locked(path: Path) -> bool:
    """Return whether a process has locked a file."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        return not try_lock_file(descriptor)
    finally:
        os.close(descriptor)  # releases the lock
