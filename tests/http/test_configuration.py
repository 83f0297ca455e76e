"""Settings of the environment and of the user's HTTP client."""

import httpx
import pytest
import respx
from tests.http.servers import BODY, serving_over
from tests.http.test_fast import Recorder, listening

from tunesmith import AsyncClient, ConfigurationError, HttpxBackend, errors
from tunesmith.backends.settings import tls_context

pytestmark = pytest.mark.anyio

URL = "http://service.test/v1"
MODEL = {"id": "ada", "object": "model"}
USABLE = "use http://HOST:PORT, https:// or socks5://"


@pytest.fixture
def fresh_tls_context():
    tls_context.cache_clear()
    yield
    tls_context.cache_clear()


@pytest.mark.usefixtures("fresh_tls_context")
async def test_certificates_that_cannot_be_loaded_name_the_variable(
    transport, tmp_path, monkeypatch
):
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing.pem"))
    async with AsyncClient("sk-1", "https://127.0.0.1:1/v1", transport=transport) as client:
        with pytest.raises(ConfigurationError, match="SSL_CERT_FILE"):
            await client.models.retrieve("ada")


@pytest.mark.tunesmith_network  # nothing is connected to
@pytest.mark.parametrize("variable", ["HTTP_PROXY", "ALL_PROXY"])
@pytest.mark.parametrize(
    ("proxy", "message"),
    [
        ("gopher://user:verysecret@p:1", USABLE),
        ("http://user:verysecret@p:port", USABLE),
        ("http://user:verysecret@p:99999", USABLE),
        ("http://user:verysecret@p q:1", USABLE),
        ("socks5://user:verysecret@p:1", "SOCKS needs a package: pip install 'httpx[socks]'"),
    ],
)
async def test_a_proxy_that_cannot_be_used_names_the_variable(
    transport, monkeypatch, variable, proxy, message
):
    monkeypatch.setattr("tunesmith.backends.settings.find_spec", lambda name: None)
    monkeypatch.setenv(variable, proxy)
    async with AsyncClient("sk-1", URL, transport=transport) as client:
        with pytest.raises(ConfigurationError) as caught:
            await client.models.retrieve("ada")
    assert str(caught.value) == f"{variable} does not name a usable proxy: {message}"


@pytest.mark.tunesmith_network  # the host is another machine, the proxy is this one
@pytest.mark.parametrize("variable", ["HTTP_PROXY", "ALL_PROXY"])
@pytest.mark.parametrize("no_proxy", ["", "fe80::/10,::1/128,[::1],10.0.0.0/8"])
async def test_requests_go_through_the_proxy_of_the_environment(
    transport, monkeypatch, variable, no_proxy
):
    proxy = Recorder()
    async with listening(proxy) as port:
        monkeypatch.setenv(variable, f"http://user:password@127.0.0.1:{port}")
        monkeypatch.setenv("NO_PROXY", no_proxy)
        async with AsyncClient("sk-1", URL, transport=transport) as client:
            assert (await client.models.retrieve("ada")).id == "ada"
    head = proxy.requests[0].lower()
    assert head.startswith(b"get http://service.test/v1/models/ada http/1.1")
    assert b"proxy-authorization: basic dxnlcjpwyxnzd29yza==" in head


@pytest.mark.parametrize("client", [httpx.Client(), httpx.AsyncClient, object(), "client"])
def test_http_client_must_be_an_async_client(client):
    with pytest.raises(ConfigurationError, match=r"must be an httpx\.AsyncClient, not"):
        AsyncClient("sk-1", http_client=client)


def test_an_unknown_transport_is_refused():
    with pytest.raises(ConfigurationError, match="'httpx' or 'fast', not 'requests'"):
        AsyncClient("sk-1", transport="requests")


@pytest.mark.parametrize("url", [None, 7, httpx.URL(URL)])
def test_base_url_must_be_text(url):
    with pytest.raises(ConfigurationError, match="base_url must be"):
        HttpxBackend(url)


async def test_redirects_are_not_followed_by_a_client_that_follows_them():
    """The key would go to another host."""
    hosts = []

    def handle(request):
        hosts.append(request.url.host)
        return httpx.Response(307, headers={"location": "https://elsewhere.test/"})

    transport = httpx.MockTransport(handle)
    async with httpx.AsyncClient(transport=transport, follow_redirects=True) as own:
        client = AsyncClient("sk-1", URL, http_client=own)
        with pytest.raises(errors.APIStatusError, match=r"elsewhere\.test"):
            await client.models.retrieve("ada")
    assert hosts == ["service.test"]


async def test_an_event_hook_may_read_the_response(transport):
    """Such as one that logs bodies."""

    async def read(response):
        await response.aread()

    async def serve(connection, number):
        await connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 29\r\n\r\n" + BODY)

    async with (
        serving_over(transport, serve) as (_, other),
        httpx.AsyncClient(event_hooks={"response": [read]}) as own,
        AsyncClient("sk-1", other.backend.base_url, http_client=own) as client,
    ):
        for _ in range(2):
            assert (await client.models.retrieve("ada")).id == "ada"


EVENTS = b'data: {"id":"c","choices":[{"index":0,"text":"hi","finish_reason":"stop"}]}\n\n'


@pytest.mark.parametrize("using", ["httpcore", "httpx"])
async def test_respx_reaches_a_client_that_exists_already(using):
    async with AsyncClient("sk-1", URL, max_retries=0) as client:
        with respx.mock(using=using) as router:
            router.get(f"{URL}/models/ada").respond(json=MODEL)
            router.post(f"{URL}/completions").respond(
                content=EVENTS + b"data: [DONE]\n\n", headers={"content-type": "text/event-stream"}
            )
            assert (await client.models.retrieve("ada")).id == "ada"
            async with client.completions.stream(model="m", prompt="p") as stream:
                assert (await stream.final_response()).choices[0].text == "hi"


@pytest.mark.parametrize("using", ["httpcore", "httpx"])
async def test_respx_lets_requests_pass_through(using):
    async def serve(connection, number):
        await connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: 29\r\n\r\n" + BODY)

    async with serving_over("httpx", serve) as (server, client):
        with respx.mock(using=using) as router:
            router.route().pass_through()
            assert (await client.models.retrieve("ada")).id == "ada"
        assert server.requests == 1
