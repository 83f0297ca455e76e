"""The fast backend: what only it has to get right, since it speaks HTTP itself."""

import gc
import ssl
import sys
from contextlib import aclosing, asynccontextmanager

import anyio
import anyio.abc
import anyio.streams.tls
import pytest
import trustme
from tests.http.servers import BODY, CHUNKED, GOOD, LOOPS, Server, good, serving_over

from tunesmith import AsyncClient, AzureBackend, BackendError, FastBackend, Request, errors
from tunesmith.backends.fast import backend as fast_module
from tunesmith.backends.settings import tls_context

pytestmark = pytest.mark.anyio

REQUEST = Request("models.retrieve", "GET", "/models/ada", headers={"accept": "application/json"})


@pytest.fixture(params=LOOPS.values(), ids=LOOPS)
def anyio_backend(request):
    return request.param


def fast(serve, **options):
    return serving_over("fast", serve, **options)


class Recorder:
    """Reads one request on each connection, and answers it."""

    def __init__(self, end=b"\r\n\r\n"):
        self.end = end
        self.requests = []

    async def handle(self, connection):
        data = b""
        async with connection:
            while not data.endswith(self.end):
                try:
                    data += await connection.receive()
                except anyio.EndOfStream:
                    return
            self.requests.append(data)
            await connection.send(GOOD)


@asynccontextmanager
async def listening(recorder):
    """Serve a recorder; yield its port."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, recorder.handle)
        yield listener.extra(anyio.abc.SocketAttribute.local_port)
        tasks.cancel_scope.cancel()


async def send_to_recorder(recorder, request, kind=FastBackend, **options):
    """Send a request to a recorder; return the response's body, or the error."""
    async with (
        listening(recorder) as port,
        aclosing(kind(f"http://127.0.0.1:{port}/v1", **options)) as backend,
    ):
        try:
            async with backend.send(request) as response:
                return await response.read()
        except BackendError as error:
            return error


async def test_a_request_is_encoded_as_http(anyio_backend_name):
    recorder = Recorder()
    request = Request(
        "files.list", "GET", "/files", query=(("after", "a b&c"),), headers={"x": "1"}
    )
    assert await send_to_recorder(recorder, request, api_key="sk-1") == BODY
    head = recorder.requests[0].decode().lower()
    space = "%20" if anyio_backend_name == "asyncio" else "+"
    assert head.startswith(f"get /v1/files?after=a{space}b%26c http/1.1\r\n")
    for line in ("host: 127.0.0.1:", "x: 1\r\n", "authorization: bearer sk-1\r\n"):
        assert line in head


async def test_a_body_of_unknown_length_is_sent_in_chunks():
    async def body():
        for part in (b"Immanuel", b"", b" Kant"):
            yield part

    recorder = Recorder(end=b"0\r\n\r\n")
    await send_to_recorder(recorder, Request("files.create", "POST", "/files", body=body))
    sent = recorder.requests[0]
    assert b"transfer-encoding: chunked" in sent.lower()
    assert sent.endswith(b"\r\n\r\n8\r\nImmanuel\r\n5\r\n Kant\r\n0\r\n\r\n")


@pytest.mark.parametrize("value", ["1\r\nx-evil: 1", "1\nx-evil: 1", "1\rx-evil: 1"])
async def test_a_line_end_in_a_header_never_reaches_the_server(value):
    recorder = Recorder()
    request = Request("models.retrieve", "GET", "/models/ada", headers={"x": value})
    assert isinstance(await send_to_recorder(recorder, request), BackendError)
    assert recorder.requests == []


async def test_informational_responses_are_skipped():
    async def early(connection, number):
        await connection.send(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" + GOOD)

    async with fast(early) as (server, client):
        for _ in range(2):
            model = await client.models.retrieve("ada")
            assert model.response.status == 200
            assert "link" not in model.response.headers
        assert server.opened == 1


async def test_a_response_may_end_with_its_connection():
    async def closes(connection, number):
        await connection.send(b"HTTP/1.1 200 OK\r\n\r\n" + BODY)
        return "close"

    async with fast(closes) as (server, client):
        for _ in range(2):
            assert (await client.models.retrieve("ada")).id == "ada"
        assert server.opened == 2


async def test_repeated_headers_are_joined_and_trailers_dropped():
    async def serve(connection, number):
        head = CHUNKED.replace(b"text/event-stream", b"application/json")
        head = head.replace(b"\r\n\r\n", b"\r\nx-a: 1\r\nX-A: 2\r\n\r\n")
        body = b"1d\r\n" + BODY + b"\r\n0\r\nx-trailer: 1\r\n\r\n"
        await connection.send(head + body)

    async with fast(serve) as (_, client):
        headers = (await client.models.retrieve("ada")).response.headers
        assert headers["x-a"] == "1, 2"
        assert "x-trailer" not in headers


async def test_connection_close_is_honoured():
    async def once(connection, number):
        await connection.send(GOOD.replace(b"\r\n", b"\r\nconnection: close\r\n", 1))

    async with fast(once) as (server, client):
        for _ in range(2):
            await client.models.retrieve("ada")
        assert server.opened == 2


@pytest.mark.slow
async def test_a_call_creates_no_reference_cycle():
    """A cycle in each answer would be work for the collector, and memory until it runs."""
    async with fast(good) as (_, client):
        await client.models.retrieve("ada")
        gc.collect()
        gc.set_debug(gc.DEBUG_SAVEALL)
        try:
            for _ in range(3):
                await client.models.retrieve("ada")
            gc.collect()
            left = [each for each in gc.garbage if type(each).__module__.startswith("tunesmith")]
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
    assert left == []


async def test_a_response_that_is_not_http_is_a_connection_error():
    async def nonsense(connection, number):
        await connection.send(b"SSH-2.0-OpenSSH_9.2\r\n")
        return "close"

    async with fast(nonsense, max_retries=0) as (_, client):
        with pytest.raises(errors.APIConnectionError):
            await client.models.retrieve("ada")


async def test_a_stalled_stream_times_out():
    async def stops(connection, number):
        event = b'data: {"id":"c","choices":[{"index":0,"text":"a","finish_reason":null}]}\n\n'
        await connection.send(CHUNKED + b"%x\r\n%b\r\n" % (len(event), event))
        await connection.receive()

    async with (
        fast(stops, timeout=0.1) as (_, client),
        client.completions.stream(model="m", prompt="p") as stream,
    ):
        assert (await anext(stream)).choices[0].text == "a"
        with anyio.fail_after(5), pytest.raises(errors.APITimeoutError, match=r"0\.1 s"):
            await anext(stream)


async def test_a_slow_reader_slows_the_server_down():
    """What nobody reads does not pile up in memory."""
    sent = 0

    async def flood(connection, number):
        nonlocal sent
        await connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n\r\n")
        for _ in range(1000):
            await connection.send(bytes(100_000))
            sent += 100_000

    async with fast(flood) as (_, client), client.files.content("f").stream() as chunks:
        await anext(chunks)
        await anyio.wait_all_tasks_blocked()
        assert sent < 20_000_000


async def test_azure_works_over_the_fast_transport():
    class FastAzure(AzureBackend, FastBackend):
        pass

    recorder = Recorder()
    options = {"api_version": "2024-10-21", "api_key": "k"}
    assert await send_to_recorder(recorder, REQUEST, FastAzure, **options) == BODY
    head = recorder.requests[0].lower()
    assert b"/openai/models/ada?api-version=2024-10-21 " in head
    assert b"api-key: k\r\n" in head


@pytest.mark.slow
@pytest.mark.parametrize("host", ["127.0.0.1", "other.test"])
async def test_tls_is_checked(transport, host, tmp_path, monkeypatch):
    authority = trustme.CA()
    certificates = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(certificates)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(host).configure_cert(tls)
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)

    async def handle(connection):
        async with connection:
            await serve(connection)

    async def serve(connection):
        try:
            wrapped = await anyio.streams.tls.TLSStream.wrap(
                connection, ssl_context=tls, standard_compatible=False
            )
        except (ssl.SSLError, anyio.BrokenResourceError, anyio.EndOfStream):
            return  # the client does not trust this server
        await Server(good).handle(wrapped)

    async def retrieve():
        tls_context.cache_clear()
        url = f"https://127.0.0.1:{port}/v1"
        async with AsyncClient("sk-1", url, transport=transport, max_retries=0) as client:
            return await client.models.retrieve("ada")

    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, handle)
        with pytest.raises(errors.APIConnectionError):
            await retrieve()
        monkeypatch.setenv("SSL_CERT_FILE", str(certificates))
        if host == "127.0.0.1":
            assert (await retrieve()).id == "ada"
        else:
            with pytest.raises(errors.APIConnectionError):
                await retrieve()
        tasks.cancel_scope.cancel()
    tls_context.cache_clear()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_connection_that_is_being_opened_is_closed_with_the_client(monkeypatch):
    opening, go_on = anyio.Event(), anyio.Event()
    connect = fast_module.connect

    async def slowly(*options):
        connection = await connect(*options)
        opening.set()
        await go_on.wait()
        return connection

    monkeypatch.setattr(fast_module, "connect", slowly)
    caught = []

    async def call(client):
        try:
            await client.models.retrieve("ada")
        except errors.APIConnectionError as error:
            caught.append(str(error))

    async with fast(good) as (server, client), anyio.create_task_group() as tasks:
        tasks.start_soon(call, client)
        await opening.wait()
        await client.aclose()
        go_on.set()
    assert caught == ["models.retrieve: the client is closed"]
    assert server.requests == 0


def test_missing_packages_are_named_with_the_command_to_install_them(monkeypatch):
    monkeypatch.setitem(sys.modules, "httptools", None)
    for name in ("backend", "connection", "response"):
        monkeypatch.delitem(sys.modules, f"tunesmith.backends.fast.{name}", raising=False)
    with pytest.raises(errors.ConfigurationError, match=r"pip install 'tunesmith\[fast\]'"):
        AsyncClient("sk-1", transport="fast")


def test_backend_and_transport_cannot_be_combined():
    with pytest.raises(errors.ConfigurationError, match="transport="):
        AsyncClient(backend=FastBackend("http://127.0.0.1:1/v1"), transport="fast")
