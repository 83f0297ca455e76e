"""Methods of resources: their arguments, and habits of the official SDK."""

import inspect
import json

import pytest
from pydantic import BaseModel
from tests.unit.calls.conftest import Script, answer

from tunesmith import errors
from tunesmith.errors import ConfigurationError
from tunesmith.testing import VirtualClock

pytestmark = pytest.mark.anyio

COMPLETION = b'{"id": "c", "object": "text_completion", "model": "m", "choices": []}'


class City(BaseModel):
    name: str


async def test_stream_false_changes_nothing():
    events = b'data: {"id": "e", "message": "Created"}\n\ndata: [DONE]\n\n'
    client = Script(answer(COMPLETION), answer(events)).client()
    assert (await client.completions.create(model="m", prompt="a", stream=False)).id == "c"
    async with client.fine_tunes.stream_events("ft-1", stream=False) as stream:
        assert [event.message async for event in stream] == ["Created"]


async def test_the_raw_response_of_a_call_takes_its_arguments():
    backend = Script(answer(b'{"id": "ada"}', x_request_id="req_1"))
    models = backend.client().models
    raw = await models.with_raw_response.retrieve("ada", timeout=3)
    assert (raw.parse().id, raw.request_id) == ("ada", "req_1")
    assert backend.requests[0].path == "/models/ada"
    method = models.with_raw_response.retrieve
    assert method.__doc__ == models.retrieve.__doc__
    assert inspect.signature(method) == inspect.signature(models.retrieve)


async def test_parse_keeps_the_other_settings_of_a_text():
    body = {"id": "r", "status": "completed", "output": []}
    backend = Script(answer(json.dumps(body).encode()))
    responses = backend.client().responses
    await responses.parse(model="m", input="Hi", text_format=City, text={"verbosity": "low"})
    text = json.loads(backend.bodies[0])["text"]
    assert text["verbosity"] == "low"
    assert text["format"]["name"] == "City"


@pytest.mark.parametrize(
    ("resource", "param"),
    [("chat.completions", "response_format"), ("responses", "text_format")],
)
async def test_parse_names_what_is_wrong_with_its_parameters(resource, param):
    client = Script().client()
    parse = (client.responses if resource == "responses" else client.chat.completions).parse
    data = {"input": "Hi"} if resource == "responses" else {"messages": []}
    for options, name in (({param: dict}, param), ({param: City, "colour": 1}, "colour")):
        with pytest.raises(errors.InvalidRequestError) as caught:
            await parse(model="m", **data, **options)
        assert caught.value.operation == f"{resource}.create"
        assert caught.value.param == name


@pytest.mark.parametrize(
    ("wait", "body", "seconds"),
    [
        (lambda client: client.fine_tuning.jobs.wait("j"), {"status": "running"}, 5),
        (lambda client: client.batches.wait("b"), {"status": "in_progress"}, 10),
        (lambda client: client.files.wait_for_processing("f"), {"status": "uploaded"}, 1),
    ],
    ids=["jobs", "batches", "files"],
)
async def test_waiting_polls_in_its_own_rhythm(wait, body, seconds):
    backend = Script(*[answer(json.dumps({"id": "x", **body}).encode())] * 5)
    backend.clock = VirtualClock()
    with pytest.raises(errors.DeadlineExceededError):
        await wait(backend.client(deadline=seconds * 2.5))
    begun = backend.times[0]
    assert [round(time - begun, 3) for time in backend.times] == [0, seconds, seconds * 2]


async def test_without_a_webhook_secret_the_error_names_the_ways_to_give_one(monkeypatch):
    monkeypatch.delenv("OPENAI_WEBHOOK_SECRET", raising=False)
    webhooks = Script().client().webhooks
    with pytest.raises(ConfigurationError) as caught:
        webhooks.unwrap(b"{}", {})
    assert str(caught.value) == (
        "no webhook secret: pass secret=, or AsyncClient(webhook_secret=…), or set the environment "
        "variable OPENAI_WEBHOOK_SECRET"
    )
