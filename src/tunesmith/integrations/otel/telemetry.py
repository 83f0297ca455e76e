"""Spans and metrics of calls."""

from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, cast
from urllib.parse import urlsplit

from opentelemetry import metrics, trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from tunesmith.backends.base import Clock
from tunesmith.calls.caller import AttemptError
from tunesmith.errors import APIStatusError, TunesmithError
from tunesmith.integrations.otel import attributes
from tunesmith.integrations.otel.attributes import RequestInfo
from tunesmith.types.batches import Batch
from tunesmith.types.fine_tuning import FineTuningJob
from tunesmith.types.response import ResponseInfo

__all__ = ["CallSpan", "Telemetry"]

_SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_TOKENS = tuple(float(4**power) for power in range(14))
"""Bucket boundaries of the conventions."""

_NS = 1_000_000_000


class Telemetry:
    """Recorder of spans and metrics of calls, jobs and batches.

    Args:
        tracer_provider: The tracer provider; None for the global one.
        meter_provider: The meter provider; None for the global one.
        provider_name: The provider of the models.
        server: The base URL of the service.
        capture_content: Whether spans hold prompts and responses.
    """

    def __init__(
        self,
        tracer_provider: object | None,
        meter_provider: object | None,
        *,
        provider_name: str,
        server: str | None,
        capture_content: bool,
    ) -> None:
        self.capture_content = capture_content
        self.common: dict[str, str | int] = {"gen_ai.provider.name": provider_name}
        if server and (url := urlsplit(server)).hostname:
            self.common["server.address"] = url.hostname
            self.common["server.port"] = url.port or (443 if url.scheme == "https" else 80)
        self.tracer = trace.get_tracer(
            "tunesmith", tracer_provider=cast("trace.TracerProvider | None", tracer_provider)
        )
        meter = metrics.get_meter(
            "tunesmith", meter_provider=cast("metrics.MeterProvider | None", meter_provider)
        )
        self.duration = meter.create_histogram(
            "gen_ai.client.operation.duration",
            unit="s",
            description="GenAI operation duration.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self.first_chunk = meter.create_histogram(
            "gen_ai.client.operation.time_to_first_chunk",
            unit="s",
            description="Time to receive the first chunk.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self.tokens = meter.create_histogram(
            "gen_ai.client.token.usage",
            unit="{token}",
            description="Number of input and output tokens used.",
            explicit_bucket_boundaries_advisory=_TOKENS,
        )
        self.long_duration = meter.create_histogram(
            "tunesmith.job.duration",
            unit="s",
            description="Time from the creation of a fine-tuning job or batch to its end.",
        )
        self.trained_tokens = meter.create_counter(
            "tunesmith.job.trained_tokens",
            unit="{token}",
            description="Tokens that fine-tuning jobs trained on.",
        )
        self._running: set[str] = set()

    @contextmanager
    def call(
        self, request: RequestInfo, clock: Clock, *, streaming: bool = False
    ) -> Generator["CallSpan"]:
        """Record a span of a call.

        Args:
            request: The request.
            clock: The clock that measures the duration.
            streaming: Whether the response is a stream of events.
        """
        attrs = attributes.request_attributes(request)
        if streaming:
            attrs["gen_ai.request.stream"] = True
        model = attrs.get("gen_ai.request.model")
        name = attrs["gen_ai.operation.name"]
        span = self.tracer.start_span(
            f"{name} {model}" if model else str(name),
            kind=SpanKind.CLIENT,
            attributes={**self.common, **attrs},
        )
        call = CallSpan(self, span, request, clock)
        error: BaseException | None = None
        try:
            yield call
        except BaseException as raised:
            error = raised
            raise
        finally:
            call.end(error)

    def observe(self, answer: object) -> None:
        """Record a job or batch when it is seen finished after it was seen running."""
        end: float | None
        if isinstance(answer, FineTuningJob):
            is_finished, name, end = answer.is_finished, "fine_tune", answer.finished_at
        elif isinstance(answer, Batch):
            is_finished, name, end = answer.is_over, "batch", _end_of(answer)
        else:
            return
        if not is_finished:
            self._running.add(answer.id)
        elif answer.id in self._running:
            self._running.remove(answer.id)
            self._record_completion(answer, name, end)

    def _record_completion(
        self, finished: FineTuningJob | Batch, name: str, end: float | None
    ) -> None:
        attrs: dict[str, Any] = {
            **self.common,
            "gen_ai.operation.name": name,
            "tunesmith.job.status": finished.status,
        }
        if finished.model:
            attrs["gen_ai.request.model"] = finished.model
        if finished.created_at and end:
            self.long_duration.record(end - finished.created_at, attrs)
        if isinstance(finished, FineTuningJob) and finished.trained_tokens:
            self.trained_tokens.add(finished.trained_tokens, attrs)
        span = self.tracer.start_span(
            f"{name} {finished.model}" if finished.model else name,
            start_time=round(finished.created_at * _NS) if finished.created_at else None,
            attributes={
                **attrs,
                "tunesmith.job.id": finished.id,
                **attributes.job_attributes(finished),
            },
        )
        if finished.status == "failed":
            span.set_status(Status(StatusCode.ERROR))
        span.end(round(end * _NS) if end else None)


class CallSpan:
    """Span of one call.

    Args:
        telemetry: The recorder.
        span: OpenTelemetry's span.
        request: The request.
        clock: The clock that measures the duration.
    """

    def __init__(
        self, telemetry: Telemetry, span: Span, request: RequestInfo, clock: Clock
    ) -> None:
        self._telemetry = telemetry
        self._span = span
        self._request = request
        self._clock = clock
        self._start = clock.monotonic()
        self._chunks = attributes.StreamAggregator()
        self._first_chunk_s: float | None = None
        self._response: dict[str, Any] = {}

    def current(self) -> AbstractContextManager[object]:
        """Make this the current span, the parent of spans within."""
        return trace.use_span(
            self._span, end_on_exit=False, record_exception=False, set_status_on_exception=False
        )

    def set_response(self, info: ResponseInfo) -> None:
        """Record status, attempts and request id."""
        self._span.set_attribute("http.response.status_code", info.status)
        if info.attempts > 1:
            self._span.set_attribute("http.request.resend_count", info.attempts - 1)
        if info.request_id:
            self._span.set_attribute("tunesmith.request_id", info.request_id)

    def set_answer(self, answer: object) -> None:
        """Record a whole response."""
        info = getattr(answer, "response", None)
        if isinstance(info, ResponseInfo):
            self.set_response(info)
        self._telemetry.observe(answer)
        if self._request.is_inference:
            self._response = attributes.response_attributes(answer)
            if self._telemetry.capture_content:
                self._span.set_attributes(attributes.content(self._request, answer))

    def chunk(self, event: Mapping[str, Any]) -> None:
        """Record an event of a stream."""
        if self._first_chunk_s is None:
            self._first_chunk_s = self._clock.monotonic() - self._start
            self._span.set_attribute("gen_ai.response.time_to_first_chunk", self._first_chunk_s)
        self._chunks.add(event)

    def end(self, error: BaseException | None) -> None:
        """End the span and record the metrics."""
        span, telemetry = self._span, self._telemetry
        if self._first_chunk_s is not None and self._request.is_inference:
            self._response = self._chunks.attributes()
            if telemetry.capture_content:
                span.set_attributes(attributes.streamed_content(self._request, self._chunks))
        span.set_attributes(self._response)
        attrs: dict[str, Any] = {**telemetry.common, **attributes.metric_attributes(self._request)}
        if model := self._response.get("gen_ai.response.model"):
            attrs["gen_ai.response.model"] = model
        if error is not None and not isinstance(error, GeneratorExit):
            attrs["error.type"] = _error_type(error)
            span.set_attribute("error.type", attrs["error.type"])
            # The message may quote a prompt.
            description = str(error) if telemetry.capture_content else type(error).__name__
            span.set_status(Status(StatusCode.ERROR, description))
        if self._request.is_inference:
            telemetry.duration.record(self._clock.monotonic() - self._start, attrs)
            if self._first_chunk_s is not None:
                telemetry.first_chunk.record(self._first_chunk_s, attrs)
            for kind in ("input", "output"):
                count = self._response.get(f"gen_ai.usage.{kind}_tokens")
                if count is not None:
                    telemetry.tokens.record(count, {**attrs, "gen_ai.token.type": kind})
        span.end()


def _error_type(error: BaseException) -> str:
    if isinstance(error, AttemptError):
        error = error.error
    if isinstance(error, APIStatusError):
        return error.code or str(error.status)
    module = "" if isinstance(error, TunesmithError) else f"{type(error).__module__}."
    return f"{module}{type(error).__qualname__}".removeprefix("builtins.")


def _end_of(batch: Batch) -> float | None:
    return batch.completed_at or batch.failed_at or batch.expired_at or batch.cancelled_at
