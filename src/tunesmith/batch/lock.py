"""One run at a time: a lock that the system lets go of, however the run ends."""

import os
import sys
from pathlib import Path

__all__ = ["is_locked", "try_lock_file"]


def try_lock_file(descriptor: int) -> bool:
    """Lock an open file for this process until it is closed; False if another one has it."""
    try:
        if sys.platform == "win32":
            import msvcrt  # noqa: PLC0415 - of this system only

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl  # noqa: PLC0415 - of other systems only

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def is_locked(path: Path) -> bool:
    """Whether a process has locked a file."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        return not try_lock_file(descriptor)
    finally:
        os.close(descriptor)  # and so lets go of it
