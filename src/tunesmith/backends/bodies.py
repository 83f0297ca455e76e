"""Bodies of HTTP requests and responses, and errors of httpx as `BackendError`."""

import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import cast

import httpx

from tunesmith.errors import BackendError, Phase

__all__ = [
    "RequestBody",
    "ResponseChunks",
    "decode_body",
    "is_transport_error",
    "to_backend_error",
]

_DECODABLE = frozenset({"gzip", "x-gzip", "deflate"})

_UNSUPPORTED = frozenset({"br", "compress", "dcb", "dcz", "x-compress", "zstd"})
"""Anything else, such as `none` or `utf-8`, is sent by servers over bodies that are not encoded."""

_MAX_PIECE_BYTES = 256 * 1024
"""A compressed body expands up to a thousandfold. It is decoded in pieces, so that the reader can
stop at its own limit.
"""

_ANY_HEADER = zlib.MAX_WBITS | 32
_NO_HEADER = -zlib.MAX_WBITS
_GZIP_MAGIC = b"\x1f\x8b"

_PHASES: dict[type[Exception], Phase] = {
    httpx.ConnectTimeout: "connect_timeout",
    httpx.PoolTimeout: "connect_timeout",
    httpx.TimeoutException: "timeout",
    httpx.ConnectError: "connect",
    httpx.ProxyError: "connect",
    httpx.UnsupportedProtocol: "connect",
    httpx.WriteError: "write",
}


def is_transport_error(error: Exception) -> bool:
    """Return whether an error comes from the HTTP library, not from the user's code."""
    # httpx does not convert every error of the libraries below.
    kinds = (httpx.HTTPError, httpx.StreamError)
    return isinstance(error, kinds) or type(error).__module__.startswith(("h11.", "h2."))


def to_backend_error(error: Exception, url: httpx.URL | None = None) -> BackendError:
    """Convert an error of the HTTP library.

    Args:
        error: The error.
        url: The URL of the service, named if it could not be connected to.
    """
    message = str(error) or type(error).__name__
    for kind, phase in _PHASES.items():
        if isinstance(error, kind):
            connecting = phase in {"connect", "connect_timeout"}
            where = f"{url.netloc.decode()}: " if url and connecting else ""
            return BackendError(where + message, phase=phase)
    return BackendError(message, phase="read")


class RequestBody(httpx.AsyncByteStream):
    """Body of a request; keeps the error that it raised.

    httpx would wrap it in a generator that it does not close.
    """

    def __init__(self, chunks: AsyncGenerator[bytes]) -> None:
        self._chunks = chunks
        self.error: Exception | None = None

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        """Return the next chunk."""
        try:
            return await anext(self._chunks)
        except StopAsyncIteration:
            raise
        except Exception as error:
            self.error = error
            raise

    async def aclose(self) -> None:
        """Close the body, and so its file."""
        await self._chunks.aclose()


class ResponseChunks:
    """Body of a response as it arrives, or as it was read before, such as by an event hook."""

    __slots__ = ("_iterator",)

    def __init__(self, response: httpx.Response) -> None:
        # Directly from the stream, past two generators of httpx.
        self._iterator = aiter(
            response.aiter_bytes()
            if response.is_stream_consumed
            else cast("httpx.AsyncByteStream", response.stream)
        )

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        """Return the next chunk.

        Raises:
            BackendError: The body broke off.
        """
        try:
            return await anext(self._iterator)
        except StopAsyncIteration:
            raise
        except Exception as error:
            if not is_transport_error(error):
                raise
            raise to_backend_error(error) from None

    async def aclose(self) -> None:
        """Close the stream."""
        aclose = getattr(self._iterator, "aclose", None)
        if aclose is not None:
            await aclose()


def decode_body(headers: Mapping[str, str], chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Return the chunks of a body without its content encoding.

    Args:
        headers: The response's headers, names in lower case.
        chunks: The chunks as they arrived.

    Raises:
        BackendError: The encoding is not supported.
    """
    value = headers.get("content-encoding")
    if value is None:
        return chunks
    codings = [coding.strip().lower() for coding in value.split(",")]
    for coding in reversed(codings):  # the last one was applied last
        if coding in _DECODABLE:
            chunks = _InflatedChunks(chunks, may_lack_header=coding == "deflate")
        elif coding in _UNSUPPORTED:
            raise BackendError(
                f"the response has the unsupported content encoding {coding!r}", phase="read"
            )
    return chunks


class _InflatedChunks:
    """Decompressed chunks of a body.

    Args:
        chunks: The compressed chunks.
        may_lack_header: Whether the data may be `deflate` without the header of zlib, as some
            servers send it.
    """

    def __init__(self, chunks: AsyncIterator[bytes], *, may_lack_header: bool) -> None:
        self._chunks = chunks
        self._may_lack_header = may_lack_header
        self._decompressor = zlib.decompressobj(_ANY_HEADER)
        self._pending = b""
        self._consumed = b""  # without output: read again if the header is missing
        self._is_empty = True

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        while True:
            if not self._pending:
                try:
                    self._pending = await anext(self._chunks)
                except StopAsyncIteration:
                    return self._finish()
                self._is_empty = False
            piece = self._decompress(self._pending)
            if piece:
                return piece

    def _finish(self) -> bytes:
        # All input may be consumed before all output is returned.
        rest = self._decompressor.flush()
        if not (self._is_empty or self._decompressor.eof):
            raise BackendError("the compressed body ended early", phase="read")
        if not rest:
            raise StopAsyncIteration
        return rest

    def _decompress(self, data: bytes) -> bytes:
        if self._decompressor.eof:
            if not _GZIP_MAGIC.startswith(data[:2]):
                self._pending = b""  # padding behind the end
                return b""
            self._decompressor = zlib.decompressobj(_ANY_HEADER)  # the next member
        try:
            piece = self._decompressor.decompress(data, _MAX_PIECE_BYTES)
        except zlib.error as error:
            if not self._may_lack_header:
                message = f"the body cannot be decompressed: {error}"
                raise BackendError(message, phase="read") from None
            self._decompressor = zlib.decompressobj(_NO_HEADER)
            self._may_lack_header = False
            return self._decompress(self._consumed + data)
        if self._may_lack_header:
            self._may_lack_header = not piece
            self._consumed += data
        self._pending = self._decompressor.unconsumed_tail or self._decompressor.unused_data
        return piece
