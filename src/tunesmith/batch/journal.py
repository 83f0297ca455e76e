"""Journal of a job: the event log of its core, on disk, locked by one run."""

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tunesmith.batch.append_log import AppendOnlyJsonl, read_line
from tunesmith.batch.core.core import JobCore
from tunesmith.batch.core.entries import VERSION, Entry, JobBegun, encode_entry, parse_entry
from tunesmith.batch.lock import try_lock_file
from tunesmith.errors import ConfigurationError

__all__ = ["Journal", "check_entry", "read_header"]

_BEGINNING = b'{"journal":'


class Journal:
    """The journal file, locked for this run.

    Args:
        path: The file; it is created if it does not exist.

    Attributes:
        header: Its first entry; None if the file is new.
        next_shard: The number of the next shard.

    Raises:
        ConfigurationError: Another run is using it.
        DatasetError: It cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.log = AppendOnlyJsonl(path)
        self.header: JobBegun | None = None
        self.next_shard = 1
        if not try_lock_file(self.log.descriptor):
            self.log.close()
            raise ConfigurationError(f"another run is using {path}: wait until it ends, or stop it")

    def replay(self, core: JobCore) -> None:
        """Replay all entries; a torn last line is cut off.

        Raises:
            DatasetError: It is damaged.
            ConfigurationError: It has another format version.
        """
        for _, _, data in self.log.recover():
            entry = parse_entry(data)
            if isinstance(entry, JobBegun):
                check_entry(entry, Path(self.log.path))
                self.header = self.header or entry
            elif entry is not None:
                core.replay(entry)
                number = getattr(entry, "number", 0)
                self.next_shard = max(self.next_shard, number + 1)

    def begin(self, output: str, settings: Mapping[str, Any]) -> JobBegun:
        """Return the first entry, which is written if the file is new."""
        if self.header is None:
            self.header = JobBegun(VERSION, output, secrets.token_hex(8), settings)
            self.append(self.header)
        return self.header

    def append(self, entry: Entry) -> None:
        """Append an entry.

        Raises:
            DatasetError: The disk is full, or the file cannot be written.
        """
        self.log.add(encode_entry(entry))


def read_header(path: Path) -> JobBegun | None:
    """Return the first entry of a journal; None if it is empty, or its first line is torn.

    Raises:
        ConfigurationError: The file is not a journal, or has another format version.
    """
    if not path.exists():
        return None
    with path.open("rb") as stream:
        first = stream.readline()
    data = read_line(first)
    entry = parse_entry(data) if data is not None else None
    if isinstance(entry, JobBegun):
        check_entry(entry, path)
        return entry
    text = first.rstrip(b"\0")
    is_torn = not first.endswith(b"\n") and (
        text.startswith(_BEGINNING) or _BEGINNING.startswith(text)
    )
    if is_torn:
        return None
    raise ConfigurationError(f"{path} exists and is not a journal of a job: choose another output")


def check_entry(entry: JobBegun, path: Path) -> None:
    """Refuse a journal of another version.

    Raises:
        ConfigurationError: It has another format version.
    """
    if entry.version != VERSION:
        remedy = (
            "upgrade tunesmith to resume"
            if entry.version > VERSION
            else "resume with the tunesmith that wrote it, or choose another output"
        )
        raise ConfigurationError(
            f"{path} is a batch journal in format version {entry.version}, but this tunesmith "
            f"reads version {VERSION}: {remedy}"
        )
