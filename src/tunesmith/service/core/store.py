"""Where the service keeps what it knows: records in the order they came, and blobs of bytes."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

__all__ = ["Collection", "MemoryCollection", "MemoryStore", "RecordPage", "Store"]

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class RecordPage(Generic[R]):
    """A stretch of a collection.

    Args:
        records: What it shows.
        has_more: Whether there is more behind it.
    """

    records: list[R]
    has_more: bool


class Collection(Protocol[R]):
    """Records of one kind by id, in the order in which they were first put."""

    def put(self, id: str, record: R, /) -> None:
        """Add a record, or replace it in its place."""
        ...

    def get(self, id: str, /) -> R | None:
        """Find a record."""
        ...

    def delete(self, id: str, /) -> R | None:
        """Take a record out and give it back; None if there was none."""
        ...

    def get_page(
        self,
        *,
        after: str | None = None,
        limit: int | None = None,
        newest_first: bool = True,
        where: Callable[[R], bool] | None = None,
    ) -> RecordPage[R]:
        """Show a stretch, in time that depends on the stretch, not on the collection.

        Args:
            after: The id of the record before the first to show; one that is not known shows
                nothing.
            limit: At most so many records; None for all.
            newest_first: From the last put to the first, or the other way round.
            where: Shows only records for which this is true.
        """
        ...

    def __len__(self) -> int: ...


class Store(Protocol):
    """Keeps collections and blobs; in memory here, on a disk elsewhere."""

    def collection(self, kind: str, record: type[R], /, *, parent_id: str = "") -> Collection[R]:
        """Open a collection, which is empty at first.

        Args:
            kind: What its records are, such as `files`.
            record: Their type.
            parent_id: The id of the object that they belong to, such as the job of events.
        """
        ...

    def write(self, blob_id: str, chunks: Iterable[bytes], /) -> None:
        """Keep bytes under an id."""
        ...

    def join(self, blob_id: str, parts: Sequence[str], /) -> None:
        """Make one blob out of several, which are gone then."""
        ...

    def read(self, blob_id: str, /, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Go through the bytes of a blob from `start` up to, but without, `stop`."""
        ...

    def size_bytes(self, blob_id: str, /) -> int:
        """Tell how many bytes a blob has."""
        ...

    def delete_blob(self, blob_id: str, /) -> None:
        """Forget a blob; one that is not there is no error."""
        ...


class _Link(Generic[R]):
    __slots__ = ("id", "newer", "older", "record")

    def __init__(self, id: str, record: R, older: "_Link[R] | None") -> None:
        self.id = id
        self.record = record
        self.older = older
        self.newer: _Link[R] | None = None


class MemoryCollection(Generic[R]):
    """A dictionary whose entries also form a chain, so that a page starts anywhere at once."""

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
        link = self._links[id] = _Link(id, record, self._newest)
        if self._newest is None:
            self._oldest = link
        else:
            self._newest.newer = link
        self._newest = link

    def get(self, id: str, /) -> R | None:
        """Find a record."""
        link = self._links.get(id)
        return None if link is None else link.record

    def delete(self, id: str, /) -> R | None:
        """Take a record out and give it back; None if there was none."""
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

    def get_page(
        self,
        *,
        after: str | None = None,
        limit: int | None = None,
        newest_first: bool = True,
        where: Callable[[R], bool] | None = None,
    ) -> RecordPage[R]:
        """Show a stretch; see `Collection.get_page`."""
        found: list[R] = []
        for record in self._walk(after, newest_first=newest_first):
            if where is not None and not where(record):
                continue
            if limit is not None and len(found) == limit:
                return RecordPage(found, has_more=True)
            found.append(record)
        return RecordPage(found, has_more=False)

    def _walk(self, after: str | None, *, newest_first: bool) -> Iterator[R]:
        if after is None:
            link = self._newest if newest_first else self._oldest
        else:
            cursor = self._links.get(after)
            link = cursor and (cursor.older if newest_first else cursor.newer)
        while link is not None:
            yield link.record
            link = link.older if newest_first else link.newer


class MemoryStore:
    """Keeps everything in memory, and forgets it with the process."""

    def __init__(self) -> None:
        self._collections: dict[tuple[str, str], MemoryCollection[Any]] = {}
        self._blobs: dict[str, list[bytes]] = {}

    def collection(self, kind: str, record: type[R], /, *, parent_id: str = "") -> Collection[R]:
        """Open a collection, which is empty at first."""
        del record  # a store that writes records down needs it to read them again
        return self._collections.setdefault((kind, parent_id), MemoryCollection[Any]())

    def write(self, blob_id: str, chunks: Iterable[bytes], /) -> None:
        """Keep bytes under an id."""
        self._blobs[blob_id] = list(chunks)

    def join(self, blob_id: str, parts: Sequence[str], /) -> None:
        """Make one blob out of several, which are gone then."""
        self._blobs[blob_id] = [chunk for part in parts for chunk in self._blobs.pop(part)]

    def read(self, blob_id: str, /, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Go through the bytes of a blob from `start` up to, but without, `stop`."""
        # The chunks are held from here on: a blob that is erased meanwhile is read to its end.
        return _byte_range(self._blobs[blob_id], start, stop)

    def size_bytes(self, blob_id: str, /) -> int:
        """Tell how many bytes a blob has."""
        return sum(map(len, self._blobs[blob_id]))

    def delete_blob(self, blob_id: str, /) -> None:
        """Forget a blob; one that is not there is no error."""
        self._blobs.pop(blob_id, None)


def _byte_range(chunks: Sequence[bytes], start: int, stop: int | None) -> Iterator[bytes]:
    at = 0
    for chunk in chunks:
        piece = chunk[max(start - at, 0) : None if stop is None else max(stop - at, 0)]
        if piece:
            yield piece
        at += len(chunk)
        if stop is not None and at >= stop:
            return
