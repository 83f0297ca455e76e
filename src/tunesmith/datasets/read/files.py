"""Files that can be read more than once, from a path or a file object, compressed or not."""

import gzip
import re
import weakref
import zlib
from codecs import BOM_UTF8
from collections.abc import Generator
from contextlib import contextmanager
from io import BufferedReader, RawIOBase, TextIOBase
from os import PathLike, fspath
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, Literal, cast, get_args

from tunesmith._extras import import_extra
from tunesmith.errors import DatasetError

__all__ = ["JSON_START", "KINDS", "MAGIC", "DataFile", "FileType"]

FileType = Literal["csv", "tsv", "xlsx", "txt", "json", "jsonl", "parquet"]
"""Type of a file, named like its usual extension."""

KINDS: tuple[FileType, ...] = get_args(FileType)
"""Every type of file."""

_COMPRESSED = (".gz", ".zst")
_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_OTHER_NAMES: dict[str, FileType] = {"ndjson": "jsonl", "jsonlines": "jsonl", "pq": "parquet"}
MAGIC: dict[bytes, FileType] = {b"PK\x03\x04": "xlsx", b"PAR1": "parquet"}
"""Types by the first bytes of a file."""

JSON_START = r'\s*(?:\[\s*)*\{\s*"[^"\n]*"\s*:'
"""Beginning of an object with a key, alone or in arrays."""

_SEEKED: frozenset[FileType] = frozenset({"xlsx", "parquet"})
_MAX_SEEKED_BYTES = 1 << 30
"""Most bytes that a compressed workbook or parquet file may have when it is decompressed."""

_CHUNK_BYTES = 1 << 17
_SNIFFED_BYTES = 1024


class DataFile:
    """File of rows.

    Args:
        source: A path, or a file object, binary or text. A file object that cannot seek is copied
            to a temporary file first. File objects stay open.
        kind: The type of the file; without it, that of the name's extension.
        name: The name for messages; without it, the path.

    Raises:
        DatasetError: The file's type is unknown.
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
            object_name = getattr(source, "name", None)
            self.name = name or (object_name if isinstance(object_name, str) else "<file>")
        self._start: int | None = None
        self.kind: FileType = kind or self._kind()

    def _kind(self) -> FileType:
        name = self.name.lower()
        for suffix in _COMPRESSED:
            name = name.removesuffix(suffix)
        extension = Path(name).suffix.removeprefix(".")
        if extension in KINDS:
            return extension
        if extension in _OTHER_NAMES:
            return _OTHER_NAMES[extension]
        if kind := self._sniff():
            return kind
        actual = f"ends in `.{extension}`" if extension else "has no extension"
        raise DatasetError(
            f"The file's type is unknown: its name {actual}.",
            file=self.name,
            remedy=f"Use one of {', '.join(f'.{k}' for k in KINDS)} (.gz and .zst may follow),"
            " or name the type: kind='csv'.",
        )

    def _sniff(self) -> FileType | None:
        """Return the type that the beginning of a file without a usual extension shows."""
        if self.path is None or not self.path.is_file():
            return None
        with self._raw() as raw:
            head = raw.peek(_SNIFFED_BYTES)
        magic = MAGIC.get(head[:4])
        return magic or ("jsonl" if re.match(JSON_START.encode(), head.lstrip(BOM_UTF8)) else None)

    @property
    def has_hidden_compression(self) -> bool:
        """Whether the content is compressed although the name does not tell."""
        with self._raw() as raw:
            is_compressed = raw.peek(4)[:4].startswith((_GZIP, _ZSTD))
        return is_compressed and not self.name.lower().endswith(_COMPRESSED)

    @contextmanager
    def open(self) -> Generator[BufferedReader, None, None]:
        """Open the file's bytes from the beginning, decompressed."""
        with self._raw() as raw:
            magic = raw.peek(4)[:4]
            if not magic:
                raise DatasetError("The file is empty.", file=self.name, remedy="Add examples.")
            try:
                if magic.startswith(_GZIP):
                    with gzip.open(raw) as stream:
                        yield self._seekable(cast("IO[bytes]", stream))
                elif magic == _ZSTD:
                    with BufferedReader(_ZstdReader(raw, self.name), _CHUNK_BYTES) as stream:
                        yield self._seekable(stream)
                else:
                    yield raw
            except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                raise _damaged(self.name, str(error)) from error

    @contextmanager
    def _raw(self) -> Generator[BufferedReader, None, None]:
        if self.path is None:
            yield self._rewind()
            return
        try:
            stream = self.path.open("rb")
        except OSError as error:
            message, hint = _open_error(error)
            raise DatasetError(message, file=self.name, remedy=hint) from error
        with stream:
            yield stream

    def _rewind(self) -> BufferedReader:
        source = self._object
        assert source is not None  # noqa: S101 — there is a path or an object
        if self._start is None:
            if isinstance(source, TextIOBase) or not source.seekable():
                copy = self._temporary_file()
                while chunk := source.read(_CHUNK_BYTES):
                    copy.write(chunk.encode() if isinstance(chunk, str) else chunk)
                copy.seek(0)
                source = self._object = copy
            self._start = source.tell()
        source.seek(self._start)
        return _NonClosingStream(cast("IO[bytes]", source))

    def _seekable(self, stream: IO[bytes]) -> BufferedReader:
        if self.kind not in _SEEKED:
            return cast("BufferedReader", stream)
        copy = self._temporary_file()
        while chunk := stream.read(_CHUNK_BYTES):
            if copy.tell() > _MAX_SEEKED_BYTES:
                raise DatasetError(
                    "The compressed file is too large to be read.",
                    file=self.name,
                    remedy="Decompress it first.",
                )
            copy.write(chunk)
        copy.seek(0)
        return cast("BufferedReader", copy)

    def _temporary_file(self) -> IO[bytes]:
        file = TemporaryFile(prefix="tunesmith-")  # noqa: SIM115 — closed with this object
        weakref.finalize(self, file.close)
        return file


def _open_error(error: OSError) -> tuple[str, str | None]:
    match error:
        case FileNotFoundError():
            return "The file does not exist.", "Check the path."
        case IsADirectoryError():
            return "This is a directory.", "Name a file in it."
        case PermissionError():
            return (
                "Permission to read this file is missing.",
                "Change its permissions (chmod u+r), or copy it.",
            )
        case _:
            return f"The file cannot be opened: {error.strerror or error}.", None


def _damaged(name: str, reason: str) -> DatasetError:
    return DatasetError(
        f"The compressed file is damaged or cut off: {reason}.",
        file=name,
        remedy="Copy or download it again.",
    )


class _NonClosingStream(BufferedReader):
    """Reader of a user's file object; closing it leaves the object open."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        super().__init__(cast("RawIOBase", stream))

    def close(self) -> None:
        self.detach()


class _ZstdReader(RawIOBase):
    """Reader of zstd frames that follow each other; an incomplete one is an error."""

    def __init__(self, stream: IO[bytes], name: str) -> None:
        zstandard = import_extra("zstandard", "zstd", "Files of this kind")
        self._stream = stream
        self._name = name
        self._error = zstandard.ZstdError
        self._new = zstandard.ZstdDecompressor().decompressobj
        self._frame = self._new()
        self._ready = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready:
            piece = self._frame.unused_data or self._stream.read(_CHUNK_BYTES)
            if not piece:
                if self._frame.eof:
                    return 0
                raise _damaged(self._name, "it ends too early")
            if self._frame.eof:
                self._frame = self._new()
            try:
                self._ready = self._frame.decompress(piece)
            except self._error as error:
                raise _damaged(self._name, str(error)) from error
        count = min(len(buffer), len(self._ready))
        buffer[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count
