"""State file of a service: a SQLite database with its requests and cached trainings."""

import hashlib
import sqlite3
import threading
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from pydantic_core import from_json, to_json

from tunesmith.errors import ConfigurationError
from tunesmith.service.core.ids import IdKind

__all__ = ["LogEntry", "StateFile", "StateHeader", "digest"]

_APPLICATION = 0x74756E65
"""Application id in the header of the database: `tune`."""

_FORMAT = 1
_MAGIC = b"SQLite format 3\x00"

_TABLES = """
CREATE TABLE world (seed INTEGER, written_by TEXT, at REAL, wall_s REAL, drawn TEXT);
CREATE TABLE entries (
    number INTEGER PRIMARY KEY, at REAL, method TEXT, path TEXT, query TEXT, content_type TEXT,
    body BLOB, body_digest TEXT, answer TEXT, drawn TEXT
);
CREATE TABLE trainings (key TEXT PRIMARY KEY, record BLOB);
CREATE TABLE weights (training TEXT, step INTEGER, model BLOB, PRIMARY KEY (training, step));
"""


@dataclass(frozen=True, slots=True)
class StateHeader:
    """Time of a state.

    Args:
        timestamp: The service's time, in Unix seconds.
        wall_s: The real time, in Unix seconds.
        id_counters: Number of ids drawn of each kind.
    """

    timestamp: float
    wall_s: float
    id_counters: Mapping[IdKind, int]


@dataclass(frozen=True, slots=True)
class LogEntry:
    """A request that changed the state, or, without a method, only drew ids.

    Args:
        timestamp: The service's time, in Unix seconds.
        id_counters: Number of ids drawn of each kind, afterwards.
        method: The HTTP method.
        path: The path below the base URL.
        query: Names and values.
        content_type: Content type of the body.
        body: The body.
        answer: Digest of the response.
    """

    timestamp: float
    id_counters: Mapping[IdKind, int]
    method: str = ""
    path: str = ""
    query: tuple[tuple[str, str], ...] = ()
    content_type: str = ""
    body: bytes = b""
    answer: str = ""


class StateFile:
    """An open state file, locked against other processes.

    Args:
        path: The file; created if it does not exist.
        seed: Seed of a new state.
        wall_s: The real time, in Unix seconds, of a new state.
        wait_s: Seconds to wait for another process to close the file.

    Raises:
        ConfigurationError: The file is of another program, damaged, too new, in use or read-only.
    """

    def __init__(self, path: Path, *, seed: int, wall_s: float, wait_s: float = 5.0) -> None:
        self.path = path
        self._lock = threading.Lock()
        try:
            exists = path.exists() and path.stat().st_size > 0
            if exists:
                with path.open("rb") as file:
                    if file.read(len(_MAGIC)) != _MAGIC:
                        raise self._not_a_state_file()
            # Worker threads write trainings, guarded by `_lock`.
            self._base = sqlite3.connect(
                path, timeout=wait_s, isolation_level=None, check_same_thread=False
            )
        except (OSError, sqlite3.Error) as error:
            raise self._unusable(error) from None
        try:
            self._base.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._base.execute("BEGIN EXCLUSIVE")
            if exists:
                self._check()
            else:
                self._begin(seed, wall_s)
            self._base.execute("COMMIT")
            self.seed, self.written_by, timestamp, wall, counters = self._base.execute(
                "SELECT * FROM world"
            ).fetchone()
            self.last = StateHeader(timestamp, wall, from_json(counters))
            """Header of the last write."""
        except (sqlite3.Error, TypeError, ValueError) as error:
            self._base.close()
            raise self._unusable(error) from None
        except ConfigurationError:
            self._base.close()
            raise

    def close(self) -> None:
        """Close and unlock the file."""
        with self._lock:
            self._base.close()

    def entries(self) -> Iterator[LogEntry]:
        """Yield the entries in order.

        Raises:
            ConfigurationError: The file is damaged.
        """
        try:
            rows = self._base.execute("SELECT * FROM entries ORDER BY number")
            for (
                _,
                timestamp,
                method,
                path,
                query,
                content_type,
                body,
                body_digest,
                answer,
                counters,
            ) in rows:
                # SQLite detects damage of its structure, not of contents.
                if digest(body) != body_digest:
                    raise self._damaged()
                pairs = tuple((name, value) for name, value in from_json(query))
                yield LogEntry(
                    timestamp, from_json(counters), method, path, pairs, content_type, body, answer
                )
        except (sqlite3.Error, TypeError, ValueError) as error:
            raise self._unusable(error) from None

    def write(self, entries: list[LogEntry], now: StateHeader) -> None:
        """Add entries in one transaction.

        Raises:
            ConfigurationError: The file cannot be written.
        """
        rows = [
            (
                entry.timestamp,
                entry.method,
                entry.path,
                to_json(entry.query).decode(),
                entry.content_type,
                entry.body,
                digest(entry.body),
                entry.answer,
                to_json(entry.id_counters).decode(),
            )
            for entry in entries
        ]
        with self._lock, self._transaction():
            self._base.executemany(
                "INSERT INTO entries VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                rows,
            )
            self._base.execute(
                "UPDATE world SET at = ?, wall_s = ?, drawn = ?",
                (now.timestamp, now.wall_s, to_json(now.id_counters).decode()),
            )

    def find_training(self, key: str) -> bytes | None:
        """Return the record of a cached training."""
        return self._find("SELECT record FROM trainings WHERE key = ?", key)

    def find_weights(self, key: str, step: int) -> bytes | None:
        """Return the weights after a step of a cached training."""
        return self._find("SELECT model FROM weights WHERE training = ? AND step = ?", key, step)

    def store_training(self, key: str, record: bytes, weights: Mapping[int, bytes]) -> None:
        """Cache a training; errors are ignored, since it can be repeated."""
        with suppress(ConfigurationError), self._lock, self._transaction():
            self._base.execute("INSERT OR REPLACE INTO trainings VALUES (?, ?)", (key, record))
            self._base.executemany(
                "INSERT OR REPLACE INTO weights VALUES (?, ?, ?)",
                [(key, step, model) for step, model in weights.items()],
            )

    def replay_mismatch(self) -> ConfigurationError:
        """Return the error for entries whose replay has another response."""
        return ConfigurationError(
            f"{self.path}: the state was written by tunesmith {self.written_by}, and this version "
            f"({version('tunesmith')}) responds differently: use that version or another file"
        )

    def _begin(self, seed: int, wall_s: float) -> None:
        for statement in _TABLES.split(";"):
            self._base.execute(statement)
        self._base.execute(f"PRAGMA application_id={_APPLICATION}")
        self._base.execute(f"PRAGMA user_version={_FORMAT}")
        self._base.execute(
            "INSERT INTO world VALUES (?, ?, ?, ?, '{}')",
            (seed, version("tunesmith"), wall_s, wall_s),
        )

    def _check(self) -> None:
        if self._pragma("application_id") != _APPLICATION:
            raise self._not_a_state_file()
        if self._pragma("user_version") != _FORMAT:
            raise ConfigurationError(
                f"{self.path} was written by a newer tunesmith: upgrade, or start with another file"
            )
        if self._pragma("quick_check") != "ok":
            raise self._damaged()

    def _pragma(self, name: str) -> object:
        return self._base.execute(f"PRAGMA {name}").fetchone()[0]

    def _find(self, sql: str, *parameters: object) -> bytes | None:
        try:
            with self._lock:
                row = self._base.execute(sql, parameters).fetchone()
        except sqlite3.Error:
            return None
        return row[0] if row is not None and isinstance(row[0], bytes) else None

    @contextmanager
    def _transaction(self) -> Generator[None]:
        try:
            self._base.execute("BEGIN")
            try:
                yield
            except BaseException:
                self._base.execute("ROLLBACK")
                raise
            self._base.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._unusable(error) from None

    def _not_a_state_file(self) -> ConfigurationError:
        return ConfigurationError(
            f"{self.path} is not a state file of tunesmith and was not changed: choose another file"
        )

    def _damaged(self) -> ConfigurationError:
        return ConfigurationError(
            f"{self.path} is damaged: restore a copy of it, or delete it to start again"
        )

    def _unusable(self, error: Exception) -> ConfigurationError:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
        if isinstance(error, OSError):
            return ConfigurationError(f"{self.path} cannot be opened: {error.strerror or error}")
        if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            return ConfigurationError(
                f"{self.path} is in use by another process: wait for it, or share it with "
                f"`tunesmith serve --state {self.path}`"
            )
        if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}:
            return self._damaged()
        return ConfigurationError(
            f"{self.path} cannot be used: {error}: choose a file in a writable folder"
        )


def digest(data: bytes) -> str:
    """Return a short digest."""
    return hashlib.sha256(data).hexdigest()[:16]
