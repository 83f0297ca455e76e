"""Requests and responses between client and backends."""

import pytest

from tunesmith.errors import InvalidRequestError
from tunesmith.protocol.message import Request, Response, SecretHeaders, redact_headers

pytestmark = pytest.mark.anyio


async def chunks_of(request):
    return [chunk async for chunk in request.chunks()]


def request_of(*chunks, length=None):
    async def body():
        for chunk in chunks:
            yield chunk

    headers = {} if length is None else {"content-length": str(length)}
    return Request("files.create", "POST", "/files", headers=headers, body=body)


async def test_a_body_is_nothing_or_bytes_or_is_opened_each_time():
    assert await chunks_of(Request("o", "GET", "/")) == []
    assert await chunks_of(Request("o", "POST", "/", body=b"ab")) == [b"ab"]
    for length in (None, 2):
        request = request_of(b"a", b"b", length=length)
        assert [await chunks_of(request) for _ in range(2)] == [[b"a", b"b"]] * 2


@pytest.mark.parametrize(("length", "sent"), [(1, [b"a"]), (3, [b"a", b"b"])])
async def test_a_body_of_another_length_than_announced_is_an_error(length, sent):
    chunks = request_of(b"a", b"b", length=length).chunks()
    assert [await anext(chunks) for _ in sent] == sent
    with pytest.raises(InvalidRequestError) as caught:
        await anext(chunks)
    assert str(caught.value) == (
        f"files.create: the body does not have the announced {length} bytes; a file may have "
        "changed while it was sent"
    )
    assert caught.value.operation == "files.create"


class Chunks:
    """Stream that need not be closed, unlike a generator."""

    def __init__(self, *chunks):
        self.chunks = list(chunks)

    def __aiter__(self):
        return self

    async def __anext__(self):
        if not self.chunks:
            raise StopAsyncIteration
        return self.chunks.pop(0)


async def test_a_response_is_read_to_its_end_or_just_beyond_a_limit():
    def response():
        return Response(200, {}, Chunks(b"ab", b"cd", b"ef"))

    assert await response().read() == b"abcdef"
    for limit, content in ((1, b"ab"), (2, b"abcd"), (3, b"abcd"), (6, b"abcdef")):
        assert await response().read(max_bytes=limit) == content


async def test_a_response_of_bytes_is_one_chunk():
    response = Response.from_bytes(200, {"a": "b"}, b"ab")
    assert (response.status, response.headers) == (200, {"a": "b"})
    assert [chunk async for chunk in response.stream] == [b"ab"]
    assert [chunk async for chunk in response.stream] == []


def test_headers_that_a_server_echoes_are_taken_out():
    headers = {
        "authorization": "12345678",
        "x-short": "1234567",
        "content-type": "application/json",
        "x-other": "secret-value",
    }
    body = b"12345678 1234567 application/json secret-value secret-value"
    assert redact_headers(body, headers) == (b"[header] 1234567 application/json [header] [header]")


def test_secret_headers_show_only_their_names():
    assert repr(SecretHeaders(a="1", b="2")) == "<headers a, b>"
