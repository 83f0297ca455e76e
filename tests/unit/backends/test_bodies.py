"""Content encodings of response bodies, and errors of the HTTP library."""

import gzip
import tracemalloc
import zlib
from contextlib import aclosing

import httpx
import pytest

from tunesmith import BackendError
from tunesmith.backends.bodies import ResponseChunks, decode_body, to_backend_error

pytestmark = pytest.mark.anyio

TEXT = b"Immanuel Kant was born in Koenigsberg. " * 100


async def chunks_of(data, size):
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def decode(encoding, data, size=7):
    headers = {} if encoding is None else {"content-encoding": encoding}
    async with aclosing(chunks_of(data, size)) as chunks:
        return b"".join([piece async for piece in decode_body(headers, chunks)])


def raw_deflate(data):
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


@pytest.mark.parametrize(
    "encoding", [None, "", "identity", "Identity", "identity, identity", "none", "utf-8", "binary"]
)
async def test_encodings_without_meaning_are_ignored(encoding):
    assert await decode(encoding, TEXT) == TEXT


@pytest.mark.parametrize("size", [1, 2, 7, 100_000])
@pytest.mark.parametrize(
    ("encoding", "data"),
    [
        ("gzip", gzip.compress(TEXT)),
        ("GZIP", gzip.compress(TEXT)),
        ("x-gzip", gzip.compress(TEXT)),
        ("identity, gzip", gzip.compress(TEXT)),
        ("gzip", gzip.compress(TEXT[:500]) + gzip.compress(TEXT[500:])),
        ("gzip", gzip.compress(TEXT) + bytes(20)),
        ("deflate", zlib.compress(TEXT)),
        ("deflate", raw_deflate(TEXT)),
        ("deflate, gzip", gzip.compress(zlib.compress(TEXT))),
    ],
    ids=[
        "gzip",
        "capitals",
        "x-gzip",
        "with identity",
        "two members",
        "padded",
        "zlib",
        "without header",
        "twice",
    ],
)
async def test_compressed_bodies_are_decompressed(encoding, data, size):
    assert await decode(encoding, data, size) == TEXT


@pytest.mark.parametrize("excess", [0, 1, 100, 257])
async def test_a_body_just_above_the_size_of_a_piece_is_complete(excess):
    """The decompressor may have consumed all input before it returned all output."""
    size = 256 * 1024 + excess
    async with aclosing(chunks_of(raw_deflate(bytes(size)), 100_000)) as chunks:
        pieces = [piece async for piece in decode_body({"content-encoding": "deflate"}, chunks)]
    assert b"".join(pieces) == bytes(size)
    assert max(map(len, pieces)) == 256 * 1024


async def test_an_empty_body_may_claim_to_be_compressed():
    assert await decode("gzip", b"") == b""


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, br"])
async def test_an_unsupported_encoding_is_an_error_that_names_it(encoding):
    with pytest.raises(BackendError, match=encoding.split()[-1]) as caught:
        await decode(encoding, TEXT)
    assert caught.value.phase == "read"


@pytest.mark.parametrize(
    ("encoding", "data", "message"),
    [
        ("gzip", TEXT, "cannot be decompressed"),
        ("deflate", TEXT, "cannot be decompressed"),
        ("gzip", gzip.compress(TEXT)[:-9], "ended early"),
        ("gzip", gzip.compress(TEXT)[:40] + b"x" * 40, "cannot be decompressed"),
    ],
    ids=["not gzip", "not deflate", "truncated", "damaged"],
)
async def test_a_broken_body_is_an_error(encoding, data, message):
    with pytest.raises(BackendError, match=rf"^the .*{message}") as caught:
        await decode(encoding, data)
    assert caught.value.phase == "read"


async def test_a_wrong_checksum_is_an_error():
    """The end alone would pass as data without the header of zlib."""
    compressor = zlib.compressobj()
    begin = compressor.compress(TEXT) + compressor.flush(zlib.Z_FULL_FLUSH)
    end = compressor.flush()[:-4] + b"oops"
    with pytest.raises(BackendError, match="cannot be decompressed"):
        await decode("deflate", begin + end, size=len(begin))


@pytest.mark.slow
async def test_a_bomb_is_decompressed_in_pieces():
    """The reader stops at its limit long before all of it is in memory."""
    bomb = gzip.compress(gzip.compress(bytes(200_000_000), 1), 9)
    tracemalloc.start()
    size = 0
    headers = {"content-encoding": "gzip, gzip"}
    async with aclosing(chunks_of(bomb, 65536)) as chunks:
        async for piece in decode_body(headers, chunks):
            size += len(piece)
            if size > 1_000_000:
                break
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8_000_000


@pytest.mark.parametrize(
    ("kind", "phase"),
    [
        (httpx.ConnectError, "connect"),
        (httpx.ConnectTimeout, "connect_timeout"),
        (httpx.PoolTimeout, "connect_timeout"),
        (httpx.ProxyError, "connect"),
        (httpx.ReadError, "read"),
        (httpx.ReadTimeout, "timeout"),
        (httpx.RemoteProtocolError, "read"),
        (httpx.UnsupportedProtocol, "connect"),
        (httpx.WriteError, "write"),
        (httpx.WriteTimeout, "timeout"),
    ],
)
def test_each_error_has_the_phase_in_which_it_was_raised(kind, phase):
    error = to_backend_error(kind("cut"), httpx.URL("http://service.test:8000/v1"))
    assert error.phase == phase
    place = "service.test:8000: " if phase in {"connect", "connect_timeout"} else ""
    assert str(error) == f"{place}cut"


@pytest.mark.parametrize(("text", "message"), [("cut", "cut"), ("", "ReadError")])
def test_an_error_without_a_message_is_described_by_its_class(text, message):
    assert str(to_backend_error(httpx.ReadError(text))) == message


class Stream(httpx.AsyncByteStream):
    """A stream of chunks or errors."""

    def __init__(self, *steps):
        self.steps = steps
        self.closed = False

    async def __aiter__(self):
        try:
            for step in self.steps:
                if isinstance(step, Exception):
                    raise step
                yield step
        finally:
            self.closed = True


class PlainIterator:
    """An iterator over chunks without `aclose`."""

    def __init__(self, *chunks):
        self.chunks = list(chunks)

    async def __anext__(self):
        return self.chunks.pop(0)


class PlainStream(httpx.AsyncByteStream):
    def __aiter__(self):
        return PlainIterator(b"a", b"b")


async def test_chunks_of_a_response_are_as_they_arrived():
    compressed = gzip.compress(TEXT)
    response = httpx.Response(
        200, headers={"content-encoding": "gzip"}, stream=Stream(compressed[:9], compressed[9:])
    )
    assert [chunk async for chunk in ResponseChunks(response)] == [compressed[:9], compressed[9:]]


async def test_chunks_of_a_response_that_was_read_are_decoded():
    response = httpx.Response(
        200, headers={"content-encoding": "gzip"}, stream=Stream(gzip.compress(TEXT))
    )
    await response.aread()
    assert b"".join([chunk async for chunk in ResponseChunks(response)]) == TEXT


async def test_a_response_that_breaks_off_is_an_error_of_the_phase_read():
    chunks = ResponseChunks(httpx.Response(200, stream=Stream(b"a", httpx.ReadError("cut"))))
    assert await anext(chunks) == b"a"
    with pytest.raises(BackendError, match=r"^cut$") as caught:
        await anext(chunks)
    assert caught.value.phase == "read"


async def test_an_error_of_the_users_code_in_a_response_is_raised_unchanged():
    error = RuntimeError("mine")
    with pytest.raises(RuntimeError) as caught:
        await anext(ResponseChunks(httpx.Response(200, stream=Stream(error))))
    assert caught.value is error


async def test_closing_the_chunks_of_a_response_closes_its_generator():
    stream = Stream(b"a", b"b")
    chunks = ResponseChunks(httpx.Response(200, stream=stream))
    await anext(chunks)
    await chunks.aclose()
    assert stream.closed


async def test_chunks_of_a_response_that_need_not_be_closed_can_be_closed():
    chunks = ResponseChunks(httpx.Response(200, stream=PlainStream()))
    assert await anext(chunks) == b"a"
    await chunks.aclose()
