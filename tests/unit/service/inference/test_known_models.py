"""Models of the service: every known one, those that you add, and what each may be used for."""

import json

import pytest

from tunesmith.operations.chat import CreateChatCompletion
from tunesmith.operations.completions import CreateCompletion
from tunesmith.operations.embeddings import CreateEmbedding
from tunesmith.operations.files import CreateFile
from tunesmith.operations.fine_tuning import CreateFineTuningJob, RetrieveFineTuningJob
from tunesmith.operations.models import ListModels, RetrieveModel
from tunesmith.operations.moderations import CreateModeration
from tunesmith.operations.responses import CreateResponse
from tunesmith.service.core.errors import ServiceError
from tunesmith.service.service import Service

pytestmark = pytest.mark.anyio


def chat(model):
    return CreateChatCompletion(model=model, messages=[{"role": "user", "content": "Why?"}])


def complete(model):
    return CreateCompletion(model=model, prompt="Why?", max_tokens=1)


def respond(model):
    return CreateResponse(model=model, input="Why?")


def embed(model):
    return CreateEmbedding(model=model, input="Why?")


def moderate(model):
    return CreateModeration(model=model, input="Why?")


CALLS = (chat, complete, respond, embed, moderate)


async def works(service, operation):
    try:
        await service.execute(operation)
    except ServiceError as error:
        return error
    return True


@pytest.mark.parametrize(
    ("model", "working"),
    [
        ("gpt-6-luna", {chat, respond}),
        ("gpt-4", {chat, respond}),
        ("gpt-4-32k", {chat}),
        ("gpt-5-pro", {respond}),
        ("text-davinci-003", {complete}),
        ("text-similarity-ada-001", {embed}),
        ("text-moderation-007", {moderate}),
        ("whisper-1", set()),
        ("llama-3", {*CALLS}),
    ],
)
async def test_a_model_works_at_its_endpoints_and_at_no_other(model, working):
    service = Service(models=["llama-3"])
    assert {call for call in CALLS if await works(service, call(model)) is True} == working


async def test_a_model_of_the_responses_api_says_so():
    for call, endpoint in ((chat, "v1/chat/completions"), (complete, "v1/completions")):
        error = await works(Service(), call("gpt-5-pro"))
        assert (error.status, str(error)) == (
            404,
            f"This model is only supported in v1/responses and not in {endpoint}.",
        )


async def test_all_known_models_are_listed_with_their_shutdown():
    page = await Service(models=["llama-3"]).execute(ListModels())
    dates = {model.id: model.shutdown_date for model in page.data}
    assert len(dates) > 200
    assert dates["gpt-4"] == "2026-10-23"
    assert dates["gpt-6-luna"] is None
    assert "llama-3" in dates


async def test_a_model_that_was_not_added_is_unknown():
    error = await works(Service(), RetrieveModel("llama-3"))
    assert (error.status, error.code) == (404, "model_not_found")


async def create_job(service, model, method):
    row = b'{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}'
    file = await service.execute(CreateFile(file=("a.jsonl", row), purpose="fine-tune"))
    options = {"grader": {"type": "string_check", "name": "a", "operation": "eq"}}
    options["grader"] |= {"input": "{{sample.output_text}}", "reference": "b"}
    part = {method: options} if method == "reinforcement" else {}
    return CreateFineTuningJob(model=model, training_file=file.id, method={"type": method, **part})


@pytest.mark.parametrize(
    ("model", "methods"),
    [
        ("gpt-4.1", {"supervised", "dpo"}),
        ("gpt-4o-mini-2024-07-18", {"supervised", "dpo"}),
        ("gpt-3.5-turbo", {"supervised"}),
        ("o4-mini", {"reinforcement"}),
        ("babbage-002", {"supervised"}),
        ("gpt-6-luna", set()),
        ("llama-3", {"supervised", "dpo", "reinforcement"}),
    ],
)
async def test_a_model_is_tuned_by_its_methods_and_by_no_other(model, methods):
    service = Service(models=["llama-3"])
    for method in ("supervised", "dpo", "reinforcement"):
        outcome = await works(service, await create_job(service, model, method))
        if method in methods:
            assert outcome is True
        else:
            assert outcome.code == ("invalid_method" if methods else "model_not_available")


@pytest.mark.parametrize("format", ["chat", "completions"])
async def test_a_model_of_your_own_is_tuned_on_both_formats(format):
    service = Service(models=["llama-3"])
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    row = {"messages": turns} if format == "chat" else {"prompt": "a", "completion": " b"}
    content = (json.dumps(row) + "\n").encode() * 10
    file = await service.execute(CreateFile(file=("a.jsonl", content), purpose="fine-tune"))

    job = await service.execute(CreateFineTuningJob(model="llama-3", training_file=file.id))
    service.clock.jump(24 * 3600)
    job = await service.execute(RetrieveFineTuningJob(job.id))

    assert job.status == "succeeded", job.error
