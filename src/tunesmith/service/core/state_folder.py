"""Layout of a state folder: paths, the process that uses it, and migrations of earlier layouts."""

import json
import os
import socket
import sqlite3
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydantic_core import from_json, to_json

from tunesmith.service.core.errors import StoreError
from tunesmith.service.core.folders import Folders

__all__ = ["DATABASE", "StateFolder", "open_database"]

DATABASE = "service.sqlite"
"""Name of the database."""

_APPLICATION_ID = 0x74756E65
_VERSION = 3  # each change of the layout needs a step of `_migrate`

_SCHEMA = (
    """
    CREATE TABLE records (
        number INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, parent TEXT NOT NULL,
        id TEXT NOT NULL, data BLOB NOT NULL, UNIQUE (kind, parent, id)
    )
    """,
    "CREATE INDEX records_in_order ON records (kind, parent, number)",
    "CREATE TABLE commits (only INTEGER PRIMARY KEY CHECK (only = 1), wall_time REAL, process INT)",
    f"PRAGMA application_id = {_APPLICATION_ID}",
    f"PRAGMA user_version = {_VERSION}",
)

_MAX_CHECKPOINTS = 3
_FINAL_STATUSES = "('succeeded', 'failed', 'cancelled')"


class StateFolder:
    """Paths in a state folder.

    Args:
        path: The folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.folders = Folders(path)
        self._holder = path / "holder.json"

    def blob(self, blob_id: str) -> Path:
        """Return the path of a blob."""
        name = sha256(blob_id.encode("utf-8", "surrogatepass")).hexdigest()
        return self.path / "blobs" / name

    def create(self) -> None:
        """Create the folder if it does not exist.

        Raises:
            StoreError: There is something else.
        """
        if self.path.exists() and not self.path.is_dir():
            raise StoreError(
                f"{self.path} is not a folder with the state of a service: choose another one"
            )
        is_new = not (self.path / DATABASE).exists()
        if is_new and self.path.is_dir() and any(self.path.iterdir()):
            raise self.foreign()
        self.path.mkdir(exist_ok=True)

    def write_holder(self) -> None:
        """Record that this process uses the folder."""
        since = datetime.now(UTC).isoformat(sep=" ", timespec="seconds")
        holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": since}
        self._holder.write_text(json.dumps(holder))

    def delete_holder(self) -> None:
        """Record that the folder is not in use."""
        with suppress(OSError):
            self._holder.unlink()

    def _describe_holder(self) -> str:
        """Return the process that uses the folder, in words."""
        try:
            holder = json.loads(self._holder.read_bytes())
            return f"process {holder['pid']} on {holder['host']} since {holder['since']}"
        except (OSError, ValueError, LookupError, TypeError):
            return "another process"

    @contextmanager
    def errors(self) -> Generator[None]:
        """Raise errors of files and of the database as `StoreError`."""
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            raise self.error(error) from None

    def error(self, error: Exception) -> StoreError:
        """Return an error of a file or of the database with its solution."""
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # without its details
        if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            return StoreError(
                f"{self.path} is in use by {self._describe_holder()}: wait for it, or share the "
                f"state with `tunesmith serve --state {self.path}`"
            )
        if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}:
            return self.damaged()
        if isinstance(error, FileNotFoundError) and (self.path / DATABASE).exists():
            return self.damaged()
        reason = getattr(error, "strerror", None) or error
        return StoreError(
            f"{self.path} cannot be used: {reason}: choose a writable folder with enough space"
        )

    def damaged(self) -> StoreError:
        """Return an error for a damaged state."""
        return StoreError(
            f"{self.path} is damaged: restore a copy of it, or delete it to start again"
        )

    def foreign(self) -> StoreError:
        """Return an error for a folder of another program."""
        return StoreError(
            f"{self.path} is not a state folder of tunesmith and was not changed: "
            "choose another folder"
        )


def open_database(database: sqlite3.Connection, folder: StateFolder) -> None:
    """Lock a database, create or migrate its tables.

    Args:
        database: The database, without transactions of its own.
        folder: The folder around it.

    Raises:
        StoreError: It is of another program or a newer version, damaged or in use.
        sqlite3.Error: The same, in words of the database.
    """
    execute = database.execute
    execute("PRAGMA locking_mode = EXCLUSIVE")
    execute("BEGIN EXCLUSIVE")
    is_new = execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0] == 0
    for statement in _SCHEMA if is_new else ():
        execute(statement)
    execute("COMMIT")
    if execute("PRAGMA application_id").fetchone()[0] != _APPLICATION_ID:
        raise folder.foreign()
    version = execute("PRAGMA user_version").fetchone()[0]
    if version > _VERSION:
        raise StoreError(
            f"{folder.path} was written by a newer tunesmith (layout {version}; this one reads "
            f"up to {_VERSION}): upgrade, or use another folder"
        )
    folder.write_holder()
    (folder.path / "blobs").mkdir(exist_ok=True)
    execute("PRAGMA journal_mode = WAL")
    execute("PRAGMA synchronous = NORMAL")
    try:
        _migrate(database, folder, version)
    except (LookupError, ValueError):
        raise folder.damaged() from None
    _discard_orphans(database, folder)


def _discard_orphans(database: sqlite3.Connection, folder: StateFolder) -> None:
    """Delete files that a killed process left behind before or after a commit."""

    def ids(condition: str) -> list[str]:
        return [row[0] for row in database.execute(f"SELECT id FROM records WHERE {condition}")]  # noqa: S608 - constants

    blobs = set(map(folder.blob, ids("kind IN ('files', 'parts', 'batch_runs')")))
    for path in (folder.path / "blobs").iterdir():
        if path not in blobs:
            path.unlink()
    folder.folders.retain("models", ids("kind = 'model_bases'"))
    is_unfinished = "json_extract(CAST(data AS TEXT), '$.status') NOT IN " + _FINAL_STATUSES
    folder.folders.retain("trainings", ids(f"kind IN ('jobs', 'fine_tunes') AND {is_unfinished}"))
    folder.folders.retain("weights", ())


def _migrate(database: sqlite3.Connection, folder: StateFolder, version: int) -> None:
    # Files are moved before the transaction ends, in a way that can be repeated: a migration that
    # was interrupted runs again when the state is opened next.
    if version == _VERSION:
        return
    steps: Mapping[int, Callable[[sqlite3.Connection, StateFolder], None]] = {2: _migrate_2}
    database.execute("BEGIN")
    try:
        for number in range(version, _VERSION):
            steps[number](database, folder)
        database.execute(f"PRAGMA user_version = {_VERSION}")
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


def _migrate_2(database: sqlite3.Connection, folder: StateFolder) -> None:
    """Move weights from blobs to folders, and the requests of batches from records to blobs."""
    for name, _ in _records(database, "model_bases"):
        weights = folder.blob(f"weights:{name}")
        if weights.exists():
            target = folder.folders.path("models", name)
            target.mkdir(exist_ok=True)
            weights.replace(target / "ngram.json")  # the only engine that version 2 stored
    for job_id, state in _records(database, "lifecycles"):
        times = state.pop("epoch_ended_at", None)
        if times is not None:
            retained = sorted(times, key=int)[-_MAX_CHECKPOINTS:]
            state["checkpoint_at"] = {step: times[step] for step in retained}
            _update(database, "lifecycles", job_id, state)
    for batch_id, run in _records(database, "batch_runs"):
        lines = [to_json(line) + b"\n" for _, line in _records(database, "batch_lines", batch_id)]
        if lines:
            folder.blob(batch_id).write_bytes(b"".join(lines))
        (n_sent,) = database.execute(
            "SELECT COUNT(*) FROM records WHERE kind = 'batch_responses' AND parent = ?",
            (batch_id,),
        ).fetchone()
        run["offset"] = sum(map(len, lines[:n_sent]))
        _update(database, "batch_runs", batch_id, run)
    database.execute("DELETE FROM records WHERE kind = 'batch_lines'")


def _records(
    database: sqlite3.Connection, kind: str, parent: str = ""
) -> Iterator[tuple[str, Any]]:
    sql = "SELECT id, data FROM records WHERE kind = ? AND parent = ? ORDER BY number"
    for record_id, data in database.execute(sql, (kind, parent)).fetchall():
        yield record_id, from_json(data)


def _update(database: sqlite3.Connection, kind: str, id: str, value: object) -> None:
    database.execute(
        "UPDATE records SET data = ? WHERE kind = ? AND parent = '' AND id = ?",
        (to_json(value, inf_nan_mode="constants"), kind, id),
    )
