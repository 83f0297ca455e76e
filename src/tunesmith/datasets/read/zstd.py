"""Reading files compressed by zstd, which says when they are cut off."""

from io import BufferedReader, RawIOBase
from typing import IO, Any

from tunesmith._extras import import_extra
from tunesmith.errors import DatasetError

__all__ = ["open_zstd"]

_PIECE_BYTES = 1 << 17


def open_zstd(stream: IO[bytes], name: str) -> BufferedReader:
    """The bytes that `stream` holds compressed.

    Raises:
        ConfigurationError: The extra `zstd` is not installed.
        DatasetError: While reading: the data is damaged or cut off.
    """
    zstandard = import_extra("zstandard", "zstd", "Files of this kind")
    return BufferedReader(_Decompressed(stream, name, zstandard), _PIECE_BYTES)


class _Decompressed(RawIOBase):
    def __init__(self, stream: IO[bytes], name: str, zstandard: Any) -> None:
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
            # What follows a frame is the next one: zstd files can be joined.
            piece = self._frame.unused_data or self._stream.read(_PIECE_BYTES)
            if not piece:
                if self._frame.eof:
                    return 0
                raise self._damaged("it is cut off")
            if self._frame.eof:
                self._frame = self._new()
            try:
                self._ready = self._frame.decompress(piece)
            except self._error as error:
                raise self._damaged(str(error)) from error
        count = min(len(buffer), len(self._ready))
        buffer[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def _damaged(self, why: str) -> DatasetError:
        return DatasetError(
            f"The compressed file is damaged: {why}.",
            file=self._name,
            remedy="Copy or download it again.",
        )
