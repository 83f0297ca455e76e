"""HTTP/2: requests share a connection, and protocol errors are retried."""

from contextlib import aclosing, asynccontextmanager, suppress

import anyio
import anyio.abc
import anyio.streams.tls
import h2.config
import h2.connection
import h2.events
import httpx
import pytest
from tests.http.servers import BODY, issue_trusted_certificate

from tunesmith import AsyncClient, BackendError, HttpxBackend, Request
from tunesmith.backends.settings import tls_context

pytestmark = pytest.mark.anyio


def respond(protocol, stream_id):
    protocol.send_headers(stream_id, [(":status", "200")])
    protocol.send_data(stream_id, BODY, end_stream=True)


def go_away(protocol, stream_id):
    protocol.close_connection()


def reset(protocol, stream_id):
    protocol.reset_stream(stream_id)


class Http2Server:
    """Answers the requests by functions in turn, and counts connections."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.opened = 0

    async def handle(self, stream):
        self.opened += 1
        protocol = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        protocol.initiate_connection()
        async with stream:
            while True:
                await stream.send(protocol.data_to_send())
                for event in protocol.receive_data(await stream.receive()):
                    if isinstance(event, h2.events.StreamEnded):
                        answer = self.answers.pop(0) if self.answers else respond
                        answer(protocol, event.stream_id)
                        if answer is go_away:
                            await stream.send(protocol.data_to_send())
                            return


@pytest.fixture
def serving_http2(tmp_path, monkeypatch):
    context = issue_trusted_certificate(tmp_path / "authority.pem", monkeypatch)
    context.set_alpn_protocols(["h2"])

    @asynccontextmanager
    async def serve(server):
        async def handle(connection):
            with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
                await server.handle(
                    await anyio.streams.tls.TLSStream.wrap(
                        connection, ssl_context=context, standard_compatible=False
                    )
                )

        async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
            port = listener.extra(anyio.abc.SocketAttribute.local_port)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(listener.serve, handle)
                url = f"https://127.0.0.1:{port}/v1"
                async with aclosing(HttpxBackend(url, api_key="sk-1", http2=True)) as backend:
                    yield backend
                tasks.cancel_scope.cancel()

    yield serve
    tls_context.cache_clear()


async def test_requests_share_a_connection(serving_http2):
    server = Http2Server()
    async with serving_http2(server) as backend:
        client = AsyncClient(backend=backend)
        await client.models.retrieve("ada")
        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(client.models.retrieve, "ada")
    assert server.opened == 1


@pytest.mark.parametrize("error", [go_away, reset])
async def test_a_protocol_error_is_a_connection_error_that_is_retried(serving_http2, error):
    server = Http2Server(error)
    async with serving_http2(server) as backend:
        model = await AsyncClient(backend=backend).models.retrieve("ada")
    assert model.response.attempts == 2


@pytest.mark.parametrize(
    "error",
    [
        httpx.LocalProtocolError("Invalid input ConnectionInputs.SEND_HEADERS in state CLOSED"),
        httpx.RemoteProtocolError("<ConnectionTerminated error_code:0>"),
        h2.exceptions.StreamClosedError(3),
    ],
)
async def test_every_error_of_the_library_is_a_backend_error(monkeypatch, error):
    async def fail(self, request):
        raise error

    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", fail)
    backend = HttpxBackend("https://service.test/v1", http2=True)
    with pytest.raises(BackendError) as caught:
        async with backend.send(Request("models.list", "GET", "/models")):
            pass
    assert caught.value.phase == "read"
    await backend.aclose()
