"""Store on disk: records in a SQLite database, blobs in files."""

import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from tunesmith.errors import ConfigurationError
from tunesmith.service.core.folders import Folders, new_path
from tunesmith.service.core.store import RecordPage

__all__ = ["SqliteCollection", "SqliteStore"]

R = TypeVar("R")

_APPLICATION_ID = 0x74756E65
_VERSION = 2
_CHUNK_BYTES = 256 * 1024
_BUSY_TIMEOUT_S = 5.0
_DATABASE = "service.sqlite"

_SCHEMA = f"""
CREATE TABLE records (
    number INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, parent TEXT NOT NULL,
    id TEXT NOT NULL, data BLOB NOT NULL, UNIQUE (kind, parent, id)
);
CREATE INDEX records_in_order ON records (kind, parent, number);
CREATE TABLE commits (only INTEGER PRIMARY KEY CHECK (only = 1), wall_time REAL, process INTEGER);
PRAGMA application_id = {_APPLICATION_ID};
PRAGMA user_version = {_VERSION};
"""

_CURSOR = "(SELECT number FROM records WHERE kind = ? AND parent = ? AND id = ?)"
_AFTER = {"DESC": f" AND number < {_CURSOR}", "ASC": f" AND number > {_CURSOR}"}


def _wall_time() -> float:
    return time.time()


@cache
def _adapter(record: Any) -> TypeAdapter[Any]:
    return TypeAdapter(record)


class SqliteStore:
    """Store in a folder, which one process can open at a time.

    Changes are in the folder after `commit`, all of them or none.

    Args:
        path: The folder; created if it does not exist.

    Raises:
        ConfigurationError: The folder is of another program or version, damaged, in use or
            read-only.
    """

    is_durable = True
    """Whether the store outlives the process."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.has_changes = False
        """Whether `commit` has something to write."""
        self._lock = threading.RLock()
        self._blobs = self.path / "blobs"
        self._folders = Folders(self.path)
        self._deleted: list[Path] = []
        if self.path.exists() and not self.path.is_dir():
            raise ConfigurationError(
                f"{self.path} is not a folder with the state of a service: choose another one"
            )
        if self.path.is_dir() and not (self.path / _DATABASE).exists() and any(self.path.iterdir()):
            raise ConfigurationError(
                f"{self.path} is not a state folder of tunesmith and was not changed: "
                "choose another folder"
            )
        try:
            self.path.mkdir(exist_ok=True)
            self._blobs.mkdir(exist_ok=True)
            for partial in self._blobs.glob("*.partial"):
                partial.unlink()
            self._database = sqlite3.connect(
                self.path / _DATABASE,
                timeout=_BUSY_TIMEOUT_S,
                isolation_level=None,
                check_same_thread=False,
            )
        except (OSError, sqlite3.Error) as error:
            raise self._error(error) from None
        try:
            with self._errors():
                self._open()
        except BaseException:
            self._database.close()
            raise

    def resume_time(self, committed: float | None, /) -> float:
        """Return the service's time now: as much time has passed for it as in reality."""
        for (wall_time,) in self.rows("SELECT wall_time FROM commits"):
            if committed is not None:
                return committed + max(_wall_time() - float(wall_time), 0.0)
        return _wall_time()

    def collection(
        self, kind: str, record: type[R], /, *, parent_id: str = ""
    ) -> "SqliteCollection[R]":
        """Open a collection, creating it if necessary."""
        return SqliteCollection(self, kind, parent_id, _adapter(cast("Any", record)))

    def commit(self) -> None:
        """Write all changes.

        Raises:
            ConfigurationError: The folder cannot be written.
        """
        if self.has_changes:
            self.execute(
                "INSERT OR REPLACE INTO commits VALUES (1, ?, ?)", _wall_time(), os.getpid()
            )
            with self._lock, self._errors():
                self._database.execute("COMMIT")
            self.has_changes = False
            for path in self._deleted:
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)
            self._deleted.clear()

    def close(self) -> None:
        """Write all changes and close the folder."""
        with self._lock:
            try:
                self.commit()
            finally:
                self._database.close()

    def write(self, blob_id: str, chunks: Iterable[bytes], /) -> None:
        """Write a blob."""
        target = self._blob(blob_id)
        partial = target.with_suffix(".partial")
        with self._errors():
            try:
                with partial.open("wb") as file:
                    for chunk in chunks:
                        file.write(chunk)
                partial.replace(target)
            except BaseException:
                partial.unlink(missing_ok=True)
                raise

    def join(self, blob_id: str, parts: Sequence[str], /) -> None:
        """Concatenate blobs into a new one, deleting them."""
        self.write(blob_id, (chunk for part in parts for chunk in self.read(part)))
        for part in parts:
            self.delete_blob(part)

    def read(self, blob_id: str, /, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Yield the bytes of a blob in a range; see `Store.read`."""
        chunks = _read_range(self._blob(blob_id), start, stop)
        next(chunks)  # opens the file: it is read to its end even if it is deleted meanwhile
        return chunks

    def size_bytes(self, blob_id: str, /) -> int:
        """Return the size of a blob."""
        return self._blob(blob_id).stat().st_size

    def delete_blob(self, blob_id: str, /) -> None:
        """Delete a blob if it exists."""
        # After a commit, so that no record is left without its blob.
        self._deleted.append(self._blob(blob_id))

    def folder(self, kind: str, id: str, /) -> Path:
        """Return the path of a folder, such as that of a model."""
        with self._errors():
            return self._folders.path(kind, id)

    def new_folder(self, kind: str, id: str, /) -> Path:
        """Return the path of a folder that does not exist, deleting what is there."""
        with self._errors():
            return new_path(self.folder(kind, id))

    def delete_folder(self, kind: str, id: str, /) -> None:
        """Delete a folder if it exists, after the next commit."""
        self._deleted.append(self.folder(kind, id))

    def execute(self, sql: str, *parameters: object) -> int:
        """Execute a statement that changes records; return the number of changed rows."""
        with self._lock, self._errors():
            if not self.has_changes:
                self._database.execute("BEGIN")
                self.has_changes = True
            return self._database.execute(sql, parameters).rowcount

    def rows(self, sql: str, *parameters: object) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a query, fetched in small blocks."""
        with self._lock, self._errors():
            cursor = self._database.execute(sql, parameters)
        while True:
            with self._lock, self._errors():
                block = cursor.fetchmany(100)
            if not block:
                return
            yield from block

    def _open(self) -> None:
        execute = self._database.execute
        execute("PRAGMA locking_mode = EXCLUSIVE")
        execute("BEGIN EXCLUSIVE")
        is_new = execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0] == 0
        execute("COMMIT")
        if is_new:
            self._database.executescript(_SCHEMA)
        elif execute("PRAGMA application_id").fetchone()[0] != _APPLICATION_ID:
            raise ConfigurationError(
                f"{self.path} is not a state folder of tunesmith and was not changed: "
                "choose another folder"
            )
        elif execute("PRAGMA user_version").fetchone()[0] > _VERSION:
            raise ConfigurationError(
                f"{self.path} was written by a newer tunesmith: upgrade, or use another folder"
            )
        execute("PRAGMA journal_mode = WAL")
        execute("PRAGMA synchronous = NORMAL")

    def _blob(self, blob_id: str) -> Path:
        return self._blobs / sha256(blob_id.encode("utf-8", "surrogatepass")).hexdigest()

    def damaged(self) -> ConfigurationError:
        """Return an error for a damaged state."""
        return ConfigurationError(
            f"{self.path} is damaged: restore a copy of it, or delete it to start again"
        )

    @contextmanager
    def _errors(self) -> Generator[None]:
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            raise self._error(error) from None

    def _error(self, error: Exception) -> ConfigurationError:
        code = getattr(error, "sqlite_errorcode", None)
        if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            return ConfigurationError(
                f"{self.path} is in use by another process: wait for it, or share it with "
                f"`tunesmith serve --state {self.path}`"
            )
        if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}:
            return self.damaged()
        reason = getattr(error, "strerror", None) or error
        return ConfigurationError(
            f"{self.path} cannot be used: {reason}: choose a writable folder with enough space"
        )


class SqliteCollection(Generic[R]):
    """Collection of a `SqliteStore`."""

    def __init__(
        self, store: SqliteStore, kind: str, parent_id: str, adapter: TypeAdapter[R]
    ) -> None:
        self._store = store
        self._key = (kind, parent_id)
        self._adapter = adapter

    def __len__(self) -> int:
        sql = "SELECT COUNT(*) FROM records WHERE kind = ? AND parent = ?"
        (count,) = next(iter(self._store.rows(sql, *self._key)))
        return int(count)

    def put(self, id: str, record: R, /) -> None:
        """Add a record, or replace it in its place."""
        self._store.execute(
            "INSERT INTO records (kind, parent, id, data) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (kind, parent, id) DO UPDATE SET data = excluded.data",
            *self._key,
            id,
            self._encode(record),
        )

    def get(self, id: str, /) -> R | None:
        """Return a record; None if it does not exist."""
        sql = "SELECT data FROM records WHERE kind = ? AND parent = ? AND id = ?"
        for (data,) in self._store.rows(sql, *self._key, id):
            return self._decode(data)
        return None

    def _encode(self, record: R) -> bytes:
        # Via Python, since JSON from pydantic has null for NaN and infinity.
        value = self._adapter.dump_python(record, exclude_unset=True, by_alias=True)
        return to_json(value, inf_nan_mode="constants")

    def _decode(self, data: bytes) -> R:
        try:
            return self._adapter.validate_json(data)
        except ValidationError:
            raise self._store.damaged() from None

    def delete(self, id: str, /) -> R | None:
        """Remove and return a record; None if it does not exist."""
        record = self.get(id)
        if record is not None:
            sql = "DELETE FROM records WHERE kind = ? AND parent = ? AND id = ?"
            self._store.execute(sql, *self._key, id)
        return record

    def get_page(
        self,
        *,
        after: str | None = None,
        limit: int | None = None,
        newest_first: bool = True,
        where: Callable[[R], bool] | None = None,
    ) -> RecordPage[R]:
        """Return a page; see `Collection.get_page`."""
        order = "DESC" if newest_first else "ASC"
        sql, parameters = "SELECT data FROM records WHERE kind = ? AND parent = ?", [*self._key]
        if after is not None:
            sql += _AFTER[order]
            parameters += [*self._key, after]
        rows = self._store.rows(f"{sql} ORDER BY number {order}", *parameters)
        decoded = (self._decode(data) for (data,) in rows)
        records = (record for record in decoded if where is None or where(record))
        page = list(records if limit is None else islice(records, limit))
        return RecordPage(page, has_more=limit is not None and next(records, None) is not None)


def _read_range(path: Path, start: int, stop: int | None) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield b""
        file.seek(start)
        left = None if stop is None else max(stop - start, 0)
        while left is None or left > 0:
            chunk = file.read(_CHUNK_BYTES if left is None else min(left, _CHUNK_BYTES))
            if not chunk:
                return
            yield chunk
            if left is not None:
                left -= len(chunk)
