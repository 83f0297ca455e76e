"""Files that can be read more than once, wherever they are, compressed or not."""

import gzip
import shutil
import weakref
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from io import BufferedReader, RawIOBase, TextIOBase
from os import PathLike, fspath
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Literal, cast, get_args

from tunesmith.datasets.read.zstd import open_zstd
from tunesmith.errors import DatasetError

__all__ = ["KINDS", "DataFile", "FileType"]

FileType = Literal["csv", "tsv", "xlsx", "txt", "json", "jsonl", "parquet"]
"""What a file is, as the end of its name tells."""

KINDS: tuple[FileType, ...] = get_args(FileType)
"""Every kind of file."""

_COMPRESSED = (".gz", ".zst")
_OTHER_NAMES: dict[str, FileType] = {"ndjson": "jsonl", "pq": "parquet"}


class DataFile:
    """A file of rows.

    Args:
        source: A path, or a file object, binary or text; one that cannot seek is first copied to a
            temporary file. File objects are left open.
        kind: The kind of file; without it, what the name's extension says.
        name: What to call it in messages; without it, its path.

    Raises:
        DatasetError: There is no such file, or its kind cannot be told.
    """

    def __init__(
        self,
        source: str | PathLike[str] | IO[bytes] | IO[str],
        kind: FileType | None = None,
        name: str | None = None,
    ) -> None:
        if isinstance(source, str | PathLike):
            self.path: Path | None = Path(source)
            self._object: IO[bytes] | IO[str] | None = None
            self.name = name or fspath(source)
        else:
            self.path = None
            self._object = source
            given = getattr(source, "name", None)
            self.name = name or (given if isinstance(given, str) else "<file>")
        self._start: int | None = None
        self.kind: FileType = kind or self._kind()

    def _kind(self) -> FileType:
        name = self.name.lower()
        for ending in _COMPRESSED:
            name = name.removesuffix(ending)
        extension = Path(name).suffix.removeprefix(".")
        if extension in KINDS:
            return extension
        if extension in _OTHER_NAMES:
            return _OTHER_NAMES[extension]
        had = f"ends in `.{extension}`" if extension else "has no extension"
        raise DatasetError(
            f"The file's kind is unknown: its name {had}.",
            file=self.name,
            remedy=f"Use one of {', '.join(f'.{k}' for k in KINDS)} (.gz and .zst may follow),"
            " or name the kind: kind='csv'.",
        )

    @contextmanager
    def open(self) -> Generator[BufferedReader, None, None]:
        """The file's bytes from the beginning, decompressed."""
        with self._raw() as raw:
            magic = raw.peek(4)[:4]
            if not magic:
                raise DatasetError(
                    "The file is empty.", file=self.name, remedy="Give a file with examples."
                )
            try:
                if magic.startswith(b"\x1f\x8b"):
                    with gzip.open(raw) as stream:
                        yield self._seekable(cast("IO[bytes]", stream))
                elif magic == b"\x28\xb5\x2f\xfd":
                    with open_zstd(raw, self.name) as stream:
                        yield self._seekable(stream)
                else:
                    yield raw
            except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                raise DatasetError(
                    f"The compressed file is damaged or cut off: {error}.",
                    file=self.name,
                    remedy="Copy or download it again.",
                ) from error

    @contextmanager
    def _raw(self) -> Generator[BufferedReader, None, None]:
        if self.path is None:
            yield self._rewind()
            return
        try:
            stream = self.path.open("rb")
        except FileNotFoundError:
            raise DatasetError(
                "There is no such file.", file=self.name, remedy="Check the path."
            ) from None
        except IsADirectoryError:
            raise DatasetError(
                "This is a directory.", file=self.name, remedy="Give a file in it."
            ) from None
        except PermissionError:
            raise DatasetError(
                "There is no permission to read this file.",
                file=self.name,
                remedy="Change its permissions (chmod u+r), or copy it to a place of yours.",
            ) from None
        except OSError as error:
            raise DatasetError(
                f"The file cannot be opened: {error.strerror or error}.", file=self.name
            ) from error
        with stream:
            yield stream

    def _rewind(self) -> BufferedReader:
        source = self._object
        assert source is not None  # noqa: S101 — there is a path or an object
        if self._start is None:
            if isinstance(source, TextIOBase) or not source.seekable():
                source = self._object = self._copied(source)
            self._start = source.tell()
        source.seek(self._start)
        return _NonClosingStream(cast("IO[bytes]", source))

    def _copied(self, source: IO[bytes] | IO[str]) -> IO[bytes]:
        copy = TemporaryFile(prefix="tunesmith-")  # noqa: SIM115 — closed with this object
        weakref.finalize(self, copy.close)
        for piece in iter(lambda: source.read(1 << 16), type(source.read(0))()):
            copy.write(piece.encode() if isinstance(piece, str) else piece)
        copy.seek(0)
        return copy

    def _seekable(self, stream: IO[bytes]) -> BufferedReader:
        if self.kind not in {"xlsx", "parquet"}:
            return cast("BufferedReader", stream)
        # Both begin at their end.
        copy = TemporaryFile(prefix="tunesmith-")  # noqa: SIM115 — closed with this object
        weakref.finalize(self, copy.close)
        shutil.copyfileobj(stream, copy)
        copy.seek(0)
        return cast("BufferedReader", copy)


class _NonClosingStream(BufferedReader):
    """Reads a file object without closing it: it is the user's."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        super().__init__(cast("RawIOBase", stream))

    def close(self) -> None:
        self.detach()
