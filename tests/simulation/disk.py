"""A disk that can fill up, lose what was not synced, and be the last thing a process sees."""


class Crash(BaseException):
    """The process dies between two writes."""


class DiskFullError(Exception):
    """A write failed, and left the file as it was."""


class Disk:
    """Files of lines. `crash_at` is the write at which the process dies; None for never."""

    def __init__(self, rng):
        self.rng = rng
        self.files = {}
        self.synced = {}
        self.writes = 0
        self.crash_at = None
        self.full_from = None

    def append(self, name, line):
        """Add a line."""
        self._count()
        if self.full_from is not None and self.writes >= self.full_from:
            raise DiskFullError
        self.files.setdefault(name, []).append(line)

    def sync(self, name):
        """Make a file safe from a power loss."""
        self._count()
        self.synced[name] = len(self.files.get(name, ()))

    def replace(self, name, lines):
        """Replace a file as a whole, safely."""
        self._count()
        self.files[name] = list(lines)
        self.synced[name] = len(lines)

    def remove(self, name):
        self.files.pop(name, None)
        self.synced.pop(name, None)

    def read(self, name):
        return self.files.get(name, [])

    def lose_power(self):
        """Lose the tail of each file that was not synced; a part of it may have been written."""
        for name, lines in self.files.items():
            safe = self.synced.get(name, 0)
            kept = self.rng.randint(safe, len(lines)) if len(lines) > safe else len(lines)
            del lines[kept:]

    def restart(self):
        """Begin another process: everything that is there was written."""
        self.synced = {name: len(lines) for name, lines in self.files.items()}
        self.crash_at = self.full_from = None
        self.writes = 0

    def _count(self):
        self.writes += 1
        if self.crash_at is not None and self.writes >= self.crash_at:
            raise Crash
