"""What telemetry tells of calls, streams, jobs and batches, by the conventions' names."""

import json
import subprocess
import sys

import pytest
from tests.unit.batch.services import Service

from tunesmith import AsyncClient, BackendError, ConfigurationError, MemoryBackend, NotFoundError
from tunesmith.batch import BatchJob
from tunesmith.integrations.otel import instrument
from tunesmith.integrations.otel.attributes import RequestInfo, StreamAggregator, content

pytest.importorskip("opentelemetry.sdk")

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

pytestmark = pytest.mark.anyio


class Collected:
    """Where spans and metrics end up."""

    def __init__(self):
        self._exporter = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        self.tracer_provider = TracerProvider(shutdown_on_exit=False)
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.meter_provider = MeterProvider([self._reader], shutdown_on_exit=False)

    def instrument(self, client, **options):
        return instrument(
            client,
            tracer_provider=self.tracer_provider,
            meter_provider=self.meter_provider,
            **options,
        )

    @property
    def spans(self):
        return self._exporter.get_finished_spans()

    @property
    def metrics(self):
        """By name: the points, as attributes and value."""
        data = self._reader.get_metrics_data()
        return {
            metric.name: [
                (dict(point.attributes), getattr(point, "sum", getattr(point, "value", None)))
                for point in metric.data.data_points
            ]
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }


@pytest.fixture
def collected():
    return Collected()


@pytest.fixture
async def traced(collected, anyio_backend):
    async with collected.instrument(AsyncClient(backend=MemoryBackend(seed=1))) as client:
        yield client


ASKED = {"model": "davinci-002", "prompt": "Kant was", "max_tokens": 5, "temperature": 0.5}


async def test_a_call_is_a_span_with_its_model_its_parameters_and_its_usage(traced, collected):
    completion = await traced.completions.create(**ASKED, stop="\n")
    (span,) = collected.spans
    assert (span.name, span.kind) == ("text_completion davinci-002", SpanKind.CLIENT)
    assert dict(span.attributes) == {
        "gen_ai.operation.name": "text_completion",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.max_tokens": 5,
        "gen_ai.request.model": "davinci-002",
        "gen_ai.request.stop_sequences": ("\n",),
        "gen_ai.request.temperature": 0.5,
        "gen_ai.response.finish_reasons": (completion.choices[0].finish_reason,),
        "gen_ai.response.id": completion.id,
        "gen_ai.response.model": "davinci-002",
        "gen_ai.usage.input_tokens": completion.usage.prompt_tokens,
        "gen_ai.usage.output_tokens": completion.usage.completion_tokens,
        "http.response.status_code": 200,
        "tunesmith.request_id": completion.response.request_id,
    }


async def test_tokens_and_durations_are_counted_for_each_model(traced, collected):
    first = await traced.completions.create(**ASKED)
    second = await traced.completions.create(**ASKED)
    used = {
        point["gen_ai.token.type"]: total
        for point, total in collected.metrics["gen_ai.client.token.usage"]
    }
    assert used == {
        "input": first.usage.prompt_tokens + second.usage.prompt_tokens,
        "output": first.usage.completion_tokens + second.usage.completion_tokens,
    }
    ((point, _),) = collected.metrics["gen_ai.client.operation.duration"]
    assert point["gen_ai.request.model"] == "davinci-002"


async def test_a_stream_is_one_span_with_the_time_to_its_first_chunk(traced, collected):
    options = {"include_usage": True}
    async with traced.completions.stream(**ASKED, stream_options=options) as stream:
        whole = await stream.final_response()
    (span,) = collected.spans
    assert span.attributes["gen_ai.request.stream"] is True
    assert span.attributes["gen_ai.response.time_to_first_chunk"] >= 0
    assert span.attributes["gen_ai.usage.output_tokens"] == whole.usage.completion_tokens
    assert span.attributes["gen_ai.response.id"] == whole.id
    assert "gen_ai.client.operation.time_to_first_chunk" in collected.metrics


async def test_a_stream_closed_early_ends_its_span_without_an_error(traced, collected):
    async with traced.completions.stream(**ASKED) as stream:
        await anext(aiter(stream))
    (span,) = collected.spans
    assert span.status.status_code is StatusCode.UNSET


async def test_content_is_recorded_only_on_request(collected, anyio_backend):
    messages = [{"role": "user", "content": "A secret?"}]
    async with AsyncClient(backend=MemoryBackend(seed=1)) as plain:
        private = collected.instrument(plain)
        await private.chat.completions.create(model="gpt-4o-mini", messages=messages)
        capturing = collected.instrument(plain, capture_content=True)
        answer = await capturing.chat.completions.create(model="gpt-4o-mini", messages=messages)
        async with capturing.chat.completions.stream(
            model="gpt-4o-mini", messages=messages
        ) as stream:
            streamed = await stream.final_response()
    without, whole, in_chunks = collected.spans
    assert "secret" not in str(without.attributes)
    for span, completion in ((whole, answer), (in_chunks, streamed)):
        assert json.loads(span.attributes["gen_ai.input.messages"]) == [
            {"role": "user", "parts": [{"type": "text", "content": "A secret?"}]}
        ]
        (message,) = json.loads(span.attributes["gen_ai.output.messages"])
        assert message["parts"] == [
            {"type": "text", "content": completion.choices[0].message.content}
        ]
        assert message["finish_reason"] == completion.choices[0].finish_reason


def messages_of(parameters, answer=None):
    """Return the messages in the attributes of a request and its response."""
    found = content(RequestInfo("chat.completions.create", parameters.get), answer)
    return [json.loads(messages) for messages in found.values()]


@pytest.mark.parametrize(
    ("parameters", "role", "parts"),
    [
        ({"prompt": "Kant"}, "user", [{"type": "text", "content": "Kant"}]),
        (
            {"prompt": ["Kant", "Hume"]},
            "user",
            [{"type": "text", "content": "Kant"}, {"type": "text", "content": "Hume"}],
        ),
        ({"input": [[1, 2]]}, "user", [{"type": "tokens", "content": [[1, 2]]}]),
        (
            {"messages": [{"role": "system", "content": [{"type": "text", "text": "Hello"}]}]},
            "system",
            [{"type": "text", "content": "Hello"}],
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_text", "text": "Hello"}]}]},
            "user",
            [{"type": "text", "content": "Hello"}],
        ),
        (
            {"messages": [{"role": "tool", "tool_call_id": "call_1", "content": "7"}]},
            "tool",
            [{"type": "tool_call_response", "id": "call_1", "response": "7"}],
        ),
        (
            {
                "messages": [
                    {
                        "role": "assistant",
                        "content": None,
                        "tool_calls": [
                            {"id": "call_1", "function": {"name": "add", "arguments": "{}"}}
                        ],
                    }
                ]
            },
            "assistant",
            [{"type": "tool_call", "id": "call_1", "name": "add", "arguments": "{}"}],
        ),
    ],
)
def test_content_is_recorded_in_parts_of_the_conventions(parameters, role, parts):
    assert messages_of(parameters) == [[{"role": role, "parts": parts}]]


CALL = {"type": "tool_call", "id": "call_1", "name": "add", "arguments": '{"a":1}'}


@pytest.mark.parametrize(
    ("events", "parts"),
    [
        (
            [
                {"tool_calls": [{"index": 0, "id": "call_1", "function": {"name": "add"}}]},
                {"tool_calls": [{"index": 0, "function": {"arguments": '{"a":'}}]},
                {"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]},
            ],
            [CALL],
        ),
        ([{"refusal": "No"}, {"refusal": "."}], [{"type": "text", "content": "No."}]),
    ],
)
def test_tool_calls_and_refusals_are_aggregated_from_a_stream(events, parts):
    chunks = StreamAggregator()
    for delta in events:
        chunks.add({"choices": [{"index": 0, "delta": delta}]})
    (message,) = chunks.messages()
    assert message["parts"] == parts


def test_the_output_of_a_response_is_recorded_too():
    output = [
        {"type": "reasoning", "summary": []},
        {"type": "message", "content": [{"type": "output_text", "text": "One."}]},
        {"type": "function_call", "call_id": "call_1", "name": "add", "arguments": '{"a":1}'},
    ]
    _, (message,) = messages_of({"input": "1 + 0?"}, {"id": "resp_1", "output": output})
    assert message["parts"] == [{"type": "text", "content": "One."}, CALL]


def test_the_output_of_a_streamed_response_is_aggregated():
    message = {"type": "message", "content": [{"type": "output_text", "text": "One."}]}
    response = {"id": "resp_1", "model": "gpt-4o-mini", "output": [], "usage": None}
    chunks = StreamAggregator()
    chunks.add({"type": "response.created", "response": response})
    chunks.add({"type": "response.output_text.delta", "item_id": "msg_1", "delta": "One."})
    usage = {"input_tokens": 3, "output_tokens": 2}
    finished = {**response, "output": [message], "usage": usage, "status": "completed"}
    chunks.add({"type": "response.completed", "response": finished})
    (aggregated,) = chunks.messages()
    assert aggregated["parts"] == [{"type": "text", "content": "One."}]
    attributes = chunks.attributes()
    assert attributes["gen_ai.response.id"] == "resp_1"
    assert attributes["gen_ai.usage.output_tokens"] == 2
    assert attributes["gen_ai.response.finish_reasons"] == ["stop"]


async def test_a_truncated_response_has_the_finish_reason_of_a_chat(traced, collected):
    await traced.responses.create(model="gpt-4o-mini", input="Who was Kant?", max_output_tokens=1)
    (span,) = collected.spans
    assert span.attributes["gen_ai.response.finish_reasons"] == ("length",)


async def test_an_error_status_is_recorded_with_the_code_of_the_service(traced, collected):
    with pytest.raises(NotFoundError):
        await traced.completions.create(model="nobody", prompt="A secret?")
    (span,) = collected.spans
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes["error.type"] == "model_not_found"
    ((point, _),) = collected.metrics["gen_ai.client.operation.duration"]
    assert point["error.type"] == "model_not_found"


async def test_a_retried_call_is_one_span(collected, anyio_backend):
    class Flaky(MemoryBackend):
        failures = 2

        def send(self, request):
            if self.failures:
                self.failures -= 1
                raise BackendError("refused", phase="connect")
            return super().send(request)

    async with collected.instrument(AsyncClient(backend=Flaky())) as client:
        await client.models.retrieve("davinci-002")
    (span,) = collected.spans
    assert span.name == "models.retrieve davinci-002"
    assert span.attributes["http.request.resend_count"] == 2
    assert "gen_ai.client.operation.duration" not in collected.metrics


@pytest.mark.slow
async def test_a_job_is_a_span_from_its_creation_to_its_end(traced, collected, data):
    file = await traced.files.upload(data / "train.jsonl")
    job = await traced.fine_tuning.jobs.create(model="babbage-002", training_file=file.id)
    job = await traced.fine_tuning.jobs.wait(job)
    await traced.fine_tuning.jobs.retrieve(job.id)  # is recorded once
    (span,) = [span for span in collected.spans if span.name == "fine_tune babbage-002"]
    assert span.start_time == job.created_at * 1_000_000_000
    assert span.end_time == job.finished_at * 1_000_000_000
    assert span.attributes["gen_ai.response.model"] == job.fine_tuned_model
    ((_, seconds),) = collected.metrics["tunesmith.job.duration"]
    assert seconds == job.finished_at - job.created_at
    ((_, tokens),) = collected.metrics["tunesmith.job.trained_tokens"]
    assert tokens == job.trained_tokens


async def test_a_batch_is_a_span_that_counts_its_requests(traced, collected, tmp_path):
    line = {
        "custom_id": "1",
        "method": "POST",
        "url": "/v1/completions",
        "body": {"model": "davinci-002", "prompt": "Kant"},
    }
    (tmp_path / "batch.jsonl").write_text(json.dumps(line))
    file = await traced.files.upload(tmp_path / "batch.jsonl", purpose="batch")
    batch = await traced.batches.create(
        input_file_id=file.id, endpoint="/v1/completions", completion_window="24h"
    )
    while not batch.is_over:
        await traced.backend.clock.sleep(60)
        batch = await traced.batches.retrieve(batch.id)
    (span,) = [span for span in collected.spans if span.name.startswith("batch ")]
    assert span.attributes["tunesmith.batch.completed"] == 1
    assert span.attributes["tunesmith.job.id"] == batch.id


async def test_each_row_of_a_batch_job_is_a_child_of_the_current_span(traced, collected, tmp_path):
    rows = [{**ASKED, "prompt": f"{n}"} for n in range(3)]
    with collected.tracer_provider.get_tracer("mine").start_as_current_span("nightly"):
        async with BatchJob(rows, tmp_path / "answers.jsonl", client=traced) as job:
            report = await job.run()
    *sent, nightly = collected.spans
    assert [span.name for span in sent] == ["text_completion davinci-002"] * 3
    assert {span.parent.span_id for span in sent} == {nightly.context.span_id}
    assert {span.attributes["gen_ai.request.max_tokens"] for span in sent} == {5}
    counts = collected.metrics["gen_ai.client.token.usage"]
    assert sum(tokens for _, tokens in counts) == report.usage.total


async def test_a_retried_row_is_two_spans(collected, tmp_path, anyio_backend):
    refusal = (429, {"retry-after": "1"}, b'{"error": {"code": "slow_down"}}')
    service = Service(refuse=lambda number, _: refusal if number == 1 else None)
    client = collected.instrument(AsyncClient(backend=service))
    async with client, BatchJob([ASKED], tmp_path / "answers.jsonl", client=client) as job:
        await job.run()
    first, second = collected.spans
    assert first.attributes["error.type"] == "slow_down"
    assert second.attributes["http.response.status_code"] == 200


async def test_with_options_keeps_the_telemetry(traced, collected):
    await traced.with_options(timeout=5).models.retrieve("davinci-002")
    assert len(collected.spans) == 1


def test_the_server_is_recorded_without_credentials(collected):
    client = AsyncClient(api_key="sk-secret", base_url="https://user:pw@models.example:8443/v1")
    common = collected.instrument(client)._caller._telemetry.common
    assert (common["server.address"], common["server.port"]) == ("models.example", 8443)
    assert "pw" not in str(common)


def test_without_opentelemetry_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'tunesmith\[otel\]'"):
        instrument(AsyncClient(backend=MemoryBackend()))


@pytest.mark.slow
def test_a_plain_client_imports_no_telemetry():
    script = (
        "import sys, tunesmith; tunesmith.AsyncClient(api_key='sk').completions;"
        "print([m for m in sys.modules if 'opentelemetry' in m or 'integrations' in m])"
    )
    shown = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    assert shown.stdout.strip() == "[]"
