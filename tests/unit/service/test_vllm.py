"""vLLM completes and chats with base models and with adapters that were tuned here."""

import json
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel
import pytest

from tunesmith import AsyncClient, MemoryBackend
from tunesmith.errors import APIStatusError, BackendError, ConfigurationError
from tunesmith.protocol.message import Response
from tunesmith.service.service import Service

pytestmark = pytest.mark.anyio

BASE = "babbage-002"


class FakeVllm:
    """The parts of vLLM's API that are used, with its errors; it serves the base model."""

    def __init__(self):
        self.inner = MemoryBackend(Service())
        self.inner.service.stub_reply("From vLLM.")
        self.adapters = {}
        self.served = {BASE}
        self.calls = []
        self.can_load = self.is_reachable = True

    @asynccontextmanager
    async def send(self, request):
        await anyio.lowlevel.checkpoint()
        if not self.is_reachable:
            raise BackendError("connection refused", phase="connect")
        body = json.loads(request.body)
        self.calls.append((request.path, body.get("lora_name") or body["model"]))
        if request.path.endswith("_lora_adapter"):
            status, answer = self._update(request.path, **body)
            yield Response(status, {}, chunks(answer))
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


async def tune(client, *, is_adapter=True):
    line = b'{"prompt": "Say", "completion": " yes"}\n'
    file = await client.files.create(file=("train.jsonl", line * 10), purpose="fine-tune")
    job = await client.fine_tuning.jobs.create(model=BASE, training_file=file.id)
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

        vllm.served = set()
        status, message = await fail(client, BASE)
        assert status == 404
        assert f"--served-model-name {BASE}" in message

        vllm.is_reachable = False
        for model in (BASE, adapter):
            status, message = await fail(client, model)
            assert status == 503
            assert "vLLM cannot be reached: connection refused" in message
        await client.models.delete(adapter)  # which needs no vLLM


def test_upstream_and_vllm_exclude_each_other():
    with pytest.raises(ConfigurationError, match="cannot be combined"):
        Service(upstream=FakeVllm(), vllm=FakeVllm())
