"""Limits of what is read into memory."""

import gzip

import pytest
from tests.http.servers import serving_over

from tunesmith import AsyncClient, ConfigurationError, errors

pytestmark = pytest.mark.anyio


def endless(status, *, prefix=b"", chunk=b" " * 65536):
    """A server whose response never ends."""

    async def serve(connection, number):
        await connection.send(b"HTTP/1.1 " + status + b"\r\nx-request-id: req_1\r\n\r\n" + prefix)
        while True:
            await connection.send(chunk)

    return serve


async def test_an_endless_response_is_an_error_that_names_the_option(transport):
    async with serving_over(transport, endless(b"200 OK"), max_response_bytes=1_000_000) as (
        server,
        client,
    ):
        with pytest.raises(errors.InvalidResponseError, match="max_response_bytes") as caught:
            await client.models.retrieve("ada")
        assert caught.value.request_id == "req_1"
        assert caught.value.operation == "models.retrieve"
        assert server.requests == 1


async def test_an_endless_error_body_is_read_in_part(transport):
    prefix = b'{"error": {"message": "No such model"}}'
    async with serving_over(transport, endless(b"404 Not Found", prefix=prefix)) as (_, client):
        with pytest.raises(errors.NotFoundError):
            await client.models.retrieve("ada")
        with pytest.raises(errors.NotFoundError):
            await client.files.content("file-1").read()


@pytest.mark.slow
async def test_a_compressed_bomb_is_an_error(transport):
    bomb = gzip.compress(b'{"id": "' + b" " * 50_000_000 + b'"}', 1)

    async def serve(connection, number):
        head = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n"
        await connection.send(head % len(bomb) + bomb)

    async with serving_over(transport, serve, max_response_bytes=1_000_000) as (_, client):
        with pytest.raises(errors.InvalidResponseError, match="1,000,000 bytes"):
            await client.models.retrieve("ada")


async def test_a_response_of_exactly_the_limit_is_read(transport):
    body = b'{"id":"ada","object":"model"}'

    async def serve(connection, number):
        await connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 29\r\n\r\n" + body)

    async with serving_over(transport, serve, max_response_bytes=len(body)) as (_, client):
        assert (await client.models.retrieve("ada")).id == "ada"
        too_small = AsyncClient(
            "sk-1",
            client.backend.base_url,
            transport=transport,
            max_response_bytes=len(body) - 1,
        )
        async with too_small:
            with pytest.raises(errors.InvalidResponseError):
                await too_small.models.retrieve("ada")


async def test_downloads_are_not_limited(transport):
    async def serve(connection, number):
        await connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 300000\r\n\r\n" + bytes(300_000))

    async with (
        serving_over(transport, serve, max_response_bytes=1000) as (_, client),
        client.files.content("file-1").stream() as chunks,
    ):
        assert sum([len(chunk) async for chunk in chunks]) == 300_000


@pytest.mark.parametrize("prefix", [b"data: ", b'{"choices": "', b"data: {}\r\n"])
@pytest.mark.parametrize("chunk", [b"a" * 65536, b"data: a\n" * 8192])
async def test_an_endless_event_is_an_error_that_names_the_option(transport, prefix, chunk):
    async with (
        serving_over(
            transport,
            endless(b"200 OK", prefix=prefix, chunk=chunk),
            max_response_bytes=1_000_000,
        ) as (_, client),
        client.completions.stream(model="m", prompt="p") as stream,
    ):
        with pytest.raises(errors.InvalidResponseError, match="max_response_bytes"):
            await stream.final_response()


async def test_a_long_stream_of_small_events_is_not_limited(transport):
    event = b'data: {"id":"c","choices":[{"index":0,"text":"a","finish_reason":null}]}\n\n'

    async def serve(connection, number):
        await connection.send(b"HTTP/1.1 200 OK\r\n\r\n" + event * 1000)
        last = event.replace(b"null", b'"stop"')
        await connection.send(last + b"data: [DONE]\n\n")
        return "close"

    async with (
        serving_over(transport, serve, max_response_bytes=300_000) as (_, client),
        client.completions.stream(model="m", prompt="p") as stream,
    ):
        assert len([event async for event in stream]) == 1001


@pytest.mark.parametrize("limit", [0, -1])
def test_the_limit_must_be_positive(limit):
    with pytest.raises(ConfigurationError) as caught:
        AsyncClient("sk-1", max_response_bytes=limit)
    assert str(caught.value) == f"max_response_bytes must be above 0, or None, not {limit}"
