"""A file in which a service in memory outlives its process: what was asked of it, and when.

The file is a SQLite database, so that what was written once is there after a crash, nothing is ever
half there, and two processes do not write at the same time. It holds plain data only.
"""

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
"""SQLite's mark of whose database it is: `tune`."""

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
    """When a state was written.

    Args:
        at: The service's time, in Unix seconds.
        wall_s: The time outside, in Unix seconds.
        id_counters: How far each sequence of ids was.
    """

    at: float
    wall_s: float
    id_counters: Mapping[IdKind, int]


@dataclass(frozen=True, slots=True)
class LogEntry:
    """A request that changed something; one without a method only drew ids.

    Args:
        at: The service's time then, in Unix seconds.
        id_counters: How far each sequence of ids was after it.
        method: The HTTP method.
        path: The path below the base URL.
        query: Names and values.
        content_type: Of the body.
        body: The body.
        answer: A digest of the answer.
    """

    at: float
    id_counters: Mapping[IdKind, int]
    method: str = ""
    path: str = ""
    query: tuple[tuple[str, str], ...] = ()
    content_type: str = ""
    body: bytes = b""
    answer: str = ""


class StateFile:
    """An open state file; nobody else can open it meanwhile.

    Args:
        path: The file; made if there is none.
        seed: The seed of the service whose state is begun; a state goes on with its own.
        wall_s: The time outside, in Unix seconds, at which a state is begun.
        wait_s: How long to wait for another process to close the file.

    Raises:
        ConfigurationError: The file is another's, damaged, too new, in use or cannot be written.
    """

    def __init__(self, path: Path, *, seed: int, wall_s: float, wait_s: float = 5.0) -> None:
        self.path = path
        self._lock = threading.Lock()
        try:
            begun = path.exists() and path.stat().st_size > 0
            if begun:
                with path.open("rb") as file:
                    if file.read(len(_MAGIC)) != _MAGIC:
                        raise self._not_a_state_file()
            # The engine trains in worker threads; `_lock` keeps them apart.
            self._base = sqlite3.connect(
                path, timeout=wait_s, isolation_level=None, check_same_thread=False
            )
        except (OSError, sqlite3.Error) as error:
            raise self._unusable(error) from None
        try:
            self._base.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._base.execute("BEGIN EXCLUSIVE")
            if begun:
                self._check()
            else:
                self._begin(seed, wall_s)
            self._base.execute("COMMIT")
            self.seed, self.written_by, at, wall, drawn = self._base.execute(
                "SELECT * FROM world"
            ).fetchone()
            self.last = StateHeader(at, wall, from_json(drawn))
            """When it was last written, as found."""
        except (sqlite3.Error, TypeError, ValueError) as error:
            self._base.close()
            raise self._unusable(error) from None
        except ConfigurationError:
            self._base.close()
            raise

    def close(self) -> None:
        """Let others open it."""
        with self._lock:
            self._base.close()

    def entries(self) -> Iterator[LogEntry]:
        """Go through what was asked, in order.

        Raises:
            ConfigurationError: The file is damaged.
        """
        try:
            rows = self._base.execute("SELECT * FROM entries ORDER BY number")
            for _, at, method, path, query, content_type, body, found, answer, drawn in rows:
                # SQLite notices damage to its own structure, not to what is kept in it.
                if digest(body) != found:
                    raise self._damaged()
                pairs = tuple((name, value) for name, value in from_json(query))
                yield LogEntry(
                    at, from_json(drawn), method, path, pairs, content_type, body, answer
                )
        except (sqlite3.Error, TypeError, ValueError) as error:
            raise self._unusable(error) from None

    def write(self, entries: list[LogEntry], now: StateHeader) -> None:
        """Add what was asked; all of it is there then, or nothing.

        Raises:
            ConfigurationError: It cannot be written.
        """
        rows = [
            (
                entry.at,
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
        with self._lock, self._all_or_nothing():
            self._base.executemany(
                "INSERT INTO entries VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                rows,
            )
            self._base.execute(
                "UPDATE world SET at = ?, wall_s = ?, drawn = ?",
                (now.at, now.wall_s, to_json(now.id_counters).decode()),
            )

    def find_training(self, key: str) -> bytes | None:
        """Find the record of a training that was done before."""
        return self._find("SELECT record FROM trainings WHERE key = ?", key)

    def find_weights(self, key: str, step: int) -> bytes | None:
        """Find the weights after a step of a training."""
        return self._find("SELECT model FROM weights WHERE training = ? AND step = ?", key, step)

    def store_training(self, key: str, record: bytes, weights: Mapping[int, bytes]) -> None:
        """Keep what a training gave, so that it need not be done again."""
        # It saves time, no more: where there is no room for it, the training is done again.
        with suppress(ConfigurationError), self._lock, self._all_or_nothing():
            self._base.execute("INSERT OR REPLACE INTO trainings VALUES (?, ?)", (key, record))
            self._base.executemany(
                "INSERT OR REPLACE INTO weights VALUES (?, ?, ?)",
                [(key, step, model) for step, model in weights.items()],
            )

    def replay_mismatch(self) -> ConfigurationError:
        """Make the error for entries that no longer give what they gave."""
        return ConfigurationError(
            f"{self.path}: the state was written by tunesmith {self.written_by}, and this version "
            f"({version('tunesmith')}) answers otherwise: use that version, or begin another file"
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
                f"{self.path} was written by a newer tunesmith: upgrade, or begin another file"
            )
        if self._pragma("quick_check") != "ok":
            raise self._damaged()

    def _pragma(self, name: str) -> object:
        return self._base.execute(f"PRAGMA {name}").fetchone()[0]

    def _find(self, sql: str, *about: object) -> bytes | None:
        try:
            with self._lock:
                row = self._base.execute(sql, about).fetchone()
        except sqlite3.Error:
            return None
        return row[0] if row is not None and isinstance(row[0], bytes) else None

    @contextmanager
    def _all_or_nothing(self) -> Generator[None]:
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
            f"{self.path} is no state of a tunesmith service, and was left as it is: "
            "name another file"
        )

    def _damaged(self) -> ConfigurationError:
        return ConfigurationError(
            f"{self.path} is damaged: restore a copy of it, or delete it to begin anew"
        )

    def _unusable(self, error: Exception) -> ConfigurationError:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
        if isinstance(error, OSError):
            return ConfigurationError(f"{self.path} cannot be opened: {error.strerror or error}")
        if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            return ConfigurationError(
                f"{self.path} is in use by another process: wait until it is done, or let "
                f"`tunesmith serve --state {self.path}` serve both"
            )
        if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}:
            return self._damaged()
        return ConfigurationError(
            f"{self.path} cannot be used: {error}: name a file in a folder that you may write to"
        )


def digest(data: bytes) -> str:
    """Tell bytes from others, in a few characters."""
    return hashlib.sha256(data).hexdigest()[:16]
