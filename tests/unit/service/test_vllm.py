"""vLLM generates with base models and with adapters that were tuned here."""

import json
from contextlib import aclosing, asynccontextmanager

import anyio
import anyio.lowlevel
import pytest

from tunesmith import AsyncClient, MemoryBackend
from tunesmith.errors import APIStatusError, BackendError, ConfigurationError
from tunesmith.protocol.message import Response
from tunesmith.service.engines.base import EngineError
from tunesmith.service.engines.ngram.engine import NGramEngine, NGramModel
from tunesmith.service.engines.ngram.tokenizer import standard_tokenizer
from tunesmith.service.service import Service

pytestmark = pytest.mark.anyio

BASE = "babbage-002"
CHAT = "gpt-4o-mini"


class FakeVllm:
    """The parts of vLLM's API that are used, with its errors; it serves the base models.

    Args:
        task: What it was started for.
        text: The text that it generates.
    """

    def __init__(self, task="generate", text="From vLLM."):
        self.inner = MemoryBackend(Service())
        self.inner.service.stub_reply(text)
        self.adapters = {}
        self.served = {BASE, CHAT}
        self.calls = []
        self.bodies = []
        self.n_open = 0
        self.can_load = self.is_reachable = True
        self.task, self.text = task, text
        self.breaks_after = self.refusal = None

    @asynccontextmanager
    async def send(self, request):
        await anyio.lowlevel.checkpoint()
        if not self.is_reachable:
            raise BackendError("connection refused", phase="connect")
        if request.path == "/models":
            models = [{"id": name, "max_model_len": 64} for name in self.served]
            yield Response(200, {}, chunks({"object": "list", "data": models}))
            return
        body = json.loads(request.body)
        self.calls.append((request.path, body.get("lora_name") or body["model"]))
        self.bodies.append(body)
        if self.refusal:
            yield Response(self.refusal, {}, chunks(error("too long")))
        elif request.path.endswith("_lora_adapter"):
            status, answer = self._update(request.path, **body)
            yield Response(status, {}, chunks(answer))
        elif (request.path == "/embeddings") != (self.task == "embed"):
            yield Response(404, {}, chunks({"detail": "Not Found"}))
        elif body["model"] in self.served and self.task == "embed":
            yield Response(200, {}, chunks({"data": [{"embedding": [3.0, 4.0, 12.0]}]}))
        elif body["model"] in self.served and isinstance(body.get("prompt"), list):
            self.n_open += 1
            try:
                async with aclosing(self._events(body)) as events:
                    yield Response(200, {}, events)
            finally:
                self.n_open -= 1
        elif body["model"] in self.served | set(self.adapters):
            request.headers.pop("content-length")
            passed_on = json.dumps({**body, "model": BASE}).encode()
            async with self.inner.send(replace_body(request, passed_on)) as response:
                yield response
        else:
            yield Response(404, {}, chunks(error(f"The model `{body['model']}` does not exist.")))

    def _update(self, path, *, lora_name, lora_path=None):
        if not self.can_load:
            return 404, {"detail": "Not Found"}
        if path == "/unload_lora_adapter":
            found = self.adapters.pop(lora_name, None)
            return (200, "Success") if found else (404, error("cannot be found"))
        if lora_name in self.adapters:
            return 400, error("has already been loaded")
        self.adapters[lora_name] = lora_path
        return 200, "Success"

    async def _events(self, body):
        """Yield the text as vLLM does if it is asked for token ids."""
        tokenizer = standard_tokenizer()
        ids = [*tokenizer.encode(self.text), *body["stop_token_ids"]]
        if self.breaks_after is not None:
            ids = ids[: self.breaks_after]
        for number, token in enumerate(ids[: body["max_tokens"]], 1):
            await anyio.lowlevel.checkpoint()
            name = f"token_id:{token}"
            options = {"token_id:300": -0.25, name: -0.5, "token_id:301": -2.0}
            logprobs = {"tokens": [name], "token_logprobs": [-0.5], "top_logprobs": [options]}
            is_last = token in body["stop_token_ids"]
            reason = "stop" if is_last else "length" if number == body["max_tokens"] else None
            choice = {"index": 0, "logprobs": logprobs, "finish_reason": reason}
            yield b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"

    async def aclose(self):
        await self.inner.aclose()


def replace_body(request, body):
    return type(request)(request.operation, request.method, request.path, (), request.headers, body)


def error(message):
    return {"error": {"message": message, "type": "NotFoundError", "param": None, "code": 404}}


async def chunks(answer):
    yield json.dumps(answer).encode()


@asynccontextmanager
async def serving(vllm):
    async with AsyncClient(backend=MemoryBackend(vllm=vllm), max_retries=0) as client:
        yield client


async def tune(client, *, base=BASE, is_adapter=True):
    row = {"prompt": "Say", "completion": " yes"}
    if base == CHAT:
        turns = {"user": "Say", "assistant": "yes"}.items()
        row = {"messages": [{"role": role, "content": content} for role, content in turns]}
    lines = f"{json.dumps(row)}\n".encode() * 10
    file = await client.files.create(file=("train.jsonl", lines), purpose="fine-tune")
    job = await client.fine_tuning.jobs.create(model=base, training_file=file.id)
    name = (await client.fine_tuning.jobs.wait(job)).fine_tuned_model
    folder = client.backend.service.models.weights_folder(name)
    if is_adapter:
        (folder / "adapter_config.json").write_text("{}")
    return name, folder


def loads(vllm):
    return [name for path, name in vllm.calls if path == "/load_lora_adapter"]


async def test_base_models_and_streams_go_to_vllm():
    vllm = FakeVllm()
    async with serving(vllm) as client:
        completion = await client.completions.create(model=BASE, prompt="Say")
        async with client.completions.stream(model=BASE, prompt="Say") as stream:
            final = await stream.final_response()
    assert completion.choices[0].text == final.choices[0].text == "From vLLM."
    assert vllm.calls == [("/completions", BASE)] * 2


async def test_an_adapter_is_loaded_once_before_its_first_use_and_unloaded_when_deleted():
    vllm = FakeVllm()
    async with serving(vllm) as client:
        name, folder = await tune(client)
        vllm.adapters[name] = "/left/by/another/server"
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(lambda: client.completions.create(model=name, prompt="Say"))
        assert vllm.adapters == {name: str(folder.resolve())}
        assert loads(vllm) == [name]
        await client.models.delete(name)
    assert vllm.adapters == {}


async def test_an_adapter_is_loaded_again_after_vllm_was_restarted():
    vllm = FakeVllm()
    async with serving(vllm) as client:
        name, _ = await tune(client)
        await client.completions.create(model=name, prompt="Say")
        vllm.adapters.clear()
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(lambda: client.completions.create(model=name, prompt="Say"))
    assert loads(vllm) == [name, name]


async def test_an_adapter_of_whole_tuned_weights_does_not_reach_vllm():
    vllm = FakeVllm()
    async with serving(vllm) as client:
        _, whole = await tune(client, is_adapter=False)
        (whole / "config.json").write_text("{}")
        name, folder = await tune(client)
        config = {"base_model_name_or_path": f"/moved/{whole.name}"}
        (folder / "adapter_config.json").write_text(json.dumps(config))
        status, message = await fail(client, name)
    assert status == 400
    assert "continues a model that was trained as a whole" in message
    assert vllm.calls == []


async def test_an_adapter_that_the_engine_refuses_does_not_reach_vllm(monkeypatch):
    async def refuse(engine, model, folder):
        raise EngineError(f"{folder.name} is not an adapter of {model}")

    vllm = FakeVllm()
    async with serving(vllm) as client:
        name, folder = await tune(client)
        monkeypatch.setattr(NGramEngine, "open", refuse)
        status, message = await fail(client, name)
    assert status == 400
    assert f"{folder.name} is not an adapter of {BASE}" in message
    assert vllm.calls == []


async def test_a_model_that_is_unknown_here_does_not_reach_vllm():
    vllm = FakeVllm()
    async with serving(vllm) as client:
        with pytest.raises(APIStatusError, match="'nothing' does not exist"):
            await client.completions.create(model="nothing", prompt="Say")
    assert vllm.calls == []


async def fail(client, model):
    with pytest.raises(APIStatusError) as caught:
        await client.completions.create(model=model, prompt="Say")
    return caught.value.status, str(caught.value)


async def test_errors_say_how_to_fix_them():
    vllm = FakeVllm()
    async with serving(vllm) as client:
        whole, _ = await tune(client, is_adapter=False)
        status, message = await fail(client, whole)
        assert status == 400
        assert "was trained as a whole" in message

        adapter, _ = await tune(client)
        vllm.can_load = False
        status, message = await fail(client, adapter)
        assert status == 502
        assert "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True" in message

        vllm.served.clear()
        status, message = await fail(client, BASE)
        assert status == 404
        assert f"--served-model-name {BASE}" in message

        vllm.is_reachable = False
        for model in (BASE, adapter):
            status, message = await fail(client, model)
            assert status == 503
            assert "vLLM cannot be reached: connection refused" in message
        await client.models.delete(adapter)  # which needs no vLLM


@pytest.fixture
def engine_without_inference(monkeypatch):
    """The engine generates nothing."""

    def generate(*_, **__):
        raise AssertionError("the engine generates")

    monkeypatch.setattr(NGramModel, "generate", generate)
    monkeypatch.setattr(NGramModel, "embed", generate)


async def test_responses_are_generated_by_vllm(engine_without_inference):
    vllm = FakeVllm()
    async with serving(vllm) as client:
        tuned, _ = await tune(client, base=CHAT)
        vllm.served.add(tuned)
        first = await client.responses.create(model=CHAT, input="Who?", temperature=0)
        after = await client.responses.create(
            model=tuned, input="And?", previous_response_id=first.id, max_output_tokens=2
        )
        async with client.responses.stream(model=CHAT, input="Who?") as stream:
            deltas = [
                event.delta async for event in stream if event.type == "response.output_text.delta"
            ]
        items = await client.responses.input_items.list(first.id)
    assert first.output_text == "".join(deltas) == "From vLLM."
    assert len(deltas) > 1
    assert items.data[0].type == "message"
    assert (after.status, after.usage.output_tokens) == ("incomplete", 2)
    assert loads(vllm) == [tuned]
    assert [name for path, name in vllm.calls if path == "/completions"] == [CHAT, tuned, CHAT]
    prompts = [body["prompt"] for body in vllm.bodies if "prompt" in body]
    tokenizer = standard_tokenizer()
    assert prompts[0] == tokenizer.encode_chat([{"role": "user", "content": "Who?"}])
    assert "From vLLM." in tokenizer.decode(prompts[1])
    whole, _, streamed = (body for body in vllm.bodies if "prompt" in body)
    assert whole["max_tokens"] == 64 - len(prompts[0])
    assert (whole["temperature"], streamed["temperature"]) == (0, 1)
    assert vllm.n_open == 0


async def test_a_stream_of_a_response_that_is_left_stops_vllm(engine_without_inference):
    vllm = FakeVllm()
    async with serving(vllm) as client:
        async with client.responses.stream(model=CHAT, input="Who?") as stream:
            async for event in stream:
                if event.type == "response.output_text.delta":
                    assert vllm.n_open == 1
                    break
        assert vllm.n_open == 0


async def test_alternatives_of_a_response_are_those_of_vllm(engine_without_inference):
    async with serving(FakeVllm()) as client:
        response = await client.responses.create(
            model=CHAT,
            input="Who?",
            top_logprobs=2,
            include=["message.output_text.logprobs"],
            max_output_tokens=1,
        )
    (token,) = response.output[0].content[0].logprobs
    assert token["logprob"] == -0.5
    assert [option["logprob"] for option in token["top_logprobs"]] == [-0.25, -0.5]


async def test_a_character_of_several_tokens_is_whole(engine_without_inference):
    async with serving(FakeVllm(text="日本 🎉")) as client:
        response = await client.responses.create(model=CHAT, input="Who?")
    assert response.output_text == "日本 🎉"


async def test_a_response_that_vllm_breaks_off_is_an_error():
    vllm = FakeVllm()
    vllm.breaks_after = 1
    async with serving(vllm) as client:
        with pytest.raises(APIStatusError, match="vLLM ended the stream early") as caught:
            await client.responses.create(model=CHAT, input="Who?")
    assert caught.value.status == 502


async def test_a_refusal_of_vllm_is_passed_on():
    vllm = FakeVllm()
    vllm.refusal = 429
    async with serving(vllm) as client:
        with pytest.raises(APIStatusError, match="vLLM: too long") as caught:
            await client.responses.create(model=CHAT, input="Who?")
    assert caught.value.status == 429


async def test_a_server_that_is_not_vllm_is_named():
    vllm = FakeVllm()
    vllm.served.clear()
    async with serving(vllm) as client:
        with pytest.raises(APIStatusError, match="is it vLLM") as caught:
            await client.responses.create(model=CHAT, input="Who?")
    assert caught.value.status == 502


async def test_a_response_in_the_background_fails_with_the_error_of_vllm():
    vllm = FakeVllm()
    async with serving(vllm) as client:
        vllm.is_reachable = False
        response = await client.responses.create(model=CHAT, input="Who?", background=True)
        assert response.status == "queued"
        await client.backend.clock.sleep(10)
        response = await client.responses.retrieve(response.id)
    assert response.status == "failed"
    assert response.error.code == "upstream_unavailable"
    assert "vLLM cannot be reached" in response.error.message


async def test_embeddings_are_computed_by_a_vllm_started_for_them(engine_without_inference):
    model = "text-embedding-3-small"
    vllm = FakeVllm("embed")
    vllm.served = {model}
    async with serving(vllm) as client:
        page = await client.embeddings.create(model=model, input=["Kant", "Hume"], dimensions=2)
        assert [row.embedding for row in page.data] == [pytest.approx([0.6, 0.8])] * 2
        assert [body["input"] for body in vllm.bodies] == ["Kant", "Hume"]
        with pytest.raises(APIStatusError, match="--runner generate") as caught:
            await client.completions.create(model=BASE, prompt="Say")
        assert caught.value.status == 400
    async with serving(FakeVllm()) as client:
        with pytest.raises(APIStatusError, match="--runner pooling") as caught:
            await client.embeddings.create(model=model, input="Kant")
        assert caught.value.status == 400


def test_upstream_and_vllm_exclude_each_other():
    with pytest.raises(ConfigurationError, match="cannot be combined"):
        Service(upstream=FakeVllm(), vllm=FakeVllm())
