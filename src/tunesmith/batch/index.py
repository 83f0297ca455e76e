"""Index of all keys, on disk: memory stays constant at a million rows."""

import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

from tunesmith.batch.core.ledger import NOTHING, Usage
from tunesmith.batch.core.states import RowRecord, RowState
from tunesmith.batch.rows import duplicate_key, nth_key

__all__ = ["KeyIndex", "Location"]

_CACHE_KIB = 2048
"""The rest goes to a temporary file; small jobs write nothing."""

_MAX_UNSAVED = 4096

_STATES = tuple(RowState)
_NUMBERS = {state: number for number, state in enumerate(_STATES)}
_SENT, _UNCONFIRMED, _FRESH, _READ, _REQUEUED = 1, 2, 4, 8, 16


class Location(NamedTuple):
    """Location of the outcome of a row.

    Attributes:
        key: The row.
        line: Its line in the source; 0 if unknown.
        file: The number of the file.
        offset: Offset of the line in bytes.
        size: Its length in bytes.
        endpoint: The number of the endpoint; None for an outcome of an earlier run.
    """

    key: str
    line: int
    file: int
    offset: int
    size: int
    endpoint: int | None


class KeyIndex:
    """Table of keys: names, records, positions in the source, and locations of outcomes.

    It is a private database that SQLite deletes by itself, even after a crash.
    """

    def __init__(self) -> None:
        # An empty name stands for a temporary file. Restoring is done in another thread, though
        # never in two at once.
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._db.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        self._db.execute("PRAGMA journal_mode = OFF")
        self._db.execute(
            "CREATE TABLE keys (key TEXT PRIMARY KEY, seen INT NOT NULL DEFAULT 0,"
            " state INT NOT NULL DEFAULT -1, flags INT NOT NULL DEFAULT 0,"
            " prompt INT NOT NULL DEFAULT 0, completion INT NOT NULL DEFAULT 0,"
            " shard INT NOT NULL DEFAULT 0) WITHOUT ROWID"
        )
        self._db.execute("CREATE TABLE positions (key TEXT PRIMARY KEY, number INT, line INT)")
        self._db.execute(
            "CREATE TABLE locations"
            " (key TEXT PRIMARY KEY, file INT, at INT, size INT, endpoint INT)"
        )
        self._db.execute("CREATE UNIQUE INDEX numbers ON positions (number)")
        self._db.execute("BEGIN")  # and never committed, since nothing else reads it
        self._unsaved: dict[str, RowRecord] = {}
        self._new_key: str | None = None

    def assign_key(self, key: str, *, is_custom_id: bool) -> tuple[str, bool]:
        """Return the key of a row of this run, and whether its `custom_id` was used before.

        Equal rows without a `custom_id` are numbered.
        """
        seen = self._see(key)
        if seen == 1:
            return key, False
        name = duplicate_key(key, seen) if is_custom_id else nth_key(key, seen)
        self._see(name)
        return name, is_custom_id

    def _see(self, key: str) -> int:
        insert = "INSERT OR IGNORE INTO keys (key, seen) VALUES (?, 1)"
        if self._db.execute(insert, (key,)).rowcount:
            self._new_key = key
            return 1
        update = "UPDATE keys SET seen = seen + 1 WHERE key = ? RETURNING seen, state"
        seen, state = self._db.execute(update, (key,)).fetchone()
        self._new_key = key if state < 0 else None
        return int(seen)

    # --- records, for the core ---

    def get(self, key: str) -> RowRecord | None:
        """Return the record of a key; None if there is none."""
        unsaved = self._unsaved.get(key)
        if unsaved is not None or key == self._new_key:
            return unsaved
        query = "SELECT state, flags, prompt, completion, shard FROM keys WHERE key = ?"
        row = self._db.execute(query, (key,)).fetchone()
        if row is None or row[0] < 0:
            return None
        state, flags, prompt, completion, shard = map(int, row)
        return RowRecord(
            _STATES[state],
            bool(flags & _SENT),
            bool(flags & _UNCONFIRMED),
            bool(flags & _FRESH),
            Usage(prompt, completion) if prompt or completion else NOTHING,
            shard,
            bool(flags & _READ),
            bool(flags & _REQUEUED),
        )

    def put(self, key: str, record: RowRecord) -> None:
        """Store the record of a key."""
        self._unsaved[key] = record
        self._new_key = None
        if len(self._unsaved) >= _MAX_UNSAVED:
            self._save()

    def _save(self) -> None:
        self._db.executemany(
            "INSERT INTO keys (key, state, flags, prompt, completion, shard)"
            " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET state = excluded.state,"
            " flags = excluded.flags, prompt = excluded.prompt,"
            " completion = excluded.completion, shard = excluded.shard",
            ((key, *_columns(record)) for key, record in self._unsaved.items()),
        )
        self._unsaved.clear()

    # --- positions and locations ---

    def set_position(self, key: str, number: int, line: int) -> None:
        """Store the position of a row in the source."""
        self._db.execute("INSERT OR REPLACE INTO positions VALUES (?, ?, ?)", (key, number, line))

    def get_position(self, key: str) -> tuple[int, int] | None:
        """Return number and line of a row; None if they are not known."""
        query = "SELECT number, line FROM positions WHERE key = ?"
        position: tuple[int, int] | None = self._db.execute(query, (key,)).fetchone()
        return position

    def set_location(
        self, key: str, file: int, offset: int, size: int, endpoint: int | None = None
    ) -> None:
        """Store the location of the outcome of a row."""
        self._db.execute(
            "INSERT OR REPLACE INTO locations VALUES (?, ?, ?, ?, ?)",
            (key, file, offset, size, endpoint),
        )

    def locate(self, number: int) -> Location | None:
        """Return the outcome of the row at a position; None if it has none."""
        query = (
            "SELECT key, line, file, at, size, endpoint FROM positions"
            " JOIN locations USING (key) WHERE number = ?"
        )
        row = self._db.execute(query, (number,)).fetchone()
        return None if row is None else Location(*row)

    def ordered(self, errors_file: int) -> Iterator[tuple[int, int, int]]:
        """Return file, offset and size of all answers in the order of the source.

        Answers whose rows are no longer in the source come last.
        """
        yield from self._db.execute(
            "SELECT l.file, l.at, l.size FROM locations l LEFT JOIN positions p ON p.key = l.key"
            " WHERE l.file != ? ORDER BY p.number IS NULL, p.number, l.file, l.at",
            (errors_file,),
        )

    def close(self) -> None:
        """Close the database, which frees its disk space."""
        self._db.close()


def _columns(record: RowRecord) -> tuple[int, int, int, int, int]:
    flags = (
        _SENT * record.is_sent
        | _UNCONFIRMED * record.is_unconfirmed
        | _FRESH * record.is_fresh
        | _READ * record.is_read
        | _REQUEUED * record.is_requeued
    )
    reserved = record.reserved
    return _NUMBERS[record.state], flags, reserved.prompt, reserved.completion, record.shard
