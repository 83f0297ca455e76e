"""What is known of every key, on disk: memory stays flat at a million rows."""

import sqlite3
from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import NamedTuple

from tunesmith.batch.results import Usage
from tunesmith.batch.rows import RequestRow, nth_key

__all__ = ["KeyIndex", "RowState", "RowStatus"]

_CACHE_KIB = 2048
"""What is beyond it goes to a temporary file; nothing is written while a job is small."""


class RowStatus(IntEnum):
    """How far a row has come."""

    NEW = 0
    SENT = 1
    """It was sent, and no outcome is known: it may have been paid."""
    DONE = 2
    FAILED = 3
    IN_BATCH = 4
    """It is in a batch that the service works on, or soon will."""


class RowState(NamedTuple):
    """What is known of a key.

    Attributes:
        seen: How often it was seen in this run, this time included.
        state: How far it came in earlier runs.
        offset: Where its answer begins in the file of answers, in bytes; of a row that is `SENT`,
            the tokens that were reserved for its question; of one that is `IN_BATCH`, the shard.
        length: How long the answer is there, in bytes; of a row that is `SENT`, the tokens that
            were reserved for the answer.
    """

    seen: int
    state: RowStatus
    offset: int
    length: int


class KeyIndex:
    """Keys, how often each was seen in this run, and what earlier runs made of it.

    It is a private database that SQLite deletes by itself, even after a crash.
    """

    def __init__(self) -> None:
        # An empty name stands for a temporary file. Reading rows may be done in another thread,
        # though never in two at once.
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._db.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        self._db.execute("PRAGMA journal_mode = OFF")
        self._db.execute(
            "CREATE TABLE keys (key TEXT PRIMARY KEY, seen INT NOT NULL DEFAULT 0,"
            " state INT NOT NULL DEFAULT 0, at INT NOT NULL DEFAULT 0, size INT NOT NULL DEFAULT 0)"
            " WITHOUT ROWID"
        )
        self._db.execute(
            "CREATE TABLE places (key TEXT PRIMARY KEY, number INT, line INT) WITHOUT ROWID"
        )
        self._db.execute("BEGIN")  # and never committed: nobody else reads it

    def mark_seen(self, key: str) -> RowState:
        """Note that a key was seen in this run."""
        seen, state, offset, length = self._db.execute(
            "INSERT INTO keys (key, seen) VALUES (?, 1)"
            " ON CONFLICT (key) DO UPDATE SET seen = seen + 1 RETURNING seen, state, at, size",
            (key,),
        ).fetchone()
        return RowState(seen, RowStatus(state), offset, length)

    def assign_key(self, row: RequestRow) -> tuple[str, RowState]:
        """Give a row of this run its key: those that were built with the same one are numbered."""
        known = self.mark_seen(row.key)
        if known.seen == 1:
            return row.key, known
        key = nth_key(row.key, known.seen)
        return key, self.mark_seen(key)

    def update(self, outcomes: Iterable[tuple[str, RowStatus, int, int]]) -> None:
        """Note what earlier runs made of keys: key, state, offset, length as in `RowState`."""
        self._db.executemany(
            "INSERT INTO keys (key, state, at, size) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (key) DO UPDATE SET state = excluded.state, at = excluded.at,"
            " size = excluded.size",
            outcomes,
        )

    def get(self, key: str) -> RowState:
        """Tell what is known of a key."""
        query = "SELECT seen, state, at, size FROM keys WHERE key = ?"
        seen, state, offset, length = self._db.execute(query, (key,)).fetchone() or (0, 0, 0, 0)
        return RowState(seen, RowStatus(state), offset, length)

    def set_position(self, key: str, number: int, line: int) -> None:
        """Note where in the source a row is that will be done by a batch."""
        self._db.execute("INSERT OR REPLACE INTO places VALUES (?, ?, ?)", (key, number, line))

    def get_position(self, key: str) -> tuple[int, int] | None:
        """Tell where in the source a row is: number and line; None if it is not there any more."""
        query = "SELECT number, line FROM places WHERE key = ?"
        place: tuple[int, int] | None = self._db.execute(query, (key,)).fetchone()
        return place

    def count(self, state: RowStatus) -> int:
        """Count the keys in a state."""
        query = "SELECT count(*) FROM keys WHERE state = ?"
        (count,) = self._db.execute(query, (state,)).fetchone()
        return int(count)

    def reserved(self) -> Usage:
        """Sum up what was reserved for rows that were sent and have no outcome."""
        query = "SELECT total(at), total(size) FROM keys WHERE state = ?"
        prompt, answer = self._db.execute(query, (RowStatus.SENT,)).fetchone()
        return Usage(int(prompt), int(answer))

    def unseen(self) -> Iterator[tuple[int, int]]:
        """Where the answers are whose rows were not seen in this run: offset and length."""
        query = "SELECT at, size FROM keys WHERE state = ? AND seen = 0 AND size > 0 ORDER BY at"
        yield from self._db.execute(query, (RowStatus.DONE,))

    def keys(self, state: RowStatus) -> Iterator[str]:
        """Go through the keys in a state."""
        for (key,) in self._db.execute("SELECT key FROM keys WHERE state = ?", (state,)):
            yield key

    def close(self) -> None:
        """Give its disk space back."""
        self._db.close()
