"""What the default backend sends, and what it passes to httpx."""

import gzip
from types import SimpleNamespace

import anyio
import httpx
import pytest
import respx

from tunesmith import BackendError, ConfigurationError, HttpxBackend, Request
from tunesmith.backends import httpx as module
from tunesmith.backends.base import is_marked_unsent
from tunesmith.backends.credentials import INVALID_HEADER_MESSAGE
from tunesmith.backends.network import forbid_network
from tunesmith.backends.settings import attempt_timeouts

pytestmark = pytest.mark.anyio

URL = "http://service.test/v1"
REQUEST = Request("models.list", "GET", "/models", headers={"accept": "x"}, timeout=7)


def test_without_options_http_1_is_used_over_up_to_a_thousand_connections():
    backend = HttpxBackend(URL)
    assert not backend.http2
    assert backend.max_connections == 1000
    assert repr(backend) == f"<HttpxBackend {URL}>"


async def test_headers_of_a_request():
    backend = HttpxBackend(URL, api_key="sk-1", organization="org-1", project="proj-1")
    headers = await backend.build_headers(REQUEST)
    assert headers.pop("user-agent").startswith("tunesmith/")
    assert headers == {
        "accept": "x",
        "accept-encoding": "gzip, deflate",
        "authorization": "Bearer sk-1",
        "openai-organization": "org-1",
        "openai-project": "proj-1",
    }


@pytest.mark.tunesmith_network  # nothing is connected to
async def test_httpx_gets_the_timeout_of_the_request_and_no_guard():
    assert HttpxBackend(URL).extensions(REQUEST) == {"timeout": attempt_timeouts(7)}


async def test_httpx_calls_the_guard_of_a_forbidden_network():
    previous = forbid_network(lambda host: RuntimeError(f"no way to {host}"))
    try:
        extensions = HttpxBackend(URL).extensions(REQUEST)
        assert extensions.keys() == {"timeout", "trace"}
        with pytest.raises(RuntimeError, match=r"^no way to service\.test$"):
            await extensions["trace"]("connection.connect_tcp.started", {})
    finally:
        forbid_network(previous)


def test_another_kind_of_client_is_named():
    with pytest.raises(ConfigurationError) as caught:
        HttpxBackend(URL, http_client=httpx.Client())
    assert str(caught.value) == "http_client must be an httpx.AsyncClient, not Client"


def test_a_missing_package_for_http_2_is_named(monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError) as caught:
        HttpxBackend(URL, http2=True)
    assert str(caught.value) == "HTTP/2 needs a package: pip install 'tunesmith[http2]'"


async def test_the_client_of_mocking_libraries_ignores_the_environment():
    backend = HttpxBackend(URL)
    with respx.mock(using="httpx"):
        assert backend.acquire_pool().trust_env is False
    await backend.aclose()


async def test_a_version_of_httpx_without_the_method_that_is_mocked_will_do(monkeypatch):
    monkeypatch.delattr(httpx.AsyncClient, "_transport_for_url")
    backend = HttpxBackend(URL)
    assert not isinstance(backend.acquire_pool(), httpx.AsyncClient)
    await backend.aclose()


def own_client(handle):
    return httpx.AsyncClient(transport=httpx.MockTransport(handle))


@pytest.mark.parametrize("path", ["/models/\ud800", "/models/a\nb"])
async def test_a_path_that_cannot_be_sent_is_an_error(path):
    async with own_client(lambda request: httpx.Response(200)) as own:
        with pytest.raises(BackendError) as caught:
            async with HttpxBackend(URL, http_client=own).send(Request("x", "GET", path)):
                pass
    assert (str(caught.value), caught.value.phase) == (INVALID_HEADER_MESSAGE, "closed")


async def test_a_header_that_the_library_refuses_is_an_error_without_its_words():
    def refuse(request):
        raise httpx.LocalProtocolError("Illegal header value b'sk-verysecret'")

    async with own_client(refuse) as own:
        with pytest.raises(BackendError) as caught:
            async with HttpxBackend(URL, http_client=own).send(REQUEST):
                pass
    assert (str(caught.value), caught.value.phase) == (INVALID_HEADER_MESSAGE, "closed")


async def test_it_is_unknown_what_a_client_of_the_user_sent_before_it_was_cancelled():
    async def hang(request):
        await anyio.sleep_forever()

    cancellations = []
    async with own_client(hang) as own:
        with anyio.CancelScope() as scope:
            scope.cancel()
            try:
                async with HttpxBackend(URL, http_client=own).send(REQUEST):
                    pass
            except anyio.get_cancelled_exc_class() as error:
                cancellations.append(error)
                raise
    assert [is_marked_unsent(error) for error in cancellations] == [False]


class Stream(httpx.AsyncByteStream):
    def __init__(self, body=b"body"):
        self.body = body
        self.opened = False
        self.closed = False

    async def __aiter__(self):
        self.opened = True
        yield self.body

    async def aclose(self):
        await anyio.lowlevel.checkpoint()
        self.closed = True


async def test_a_response_is_streamed_and_not_followed():
    stream = Stream()

    def redirect(request):
        return httpx.Response(307, headers={"location": "https://other.test"}, stream=stream)

    async with (
        own_client(redirect) as own,
        HttpxBackend(URL, http_client=own).send(REQUEST) as response,
    ):
        assert response.status == 307
        assert response.keeps_timeout is True
        assert not stream.opened
        assert await response.read() == b"body"


@pytest.mark.parametrize("hooks", [[], [httpx.Response.aread]])
async def test_a_body_is_decompressed_once_whoever_reads_it(hooks):
    def compress(request):
        headers = {"content-encoding": "gzip"}
        return httpx.Response(200, headers=headers, stream=Stream(gzip.compress(b"body")))

    async with own_client(compress) as own:
        own.event_hooks = {"response": hooks}
        async with HttpxBackend(URL, http_client=own).send(REQUEST) as response:
            assert await response.read() == b"body"


class Transport:
    """A transport that answers from a script, and remembers what it was used for."""

    def __init__(self, *steps):
        self.steps = list(steps)
        self.requests = []
        self.closed = False
        self.is_idle = True
        self.has_surplus = False
        self.network = SimpleNamespace(has_sent=True)

    async def handle_async_request(self, request):
        self.requests.append((request, self.network.has_sent))
        step = self.steps.pop(0)
        if isinstance(step, Exception):
            raise step
        return httpx.Response(200, stream=step)

    async def aclose(self):
        self.closed = True


@pytest.fixture
def serve(monkeypatch):
    """Return a backend whose connections are the given transports, one after the other."""

    def create(*transports):
        waiting = list(transports)
        monkeypatch.setattr(
            "tunesmith.backends.httpcore.HttpcoreTransport",
            lambda tls, limits, **options: waiting.pop(0),
        )
        return HttpxBackend(URL)

    return create


@pytest.mark.tunesmith_network  # nothing is connected to
async def test_a_connection_serves_the_next_request_once_its_response_was_left(serve):
    transport = Transport(Stream(), Stream())
    backend = serve(transport)
    for _ in range(2):
        async with backend.send(REQUEST):
            pass
    for request, has_sent in transport.requests:
        assert request.extensions == {"timeout": attempt_timeouts(7)}
        assert not has_sent  # nothing of this request, whatever was sent before
    await backend.aclose()
    assert transport.closed


async def test_a_connection_with_surplus_bytes_is_closed(serve):
    transport = Transport(Stream())
    backend = serve(transport)
    async with backend.send(REQUEST):
        transport.has_surplus = True
    assert transport.closed
    await backend.aclose()


async def test_a_connection_whose_request_failed_is_closed(serve):
    transport = Transport(httpx.ReadError("cut"))
    backend = serve(transport, Transport(Stream()))
    with pytest.raises(BackendError, match=r"^cut$"):
        async with backend.send(REQUEST):
            pass
    assert transport.closed
    async with backend.send(REQUEST) as response:
        assert await response.read() == b"body"
    await backend.aclose()


async def test_a_cancelled_task_closes_its_response(serve):
    stream = Stream()
    backend = serve(Transport(stream))
    with anyio.CancelScope() as scope:
        async with backend.send(REQUEST):
            scope.cancel()
    assert stream.closed
    await backend.aclose()


@pytest.mark.parametrize("connections", [{"http2": False}, {"http2": True}])
async def test_connections_are_created_as_configured(monkeypatch, connections):
    created = []

    class Transport:
        def __init__(self, tls, limits, *, http2, proxy):
            created.append((tls, limits.max_connections, http2, proxy.url if proxy else None))

        async def aclose(self):
            pass

    monkeypatch.setattr("tunesmith.backends.httpcore.HttpcoreTransport", Transport)
    monkeypatch.setattr(module, "tls_context", lambda http2: ("certificates", http2))
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.test:8080")
    http2 = connections["http2"]
    backend = HttpxBackend("https://service.test/v1", max_connections=7, **connections)
    pool = backend.acquire_pool()
    if not http2:
        await pool.acquire()
    # With HTTP/1.1, each transport has one connection, and the pool counts them.
    expected = (("certificates", http2), 7 if http2 else 1, http2, "http://proxy.test:8080")
    assert created == [expected]
    await backend.aclose()


async def test_plain_http_needs_no_certificates(monkeypatch):
    def fail(http2):
        raise AssertionError("loading certificates takes long")

    monkeypatch.setattr(module, "tls_context", fail)
    backend = HttpxBackend(URL)
    transport = await backend.acquire_pool().acquire()
    assert transport.is_idle
    await backend.aclose()
