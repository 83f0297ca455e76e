"""Store on disk: records in a SQLite database, blobs and weights in files beside it."""

import os
import shutil
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter

from tunesmith.service.core.folders import new_path
from tunesmith.service.core.sqlite_records import RecordDatabase, SqliteCollection
from tunesmith.service.core.state_folder import DATABASE, StateFolder, open_database

__all__ = ["SqliteStore"]

R = TypeVar("R")

_CHUNK_BYTES = 256 * 1024
_BUSY_TIMEOUT_S = 5.0


def _wall_time() -> float:
    return time.time()


@cache
def _adapter(record: Any) -> TypeAdapter[Any]:
    return TypeAdapter(record)


class SqliteStore:
    """Store in a folder, which one process can open at a time.

    Changes are in the folder after `commit`, all of them or none. After a commit that failed, the
    store can be read, but not changed.

    Args:
        path: The folder; created if it does not exist.

    Raises:
        StoreError: The folder is of another program or version, damaged, in use or read-only.
    """

    is_durable = True
    """Whether the store outlives the process."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._folder = StateFolder(self.path)
        self._deleted: list[Path] = []
        with self._folder.errors():
            self._folder.create()
            connection = sqlite3.connect(
                self.path / DATABASE,
                timeout=_BUSY_TIMEOUT_S,
                isolation_level=None,
                check_same_thread=False,
            )
        self._database = RecordDatabase(connection, self._folder)
        try:
            with self._folder.errors():
                open_database(connection, self._folder)
        except BaseException:
            connection.close()
            raise

    @property
    def has_changes(self) -> bool:
        """Whether `commit` has something to write."""
        return self._database.has_changes

    def resume_time(self, committed: float | None, /) -> float:
        """Return the service's time now: as much time has passed for it as in reality."""
        for (wall_time,) in self._database.rows("SELECT wall_time FROM commits"):
            if committed is not None:
                return committed + max(_wall_time() - float(wall_time), 0.0)
        return _wall_time()

    def collection(
        self, kind: str, record: type[R], /, *, parent_id: str = ""
    ) -> "SqliteCollection[R]":
        """Open a collection, creating it if necessary."""
        return SqliteCollection(self._database, kind, parent_id, _adapter(cast("Any", record)))

    def commit(self) -> None:
        """Write all changes.

        Raises:
            StoreError: The folder cannot be written.
        """
        if self.has_changes:
            sql = "INSERT OR REPLACE INTO commits VALUES (1, ?, ?)"
            self._database.execute(sql, _wall_time(), os.getpid())
            self._database.commit()
            for path in self._deleted:
                _delete(path)
            self._deleted.clear()

    def close(self) -> None:
        """Write all changes and close the folder."""
        try:
            self.commit()
        finally:
            self._folder.delete_holder()
            self._database.close()

    def write(self, blob_id: str, chunks: Iterable[bytes], /) -> None:
        """Write a blob."""
        target = self._folder.blob(blob_id)
        partial = target.with_suffix(".partial")
        with self._folder.errors():
            try:
                with partial.open("wb") as file:
                    for chunk in chunks:
                        file.write(chunk)
                partial.replace(target)
            except BaseException:
                partial.unlink(missing_ok=True)
                raise

    def link(self, blob_id: str, new_id: str, /) -> None:
        """Add a blob with the content of another one, which may be deleted later."""
        with self._folder.errors():
            target = self._folder.blob(new_id)
            target.unlink(missing_ok=True)
            try:
                target.hardlink_to(self._folder.blob(blob_id))
            except (OSError, NotImplementedError):  # file systems without links
                self.write(new_id, self.read(blob_id))

    def join(self, blob_id: str, parts: Sequence[str], /) -> None:
        """Concatenate blobs into a new one."""
        self.write(blob_id, (chunk for part in parts for chunk in self.read(part)))

    def read(self, blob_id: str, /, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Yield the bytes of a blob in a range; see `Store.read`."""
        chunks = _read_range(self._folder.blob(blob_id), start, stop)
        with self._folder.errors():
            next(chunks)  # opens the file: it is read to its end even if it is deleted meanwhile
        return chunks

    def size_bytes(self, blob_id: str, /) -> int:
        """Return the size of a blob."""
        with self._folder.errors():
            return self._folder.blob(blob_id).stat().st_size

    def delete_blob(self, blob_id: str, /) -> None:
        """Delete a blob if it exists."""
        # After a commit, so that no record is left without its blob.
        self._deleted.append(self._folder.blob(blob_id))

    def folder(self, kind: str, id: str, /) -> Path:
        """Return the path of a folder, such as that of a model."""
        with self._folder.errors():
            return self._folder.folders.path(kind, id)

    def new_folder(self, kind: str, id: str, /) -> Path:
        """Return the path of a folder that does not exist, deleting what is there."""
        with self._folder.errors():
            return new_path(self.folder(kind, id))

    def delete_folder(self, kind: str, id: str, /) -> None:
        """Delete a folder if it exists, after the next commit."""
        self._deleted.append(self.folder(kind, id))


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


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
