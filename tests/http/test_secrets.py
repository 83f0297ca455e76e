"""Keys, passwords and custom headers are in no log, repr, error or traceback."""

import logging
import pickle
import traceback

import httpx
import pytest
from tests.http.servers import BODY, serving_over

import tunesmith.webhooks
from tunesmith import AsyncClient, AzureBackend, ConfigurationError, HttpxBackend, errors

pytestmark = pytest.mark.anyio

SECRET = "verysecret"
KEY = f"sk-{SECRET}"


def report_of(error):
    """Return everything that an error report may print of the package's frames."""
    parts = []
    while error is not None:
        parts += [str(error), repr(error), repr(vars(error))]
        parts += [
            f"{name}={value!r}"
            for frame, _ in traceback.walk_tb(error.__traceback__)
            if "/tunesmith/" in frame.f_code.co_filename
            for name, value in frame.f_locals.items()
        ]
        error = error.__cause__
    return "\n".join(parts)


async def misbehave(connection, number):
    """Answer by an error status, by a body that echoes the request, and not at all."""
    if number == 1:
        await connection.send(b"HTTP/1.1 500 Error\r\ncontent-length: 2\r\n\r\n{}")
    elif number == 2:
        await connection.send(b"HTTP/1.1 302 Found\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n")
    elif number == 3:
        await connection.send(b"HTTP/9 ?\r\n\r\n")
    return "close"


CONFIGURATIONS = {
    "key": {"api_key": KEY},
    "header": {"api_key": "x", "default_headers": {"X-Custom": KEY, "Cookie": SECRET}},
    "query": {"api_key": "x", "default_query": {"code": SECRET}},
    "userinfo": {"api_key": "x", "userinfo": f"user:{SECRET}@"},
}


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
async def test_no_log_no_repr_and_no_error_shows_a_secret(transport, configuration, caplog):
    caplog.set_level(1)
    options = dict(CONFIGURATIONS[configuration])
    userinfo = options.pop("userinfo", "")
    shown = []
    async with serving_over(transport, misbehave) as (_, other):
        url = other.backend.base_url.replace("://", f"://{userinfo}")
        options |= {"base_url": url, "transport": transport, "max_retries": 0, "timeout": 5}
        async with AsyncClient(**options) as client:
            for _ in range(4):
                with pytest.raises(errors.TunesmithError) as caught:
                    await client.models.retrieve("ada")
                shown += [report_of(caught.value), str(pickle.dumps(caught.value))]
            shown += map(repr, (client, client.backend, client.caller.policy))
    assert len(shown) == 11
    assert SECRET not in "\n".join(shown) + caplog.text


async def test_the_error_about_an_unknown_parameter_shows_no_other():
    with pytest.raises(TypeError, match="'hedaers'") as constructed:
        AsyncClient(api_key=KEY, hedaers={"cookie": SECRET})
    async with AsyncClient(api_key=KEY) as client:
        with pytest.raises(errors.InvalidRequestError, match="mdoel") as called:
            await client.models.list(mdoel=SECRET, extra_headers={"cookie": SECRET})
    assert SECRET not in report_of(constructed.value) + report_of(called.value)


async def test_the_log_of_httpx_shows_no_password(caplog):
    caplog.set_level(logging.INFO)
    seen = []

    def handle(request):
        seen.append(request.headers["authorization"])
        return httpx.Response(200, content=BODY)

    async with httpx.AsyncClient(transport=httpx.MockTransport(handle)) as own:
        url = f"http://user:{SECRET}@service.test/v1"
        client = AsyncClient("x", url, http_client=own)
        assert (await client.models.retrieve("ada")).id == "ada"
    assert seen == ["Basic dXNlcjp2ZXJ5c2VjcmV0"]
    assert "HTTP Request: GET http://service.test/v1/models/ada" in caplog.text
    assert SECRET not in caplog.text


async def test_percent_encoded_userinfo_is_decoded():
    def handle(request):
        assert request.headers["authorization"] == httpx.BasicAuth("a b", "p@ss")._auth_header
        return httpx.Response(200, content=BODY)

    async with httpx.AsyncClient(transport=httpx.MockTransport(handle)) as own:
        client = AsyncClient("x", "http://a%20b:p%40ss@service.test/v1", http_client=own)
        await client.models.retrieve("ada")


@pytest.mark.parametrize("status", [b"500 Error", b"200 OK"])
async def test_a_header_that_the_server_echoes_is_replaced_in_errors(transport, status):
    body = b'{"error": {"message": "you sent ' + SECRET.encode() + b'"}'

    async def echo(connection, number):
        await connection.send(
            b"HTTP/1.1 " + status + b"\r\ncontent-length: %d\r\n\r\n" % len(body) + body
        )

    async with serving_over(
        transport, echo, default_headers={"x-custom": SECRET}, max_retries=0
    ) as (_, client):
        with pytest.raises(errors.APIError) as caught:
            await client.models.retrieve("ada")
    shown = str(caught.value) + repr(vars(caught.value)) + str(pickle.dumps(caught.value))
    assert SECRET not in shown
    assert "[header]" in shown


@pytest.mark.parametrize("streaming", [False, True])
async def test_no_error_report_shows_a_response_that_echoes_a_secret(transport, streaming):
    body = b'data: {"choices": "' + SECRET.encode() + b'"}\n\n'

    async def echo(connection, number):
        await connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)

    async with serving_over(
        transport, echo, default_headers={"x-custom": SECRET}, max_retries=0
    ) as (_, client):

        async def call():
            if not streaming:
                return await client.models.retrieve("ada")
            async with client.completions.stream(model="ada", prompt="Hi") as stream:
                return await stream.final_response()

        with pytest.raises(errors.InvalidResponseError) as caught:
            await call()
    assert SECRET not in report_of(caught.value)


URLS = [
    f"http://user:{SECRET}@host:99999999/v1",
    f"http://user:{SECRET}@host host/v1",
    f"http://user:{SECRET}@host\x00/v1",
    f"http://user:{SECRET}@[::1/v1",
    f"http://user:{SECRET}#x@host/v1",
    f"ftp://user:{SECRET}@host/v1",
    f"http://user:{SECRET}@host/v1#part",
    f"http://host/v1?key={SECRET}",
]


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize(
    "create",
    [
        lambda url: AsyncClient("x", url),
        lambda url: HttpxBackend(url, api_key="x"),
        lambda url: AzureBackend(url, api_version="v", api_key="x"),
    ],
    ids=["client", "backend", "azure"],
)
def test_the_error_for_an_invalid_url_does_not_show_its_secrets(create, url):
    with pytest.raises(ConfigurationError, match="base_url must be") as caught:
        create(url)
    assert SECRET not in report_of(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {"api_key": f"{KEY}\n"},
        {"api_key": f"{KEY}ü"},
        {"api_key": KEY.encode()},
        {"api_key": KEY, "backend": tunesmith.MemoryBackend()},
        {"api_key": KEY, "timeout": 0},
        {"api_key": KEY, "transport": "smoke signals"},
        {"api_key": KEY, "http_client": httpx.Client},
        {"api_key": "x", "default_headers": {"x": f"{SECRET}\n"}},
        {"api_key": "x", "default_headers": {"x": (SECRET,)}},
        {"api_key": "x", "default_headers": {"x": SECRET}, "max_retries": -1},
        {"api_key": "x", "base_url": f"http://user:{SECRET}@host/v1", "timeout": 0},
    ],
    ids=str,
)
def test_no_error_of_the_constructor_shows_a_secret(options):
    with pytest.raises(ConfigurationError) as caught:
        AsyncClient(**options)
    assert SECRET not in report_of(caught.value)


def test_the_key_of_the_environment_is_not_shown(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", f"{KEY}\n")
    with pytest.raises(ConfigurationError, match="api_key") as caught:
        AsyncClient()
    assert SECRET not in report_of(caught.value)


@pytest.mark.parametrize("key", [KEY, KEY.encode(), f"{KEY}\n"])
def test_azure_hides_its_key_when_both_ways_are_given(key):
    async def token():
        return "t"

    with pytest.raises(ConfigurationError) as caught:
        AzureBackend(
            f"https://user:{SECRET}@host",
            api_version="v",
            api_key=key,
            azure_ad_token_provider=token,
        )
    assert SECRET not in report_of(caught.value)


@pytest.mark.parametrize("secret", [f"whsec_!{SECRET}", "whsec_" + "A" * 20])
def test_no_error_of_a_webhook_shows_its_secret(secret):
    headers = {"webhook-id": "1", "webhook-timestamp": "1", "webhook-signature": "v1,x"}
    with pytest.raises(errors.TunesmithError) as caught:
        tunesmith.webhooks.unwrap("{}", headers, secret=secret)
    assert secret.removeprefix("whsec_") not in report_of(caught.value)
