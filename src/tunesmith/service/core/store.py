"""Storage of the service: collections of records in insertion order, and blobs of bytes."""

import shutil
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Generic, Protocol, TypeVar

from tunesmith.clock import EPOCH_S
from tunesmith.service.core.folders import Folders, new_path

__all__ = ["Collection", "MemoryCollection", "MemoryStore", "RecordPage", "Store"]

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class RecordPage(Generic[R]):
    """Consecutive records of a collection.

    Args:
        records: The records.
        has_more: Whether more records follow.
    """

    records: list[R]
    has_more: bool


class Collection(Protocol[R]):
    """Records of one kind by id, in insertion order."""

    def put(self, id: str, record: R, /) -> None:
        """Add a record, or replace it in its place."""
        ...

    def get(self, id: str, /) -> R | None:
        """Return a record; None if it does not exist."""
        ...

    def delete(self, id: str, /) -> R | None:
        """Remove and return a record; None if it does not exist."""
        ...

    def clear(self) -> None:
        """Remove all records."""
        ...

    def get_page(
        self,
        *,
        after: str | None = None,
        limit: int | None = None,
        newest_first: bool = True,
        where: Callable[[R], bool] | None = None,
    ) -> RecordPage[R]:
        """Return a page, in time proportional to the page, not to the collection.

        Args:
            after: Id of the last record of the previous page; an unknown id gives an empty page.
            limit: Maximum number of records; None for all.
            newest_first: Whether the order is from the newest to the oldest.
            where: Condition that records must meet.
        """
        ...

    def __len__(self) -> int: ...


class Store(Protocol):
    """Collections and blobs, in memory or on disk."""

    @property
    def is_durable(self) -> bool:
        """Whether the store outlives the process."""
        ...

    @property
    def has_changes(self) -> bool:
        """Whether `commit` has something to write."""
        ...

    def commit(self) -> None:
        """Write all changes."""
        ...

    def close(self) -> None:
        """Write all changes and release the store."""
        ...

    def resume_time(self, committed: float | None, /) -> float:
        """Return the service's time at opening, in Unix seconds.

        Args:
            committed: The service's time at the last commit; None for a new store.
        """
        ...

    def collection(self, kind: str, record: type[R], /, *, parent_id: str = "") -> Collection[R]:
        """Open a collection, creating it if necessary.

        Args:
            kind: Name of the collection, such as `files`.
            record: Type of its records.
            parent_id: Id of the object that owns the records, such as the job of events.
        """
        ...

    def write(self, blob_id: str, chunks: Iterable[bytes], /) -> None:
        """Write a blob."""
        ...

    def link(self, blob_id: str, new_id: str, /) -> None:
        """Add a blob with the content of another one, which may be deleted later."""
        ...

    def join(self, blob_id: str, parts: Sequence[str], /) -> None:
        """Concatenate blobs into a new one."""
        ...

    def read(self, blob_id: str, /, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Yield the bytes of a blob in the range from `start` to `stop`, exclusive.

        A blob that is deleted meanwhile is read to its end.
        """
        ...

    def size_bytes(self, blob_id: str, /) -> int:
        """Return the size of a blob."""
        ...

    def delete_blob(self, blob_id: str, /) -> None:
        """Delete a blob if it exists."""
        ...

    def folder(self, kind: str, id: str, /) -> Path:
        """Return the path of a folder, such as that of a model; it is created by who writes it."""
        ...

    def new_folder(self, kind: str, id: str, /) -> Path:
        """Return the path of a folder that does not exist, deleting what is there."""
        ...

    def delete_folder(self, kind: str, id: str, /) -> None:
        """Delete a folder if it exists."""
        ...


class _Link(Generic[R]):
    __slots__ = ("newer", "older", "record")

    def __init__(self, record: R, older: "_Link[R] | None") -> None:
        self.record = record
        self.older = older
        self.newer: _Link[R] | None = None


class MemoryCollection(Generic[R]):
    """Collection in memory: a dictionary whose entries are also a linked list."""

    def __init__(self) -> None:
        self._links: dict[str, _Link[R]] = {}
        self._newest: _Link[R] | None = None
        self._oldest: _Link[R] | None = None

    def __len__(self) -> int:
        return len(self._links)

    def put(self, id: str, record: R, /) -> None:
        """Add a record, or replace it in its place."""
        if id in self._links:
            self._links[id].record = record
            return
        link = self._links[id] = _Link(record, self._newest)
        if self._newest is None:
            self._oldest = link
        else:
            self._newest.newer = link
        self._newest = link

    def get(self, id: str, /) -> R | None:
        """Return a record; None if it does not exist."""
        link = self._links.get(id)
        return None if link is None else link.record

    def delete(self, id: str, /) -> R | None:
        """Remove and return a record; None if it does not exist."""
        link = self._links.pop(id, None)
        if link is None:
            return None
        if link.newer is None:
            self._newest = link.older
        else:
            link.newer.older = link.older
        if link.older is None:
            self._oldest = link.newer
        else:
            link.older.newer = link.newer
        return link.record

    def clear(self) -> None:
        """Remove all records."""
        self._links.clear()
        self._newest = self._oldest = None

    def get_page(
        self,
        *,
        after: str | None = None,
        limit: int | None = None,
        newest_first: bool = True,
        where: Callable[[R], bool] | None = None,
    ) -> RecordPage[R]:
        """Return a page; see `Collection.get_page`."""
        records: list[R] = []
        for record in self._iterate(after, newest_first=newest_first):
            if where is not None and not where(record):
                continue
            if limit is not None and len(records) == limit:
                return RecordPage(records, has_more=True)
            records.append(record)
        return RecordPage(records, has_more=False)

    def _iterate(self, after: str | None, *, newest_first: bool) -> Iterator[R]:
        if after is None:
            link = self._newest if newest_first else self._oldest
        else:
            cursor = self._links.get(after)
            link = cursor and (cursor.older if newest_first else cursor.newer)
        while link is not None:
            yield link.record
            link = link.older if newest_first else link.newer


class MemoryStore:
    """Store in memory, which is lost with the process."""

    is_durable = False
    has_changes = False

    def commit(self) -> None:
        """Do nothing: there is nothing to write."""

    def close(self) -> None:
        """Do nothing: there is nothing to release."""

    def resume_time(self, committed: float | None, /) -> float:
        """Return the service's time at opening."""
        return EPOCH_S if committed is None else committed

    def __init__(self) -> None:
        self._collections: dict[tuple[str, str], MemoryCollection[Any]] = {}
        self._blobs: dict[str, list[bytes]] = {}
        self._folders: Folders | None = None

    def collection(self, kind: str, record: type[R], /, *, parent_id: str = "") -> Collection[R]:
        """Open a collection, creating it if necessary."""
        del record  # a store on disk needs it to decode records
        return self._collections.setdefault((kind, parent_id), MemoryCollection[Any]())

    def write(self, blob_id: str, chunks: Iterable[bytes], /) -> None:
        """Write a blob."""
        self._blobs[blob_id] = list(chunks)

    def link(self, blob_id: str, new_id: str, /) -> None:
        """Add a blob with the content of another one."""
        self._blobs[new_id] = self._blobs[blob_id]

    def join(self, blob_id: str, parts: Sequence[str], /) -> None:
        """Concatenate blobs into a new one."""
        self._blobs[blob_id] = [chunk for part in parts for chunk in self._blobs[part]]

    def read(self, blob_id: str, /, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Yield the bytes of a blob in a range; see `Store.read`."""
        # Not a generator itself: the chunks are looked up before the blob can be deleted.
        return _byte_range(self._blobs[blob_id], start, stop)

    def size_bytes(self, blob_id: str, /) -> int:
        """Return the size of a blob."""
        return sum(map(len, self._blobs[blob_id]))

    def delete_blob(self, blob_id: str, /) -> None:
        """Delete a blob if it exists."""
        self._blobs.pop(blob_id, None)

    def folder(self, kind: str, id: str, /) -> Path:
        """Return the path of a temporary folder, which is deleted with the store."""
        if self._folders is None:
            root = Path(mkdtemp(prefix="tunesmith-"))
            weakref.finalize(self, shutil.rmtree, root, ignore_errors=True)
            self._folders = Folders(root)
        return self._folders.path(kind, id)

    def new_folder(self, kind: str, id: str, /) -> Path:
        """Return the path of a folder that does not exist."""
        return new_path(self.folder(kind, id))

    def delete_folder(self, kind: str, id: str, /) -> None:
        """Delete a folder if it exists."""
        if self._folders is not None:
            new_path(self.folder(kind, id))


def _byte_range(chunks: Sequence[bytes], start: int, stop: int | None) -> Iterator[bytes]:
    offset = 0
    for chunk in chunks:
        piece = chunk[max(start - offset, 0) : None if stop is None else max(stop - offset, 0)]
        if piece:
            yield piece
        offset += len(chunk)
        if stop is not None and offset >= stop:
            return
