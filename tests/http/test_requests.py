"""What goes over the wire, seen at the httpx layer."""

import json
import pickle
import traceback
from functools import partial

import httpx
import pytest
import respx
from tests.http.servers import good, serving_over

import tunesmith
from tunesmith import AsyncClient, AzureBackend, ConfigurationError, HttpxBackend, errors
from tunesmith.batch import BatchJob

pytestmark = pytest.mark.anyio

URL = "https://api.openai.com/v1"
MODEL = {"id": "ada", "object": "model", "created": 1, "owned_by": "openai"}


def report_of(error):
    """Return the message of an error and the variables of the package's frames."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    variables = [
        f"{name}={value!r}"
        for frame in frames
        if "/tunesmith/" in frame.f_code.co_filename
        for name, value in frame.f_locals.items()
    ]
    assert variables
    return "\n".join([str(error), repr(error), *variables])


@pytest.fixture
def service():
    with respx.mock(base_url=URL, assert_all_called=False) as router:
        router.get("/models/ada").respond(json=MODEL, headers={"x-request-id": "req_1"})
        yield router


async def test_key_organization_and_project_are_sent_as_headers(service):
    async with AsyncClient(
        api_key="sk-1", organization="org-1", project="proj-1", default_headers={"X-Mine": "yes"}
    ) as client:
        await client.models.retrieve("ada")
    headers = service.calls.last.request.headers
    assert headers["authorization"] == "Bearer sk-1"
    assert headers["openai-organization"] == "org-1"
    assert headers["openai-project"] == "proj-1"
    assert headers["x-mine"] == "yes"
    assert headers["user-agent"].startswith("tunesmith/")


async def test_default_query_is_sent_with_every_call_and_yields_to_that_of_a_call(service):
    service.post("/completions").respond(
        text="data: [DONE]\n\n", headers={"content-type": "text/event-stream"}
    )
    async with AsyncClient(api_key="sk-1", default_query={"version": 1, "tag": "a"}) as client:
        tagged = client.with_options(default_query={"tag": "b", "on": [True]})
        await client.models.retrieve("ada", extra_query={"tag": "c"})
        await tagged.models.retrieve("ada")
        async with client.completions.stream(model="ada", prompt="Hi"):
            pass
    first, second, streamed = [call.request.url.params for call in service.calls]
    assert dict(first) == {"tag": "c", "version": "1"}
    assert dict(second) == {"version": "1", "tag": "b", "on[]": "true"}
    assert dict(streamed) == {"version": "1", "tag": "a"}


async def test_rows_of_a_batch_job_carry_the_default_query(service, tmp_path):
    route = service.post("/completions").respond(json={"choices": [{"text": "Hi", "index": 0}]})
    async with AsyncClient(api_key="sk-1", default_query={"tag": "a"}) as client:
        job = BatchJob([{"prompt": "Hello"}], tmp_path / "out.jsonl", client=client, model="ada")
        async with job:
            await job.run()
    assert dict(route.calls.last.request.url.params) == {"tag": "a"}


async def test_options_default_to_the_environment(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-env")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-env")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-env")
    with respx.mock(base_url="http://127.0.0.1:9/v1") as router:
        router.get("/models/ada").respond(json=MODEL)
        async with AsyncClient() as client:
            await client.models.retrieve("ada")
        headers = router.calls.last.request.headers
    assert headers["authorization"] == "Bearer sk-env"
    assert headers["openai-organization"] == "org-env"
    assert headers["openai-project"] == "proj-env"


def test_without_key_and_backend_the_error_names_the_three_ways_out():
    with pytest.raises(ConfigurationError) as caught:
        AsyncClient()
    for way in ("OPENAI_API_KEY", "api_key=", "MemoryBackend"):
        assert way in str(caught.value)


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://host/v1", "", "http://", "http://[::1"])
def test_an_invalid_base_url_is_refused(url):
    with pytest.raises(ConfigurationError, match="base_url"):
        HttpxBackend(url)


def test_a_client_whose_constructor_failed_has_a_repr():
    """Some reports of errors print the variables of each frame, half-made objects among them."""
    with pytest.raises(ConfigurationError) as caught:
        AsyncClient(api_key="sk-1", base_url="localhost:8000")
    report = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert "base_url must be" in "".join(report.format())


@pytest.mark.parametrize("option", ["api_key", "base_url", "organization", "project"])
def test_backend_cannot_be_combined_with_options_of_http(option):
    with pytest.raises(ConfigurationError, match=rf"backend=.*{option}="):
        AsyncClient(backend=HttpxBackend(URL), **{option: "sk-1"})


@pytest.mark.slow
@pytest.mark.parametrize("key", ["", " ", None, b"sk-1"])
async def test_a_key_function_that_returns_no_key_is_an_error_that_names_it(transport, key):
    async with AsyncClient(lambda: key, "http://127.0.0.1:9/v1", transport=transport) as client:
        with pytest.raises(errors.APIConnectionError, match="api_key must return a key as text"):
            await client.models.list()


async def test_a_key_function_may_be_synchronous(transport):
    async with serving_over(transport, good) as (_, client):
        url = client.backend.base_url
        async with AsyncClient(lambda: "sk-1", url, transport=transport) as own:
            assert (await own.models.retrieve("ada")).id == "ada"


async def test_a_key_function_is_called_before_each_attempt(service):
    """So a key can rotate while a call is being tried again."""
    keys = iter(["sk-old", "sk-new"])

    async def key():
        return next(keys)

    service.get("/models/ada").mock(
        side_effect=[
            httpx.Response(500, headers={"retry-after": "0"}),
            httpx.Response(200, json=MODEL),
        ]
    )
    async with AsyncClient(api_key=key) as client:
        await client.models.retrieve("ada")
    sent = [call.request.headers["authorization"] for call in service.calls]
    assert sent == ["Bearer sk-old", "Bearer sk-new"]


async def test_http_client_is_used_and_stays_open(service):
    async with httpx.AsyncClient(headers={"x-proxy": "1"}) as own:
        async with AsyncClient(api_key="sk-1", http_client=own) as client:
            await client.models.retrieve("ada")
        assert service.calls.last.request.headers["x-proxy"] == "1"
        assert not own.is_closed


async def test_results_have_their_response(service):
    headers = {
        "x-request-id": "req_7",
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": "6m0s",
        "x-ratelimit-remaining-tokens": "149984",
    }
    service.get("/models/ada").respond(json=MODEL, headers=headers)
    async with AsyncClient(api_key="sk-1") as client:
        model = await client.models.retrieve("ada")
    assert model.response.request_id == "req_7"
    assert model.response.status == 200
    assert model.response.headers["content-type"] == "application/json"
    limits = model.response.rate_limits
    assert (limits.limit_requests, limits.remaining_requests) == (60, 59)
    assert limits.reset_requests == 360
    assert limits.remaining_tokens == 149984
    assert limits.limit_tokens is None


async def test_an_object_created_by_the_user_has_no_response():
    with pytest.raises(AttributeError):
        _ = tunesmith.types.Model(id="ada").response


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.BadRequestError),
        (401, errors.AuthenticationError),
        (403, errors.PermissionDeniedError),
        (404, errors.NotFoundError),
        (409, errors.ConflictError),
        (413, errors.RequestTooLargeError),
        (418, errors.APIStatusError),
        (422, errors.UnprocessableEntityError),
        (429, errors.RateLimitError),
        (500, errors.InternalServerError),
        (503, errors.InternalServerError),
    ],
)
async def test_each_status_has_its_error_and_each_error_pickles(service, status, kind):
    error = {
        "message": "No such model",
        "type": "invalid_request_error",
        "param": "model",
        "code": "c",
    }
    service.get("/models/ada").respond(
        status, json={"error": error}, headers={"x-request-id": "req_1", "retry-after": "7"}
    )
    async with AsyncClient(api_key="sk-1", max_retries=0) as client:
        with pytest.raises(errors.APIStatusError) as caught:
            await client.models.retrieve("ada")
    for raised in (caught.value, pickle.loads(pickle.dumps(caught.value))):
        assert type(raised) is kind
        assert raised.status == raised.status_code == status
        assert (raised.message, raised.type) == ("No such model", "invalid_request_error")
        assert (raised.param, raised.code) == ("model", "c")
        assert raised.request_id == "req_1"
        assert raised.retry_after == 7
        assert raised.operation == "models.retrieve"
        assert raised.attempts == 1
        assert "No such model" in str(raised)


async def test_no_error_and_no_repr_shows_a_key(service):
    """Services quote the key that they refuse; tracebacks show the arguments of a client."""
    message = "Incorrect API key provided: sk-se****cret. Find yours at …"
    service.get("/models/ada").respond(401, json={"error": {"message": message}})
    client = AsyncClient(api_key="sk-verysecret")
    with pytest.raises(errors.AuthenticationError) as caught:
        await client.models.retrieve("ada")
    shown = f"{caught.value!r} {caught.value} {caught.value.body} {caught.value.text} "
    shown += f"{client!r} {client.backend!r} "
    shown += repr(vars(caught.value)) + repr(vars(client.backend))
    assert "sk-" not in shown
    await client.aclose()


@pytest.mark.parametrize("key", ["sk-verysecret\n", "sk-verysecret…", b"sk-verysecret"])
def test_an_invalid_key_is_refused_and_not_shown(key):
    """Files and shells put the end of a line behind a key, editors make three dots to a letter."""
    with pytest.raises(ConfigurationError, match="api_key") as caught:
        AsyncClient(api_key=key)
    assert "verysecret" not in "".join(traceback.format_exception_only(caught.value))


@pytest.mark.parametrize("value", ["sk-verysecret…", "sk-verysecret\n", ("sk-verysecret",)])
def test_an_invalid_header_is_refused_and_not_shown(value):
    headers = {"X-Key": value}
    for create in (AsyncClient, AsyncClient("sk-1").with_options):
        with pytest.raises(ConfigurationError, match="header 'x-key' must be") as caught:
            create(default_headers=headers)
        assert "verysecret" not in report_of(caught.value)


async def test_an_invalid_header_of_a_call_is_an_error_that_does_not_show_it(service):
    async with AsyncClient(api_key="sk-1") as client:
        with pytest.raises(errors.InvalidRequestError, match="header 'x-key' must be") as caught:
            await client.models.retrieve("ada", extra_headers={"x-key": "sk-verysecret…"})
    assert "verysecret" not in str(caught.value) + str(caught.value.__cause__)
    assert not service.calls


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("Content-Length", "must not be set"),
        ("transfer-encoding", "must not be set"),
        ("x key", "is not a name"),
        ("x-key:", "is not a name"),
        ("", "is not a name"),
        ("é", "is not a name"),
        ("x\r\ny", "is not a name"),
    ],
)
async def test_headers_that_would_change_the_request_are_refused(service, name, problem):
    """A wrong length leaves bytes that servers take for another request."""
    for create in (AsyncClient, AsyncClient("sk-1").with_options):
        with pytest.raises(ConfigurationError, match=problem):
            create(default_headers={name: "5"})
    async with AsyncClient(api_key="sk-1") as client:
        with pytest.raises(errors.InvalidRequestError, match=problem):
            await client.models.retrieve("ada", extra_headers={name: "5"})
    assert not service.calls


@pytest.mark.parametrize("headers", [[("a", "b")], "a: b", 5])
def test_headers_must_be_a_mapping(headers):
    with pytest.raises(ConfigurationError, match="default_headers must be a mapping"):
        AsyncClient("sk-1", default_headers=headers)


async def test_the_query_of_a_call_may_have_values_of_other_types(service):
    service.get("/models/ada").respond(json=MODEL)
    async with AsyncClient(api_key="sk-1") as client:
        query = {"limit": 5, "on": True, "tags": ["a", "b"], "none": None}
        await client.models.retrieve("ada", extra_query=query)
        sent = dict(service.calls.last.request.url.params.multi_items())
        assert sent == {"limit": "5", "on": "true", "tags[]": "b"}
        for value in (float("nan"), "\ud800", {"a": [float("inf")]}):
            with pytest.raises(errors.InvalidRequestError, match="x"):
                await client.models.retrieve("ada", extra_query={"x": value})


@pytest.mark.parametrize("option", ["organization", "project"])
def test_an_organization_that_no_header_can_hold_is_refused(option):
    with pytest.raises(ConfigurationError, match=f"openai-{option}"):
        AsyncClient("sk-1", **{option: "a\nb"})


async def test_no_variable_in_a_traceback_shows_the_key(service):
    """Some reports of errors print the variables of each frame."""
    service.get("/models/ada").mock(side_effect=httpx.ConnectError("refused"))
    async with AsyncClient(api_key="sk-verysecret", max_retries=0) as client:
        with pytest.raises(errors.APIConnectionError) as caught:
            await client.models.retrieve("ada")
    report = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert "sk-verysecret" not in "".join(report.format())


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("timeout", 0, "a number of seconds above 0, or None for no limit"),
        ("timeout", "30", "a number of seconds above 0, or None for no limit"),
        ("deadline", -1, "a number of seconds above 0, or None for no limit"),
        ("max_retries", -1, "0 or more"),
        ("max_retries", "2", "0 or more"),
    ],
)
@pytest.mark.parametrize("create", [partial(AsyncClient, "sk-1"), AsyncClient("sk-1").with_options])
def test_invalid_limits_are_refused(create, name, value, rule):
    with pytest.raises(ConfigurationError) as caught:
        create(**{name: value})
    assert str(caught.value) == f"{name} must be {rule}, not {value!r}"


async def test_a_redirect_is_not_followed_with_the_key(service):
    elsewhere = respx.get("https://elsewhere.example/models/ada").respond(json=MODEL)
    service.get("/models/ada").respond(
        307, headers={"location": "https://elsewhere.example/models/ada"}
    )
    async with AsyncClient(api_key="sk-1") as client:
        with pytest.raises(errors.APIStatusError, match=r"elsewhere\.example"):
            await client.models.retrieve("ada")
    assert not elsewhere.called


async def test_a_wrong_parameter_is_an_error_before_anything_is_sent(service):
    async with AsyncClient(api_key="sk-1") as client:
        with pytest.raises(errors.InvalidRequestError, match="limit") as caught:
            await client.files.list(limit="many")
        assert caught.value.param == "limit"
        with pytest.raises(errors.InvalidRequestError, match="modle"):
            await client.models.retrieve(modle="ada")
        with pytest.raises(errors.InvalidRequestError, match="file_id"):
            await client.files.retrieve("")
        with pytest.raises(errors.InvalidRequestError):
            await client.files.retrieve("..")
    assert not service.calls


@pytest.mark.parametrize("half", ["\ud800", "a\udfff"])
async def test_a_lone_surrogate_is_an_error_before_anything_is_sent(service, half):
    async with AsyncClient("sk-1") as client:
        with pytest.raises(errors.InvalidRequestError, match="prompt cannot be sent as JSON"):
            await client.completions.create(model="ada", prompt=half)
        with pytest.raises(errors.InvalidRequestError, match="model cannot be part of a URL"):
            await client.models.retrieve(half)
    assert not service.calls


async def test_extra_parameters_are_sent(service):
    route = service.get("/models/ada").respond(json=MODEL)
    async with AsyncClient(api_key="sk-1") as client:
        await client.models.retrieve("ada", extra_query={"v": "2"}, extra_headers={"X-Trace": "t"})
    assert route.calls.last.request.url.params["v"] == "2"
    assert route.calls.last.request.headers["x-trace"] == "t"


async def test_names_in_paths_are_escaped(service):
    route = service.get(url__startswith=URL + "/models/").respond(json=MODEL)
    async with AsyncClient(api_key="sk-1") as client:
        await client.models.retrieve("org/model?")
    assert route.calls.last.request.url.raw_path == b"/v1/models/org%2Fmodel%3F"


async def test_metadata_is_a_filter_in_the_query(service):
    route = service.get("/fine_tuning/jobs").respond(json={"object": "list", "data": []})
    async with AsyncClient(api_key="sk-1") as client:
        await client.fine_tuning.jobs.list(metadata={"team": "kant"}, limit=5)
    assert dict(route.calls.last.request.url.params) == {"metadata[team]": "kant", "limit": "5"}


async def test_none_is_not_sent_and_extra_body_is(service):
    route = service.post("/fine_tuning/jobs").respond(json={"id": "ftjob-1", "status": "queued"})
    async with AsyncClient(api_key="sk-1") as client:
        await client.fine_tuning.jobs.create(
            model="m", training_file="file-1", suffix=None, extra_body={"new": [None, 1]}
        )
    sent = json.loads(route.calls.last.request.content)
    assert sent == {"model": "m", "training_file": "file-1", "new": [None, 1]}


async def test_azure_has_its_own_paths_and_header():
    backend = AzureBackend(
        "https://r.openai.azure.com", api_version="2024-10-21", deployment="dep", api_key="k"
    )
    with respx.mock() as router:
        completion = {
            "id": "c",
            "object": "text_completion",
            "created": 1,
            "model": "m",
            "choices": [],
        }
        route = router.post(
            "https://r.openai.azure.com/openai/deployments/dep/completions?api-version=2024-10-21"
        ).respond(json=completion)
        files = router.get(
            "https://r.openai.azure.com/openai/files?api-version=2024-10-21"
        ).respond(json={"object": "list", "data": []})
        async with AsyncClient(backend=backend) as client:
            await client.completions.create(model="m", prompt="p")
            await client.files.list()
    assert route.calls.last.request.headers["api-key"] == "k"
    assert "authorization" not in files.calls.last.request.headers


async def test_azure_takes_an_entra_token():
    async def token():
        return "entra"

    backend = AzureBackend(
        "https://r.openai.azure.com", api_version="v", azure_ad_token_provider=token
    )
    with respx.mock() as router:
        router.get(url__startswith="https://r.openai.azure.com/openai/files").respond(
            json={"object": "list", "data": []}
        )
        async with AsyncClient(backend=backend) as client:
            await client.files.list()
        assert router.calls.last.request.headers["authorization"] == "Bearer entra"


async def test_azure_uses_your_own_http_client():
    def handle(request):
        return httpx.Response(200, json={"object": "list", "data": []})

    async with httpx.AsyncClient(transport=httpx.MockTransport(handle)) as own:
        backend = AzureBackend(
            "https://r.openai.azure.com", api_version="v", api_key="k", http_client=own
        )
        async with AsyncClient(backend=backend) as client:
            assert (await client.files.list()).data == []
        assert not own.is_closed


@pytest.mark.parametrize("keys", [{}, {"api_key": "k", "azure_ad_token_provider": print}])
def test_azure_needs_either_a_key_or_a_token_provider(keys):
    with pytest.raises(
        ConfigurationError, match=r"^pass either api_key= or azure_ad_token_provider=$"
    ):
        AzureBackend("https://r.openai.azure.com", api_version="v", **keys)
