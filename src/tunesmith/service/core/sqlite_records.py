"""Records in a SQLite database."""

import sqlite3
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from tunesmith.service.core.errors import StoreError
from tunesmith.service.core.state_folder import StateFolder
from tunesmith.service.core.store import RecordPage

__all__ = ["RecordDatabase", "SqliteCollection"]

R = TypeVar("R")

_CURSOR = "(SELECT number FROM records WHERE kind = ? AND parent = ? AND id = ?)"
_AFTER = {"DESC": f" AND number < {_CURSOR}", "ASC": f" AND number > {_CURSOR}"}


class RecordDatabase:
    """Transactions of a database, which threads may share.

    After a change that failed, the database can be read, but not changed: objects in memory have
    changes that it does not have.

    Args:
        connection: The connection, without transactions of its own.
        folder: The folder of the database.
    """

    def __init__(self, connection: sqlite3.Connection, folder: StateFolder) -> None:
        self.connection = connection
        self.folder = folder
        self.has_changes = False
        """Whether `commit` has something to write."""
        self._lock = threading.RLock()
        self._failure: StoreError | None = None

    def execute(self, sql: str, *parameters: object) -> int:
        """Execute a statement that changes records; return the number of changed rows."""
        if self._failure is not None:
            raise self._failure
        with self._lock, self._undoing():
            if not self.has_changes:
                self.connection.execute("BEGIN")
                self.has_changes = True
            return self.connection.execute(sql, parameters).rowcount

    def commit(self) -> None:
        """Write all changes."""
        with self._lock, self._undoing():
            self.connection.execute("COMMIT")
            self.has_changes = False

    def rows(self, sql: str, *parameters: object) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a query, fetched in small blocks."""
        with self._lock, self.folder.errors():
            cursor = self.connection.execute(sql, parameters)
        while True:
            with self._lock, self.folder.errors():
                block = cursor.fetchmany(100)
            if not block:
                return
            yield from block

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self.connection.close()

    @contextmanager
    def _undoing(self) -> Generator[None]:
        try:
            yield
        except sqlite3.Error as error:
            with suppress(sqlite3.Error):
                self.connection.execute("ROLLBACK")
            self.has_changes = False
            self._failure = StoreError(
                f"{self.folder.path} can no longer be written: {error}. Make space, and start the "
                "service again. It stores nothing until then; what it confirmed before is stored."
            )
            raise self._failure from None


class SqliteCollection(Generic[R]):
    """Collection of a `SqliteStore`.

    Args:
        database: The database.
        kind: Name of the collection.
        parent_id: Id of the object that owns the records.
        adapter: Encodes and decodes records.
    """

    def __init__(
        self, database: RecordDatabase, kind: str, parent_id: str, adapter: TypeAdapter[R]
    ) -> None:
        self._database = database
        self._key = (kind, parent_id)
        self._adapter = adapter

    def __len__(self) -> int:
        sql = "SELECT COUNT(*) FROM records WHERE kind = ? AND parent = ?"
        (count,) = next(iter(self._database.rows(sql, *self._key)))
        return int(count)

    def put(self, id: str, record: R, /) -> None:
        """Add a record, or replace it in its place."""
        self._database.execute(
            "INSERT INTO records (kind, parent, id, data) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (kind, parent, id) DO UPDATE SET data = excluded.data",
            *self._key,
            id,
            self._encode(record),
        )

    def get(self, id: str, /) -> R | None:
        """Return a record; None if it does not exist."""
        sql = "SELECT data FROM records WHERE kind = ? AND parent = ? AND id = ?"
        for (data,) in self._database.rows(sql, *self._key, id):
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
            raise self._database.folder.damaged() from None

    def delete(self, id: str, /) -> R | None:
        """Remove and return a record; None if it does not exist."""
        record = self.get(id)
        if record is not None:
            sql = "DELETE FROM records WHERE kind = ? AND parent = ? AND id = ?"
            self._database.execute(sql, *self._key, id)
        return record

    def clear(self) -> None:
        """Remove all records."""
        self._database.execute("DELETE FROM records WHERE kind = ? AND parent = ?", *self._key)

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
        rows = self._database.rows(f"{sql} ORDER BY number {order}", *parameters)
        decoded = (self._decode(data) for (data,) in rows)
        records = (record for record in decoded if where is None or where(record))
        page = list(records if limit is None else islice(records, limit))
        return RecordPage(page, has_more=limit is not None and next(records, None) is not None)
