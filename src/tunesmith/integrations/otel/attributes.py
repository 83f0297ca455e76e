"""Span attributes of requests and responses, by the names of the conventions."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias, cast

from pydantic import BaseModel
from pydantic_core import from_json, to_json

from tunesmith.operations.base import Operation
from tunesmith.protocol.message import Request
from tunesmith.types.batches import Batch
from tunesmith.types.fine_tuning import FineTuningJob

__all__ = [
    "INFERENCE",
    "RequestInfo",
    "StreamAggregator",
    "content",
    "job_attributes",
    "metric_attributes",
    "request_attributes",
    "response_attributes",
    "streamed_content",
]

Attributes: TypeAlias = dict[str, Any]

INFERENCE = {
    "chat.completions.create": "chat",
    "completions.create": "text_completion",
    "embeddings.create": "embeddings",
    "responses.create": "chat",
}
"""Inference operations, and their names in the conventions."""

_REQUEST = {
    "dimensions": "gen_ai.embeddings.dimension.count",
    "frequency_penalty": "gen_ai.request.frequency_penalty",
    "max_completion_tokens": "gen_ai.request.max_tokens",
    "max_output_tokens": "gen_ai.request.max_tokens",
    "max_tokens": "gen_ai.request.max_tokens",
    "model": "gen_ai.request.model",
    "n": "gen_ai.request.choice.count",
    "presence_penalty": "gen_ai.request.presence_penalty",
    "seed": "gen_ai.request.seed",
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
}
"""Attributes by parameter."""


class RequestInfo(NamedTuple):
    """Operation and parameters of a request.

    Attributes:
        name: The operation's name.
        parameter: Returns a parameter by its name; None if it is not set.
    """

    name: str
    parameter: Callable[[str], Any]

    @classmethod
    def from_operation(cls, operation: Operation[Any]) -> "RequestInfo":
        """Describe an operation."""

        def parameter(name: str) -> Any:
            return getattr(operation, name, None)

        return cls(operation.spec.name, parameter)

    @classmethod
    def from_request(cls, request: Request) -> "RequestInfo":
        """Describe an encoded request."""
        body: Any = from_json(request.body) if isinstance(request.body, bytes) else None
        parameters = cast("Mapping[str, Any]", body if isinstance(body, dict) else {})
        return cls(request.operation, parameters.get)

    @property
    def is_inference(self) -> bool:
        """Whether the operation calls a model."""
        return self.name in INFERENCE


def request_attributes(request: RequestInfo) -> Attributes:
    """Return attributes of a request, without its content."""
    attributes: Attributes = {"gen_ai.operation.name": INFERENCE.get(request.name, request.name)}
    for parameter, attribute in _REQUEST.items():
        value = request.parameter(parameter)
        if isinstance(value, str | int | float):
            attributes[attribute] = value
    stop = request.parameter("stop")
    if stop:
        attributes["gen_ai.request.stop_sequences"] = (
            [stop] if isinstance(stop, str) else list(stop)
        )
    return attributes


def metric_attributes(request: RequestInfo) -> Attributes:
    """Return the request attributes of low cardinality."""
    attributes = request_attributes(request)
    return {
        name: attributes[name]
        for name in ("gen_ai.operation.name", "gen_ai.request.model")
        if name in attributes
    }


def response_attributes(answer: object) -> Attributes:
    """Return attributes of a response, without its content."""
    return _whole(answer).attributes()


def job_attributes(finished: FineTuningJob | Batch) -> Attributes:
    """Return attributes of a finished job or batch."""
    if isinstance(finished, FineTuningJob):
        return (
            {"gen_ai.response.model": finished.fine_tuned_model}
            if finished.fine_tuned_model
            else {}
        )
    counts = finished.request_counts
    return (
        {}
        if counts is None
        else {
            "tunesmith.batch.completed": counts.completed or 0,
            "tunesmith.batch.failed": counts.failed or 0,
        }
    )


_INCOMPLETE_REASONS = {"max_output_tokens": "length"}
"""Finish reasons of chats, by the reasons of incomplete responses."""


class StreamAggregator:
    """Aggregate of a stream's events; a whole response is a single event."""

    def __init__(self) -> None:
        self._id: str | None = None
        self._model: str | None = None
        self._usage: Mapping[str, Any] = {}
        self._finish_reasons: dict[int, str] = {}
        self._texts: dict[int, str] = {}
        self._tool_calls: dict[int, dict[int, dict[str, str]]] = {}

    def add(self, event: Mapping[str, Any]) -> None:
        """Add an event."""
        if str(event.get("type")).startswith("response."):
            # Events of `/v1/responses` have the response so far; the last one is complete.
            event = event.get("response") or {}
        self._id = self._id or event.get("id")
        self._model = event.get("model") or self._model
        self._usage = event.get("usage") or self._usage
        for choice in _objects(event.get("choices")):
            index = choice.get("index") or 0
            if choice.get("finish_reason"):
                self._finish_reasons[index] = choice["finish_reason"]
            part: Mapping[str, Any] = choice.get("delta") or choice.get("message") or {}
            for text in (choice.get("text"), part.get("content"), part.get("refusal")):
                self._add_text(index, text)
            for number, call in enumerate(_objects(part.get("tool_calls"))):
                self._call(index, call.get("index", number), call)
        self._respond(event)

    def _add_text(self, index: int, text: object) -> None:
        if isinstance(text, str):
            self._texts[index] = self._texts.get(index, "") + text

    def _call(self, index: int, number: int, call: Mapping[str, Any]) -> None:
        entry = self._tool_calls.setdefault(index, {}).setdefault(number, {"arguments": ""})
        function: Mapping[str, Any] = call.get("function") or {}
        for name, value in (("id", call.get("id")), ("name", function.get("name"))):
            if isinstance(value, str):
                entry[name] = value
        entry["arguments"] += function.get("arguments") or ""

    def _respond(self, event: Mapping[str, Any]) -> None:
        """Add the output of `/v1/responses`, which has items instead of choices."""
        if "output" not in event:
            return
        for item in _objects(event["output"]):
            if item.get("type") == "message":
                for part in _objects(item.get("content")):
                    self._add_text(0, part.get("text", part.get("refusal")))
            elif item.get("type") == "function_call":
                call = {"id": item.get("call_id"), "function": item}
                self._call(0, len(self._tool_calls.get(0, ())), call)
        if event.get("status") == "completed":
            self._finish_reasons[0] = "tool_calls" if self._tool_calls else "stop"
        elif event.get("status") == "incomplete":
            details: Mapping[str, Any] = event.get("incomplete_details") or {}
            reason = str(details.get("reason"))
            self._finish_reasons[0] = _INCOMPLETE_REASONS.get(reason, reason)

    def attributes(self) -> Attributes:
        """Return the attributes, without content."""
        attributes: Attributes = {
            "gen_ai.response.id": self._id,
            "gen_ai.response.model": self._model,
            "gen_ai.usage.input_tokens": self._tokens("prompt_tokens", "input_tokens"),
            "gen_ai.usage.output_tokens": self._tokens("completion_tokens", "output_tokens"),
        }
        if self._finish_reasons:
            attributes["gen_ai.response.finish_reasons"] = list(self._finish_reasons.values())
        return {name: value for name, value in attributes.items() if value is not None}

    def _tokens(self, *names: str) -> Any:
        return next((self._usage[name] for name in names if name in self._usage), None)

    def messages(self) -> list[dict[str, Any]]:
        """Return the content in the format of the conventions."""
        return [
            {
                "role": "assistant",
                "parts": [
                    *_parts(self._texts.get(index)),
                    *(
                        {"type": "tool_call", **call}
                        for call in self._tool_calls.get(index, {}).values()
                    ),
                ],
                "finish_reason": self._finish_reasons.get(index, ""),
            }
            for index in sorted({*self._texts, *self._tool_calls})
        ]


def content(request: RequestInfo, answer: object) -> Attributes:
    """Return the content of a request and its response."""
    return streamed_content(request, _whole(answer))


def streamed_content(request: RequestInfo, chunks: StreamAggregator) -> Attributes:
    """Return the content of a request and its streamed response."""
    attributes: Attributes = {
        "gen_ai.input.messages": _as_json([_message(message) for message in _messages(request)])
    }
    if output := chunks.messages():
        attributes["gen_ai.output.messages"] = _as_json(output)
    return attributes


def _whole(answer: object) -> StreamAggregator:
    if isinstance(answer, BaseModel):
        answer = answer.model_dump(exclude={"data"})
    chunks = StreamAggregator()
    if isinstance(answer, dict):
        chunks.add(cast("Mapping[str, Any]", answer))
    return chunks


def _messages(request: RequestInfo) -> list[Any]:
    content = (
        request.parameter("messages") or request.parameter("prompt") or request.parameter("input")
    )
    listed = _listed(content)
    if all(isinstance(item, BaseModel | dict) for item in listed):
        return listed
    return [{"role": "user", "content": content}]


def _message(message: Any) -> dict[str, Any]:
    fields: Mapping[str, Any] = (
        message.model_dump(exclude_none=True) if isinstance(message, BaseModel) else message
    )
    content = fields.get("content")
    if fields.get("role") == "tool":
        answer = {"type": "tool_call_response", "id": fields.get("tool_call_id")}
        return {"role": "tool", "parts": [{**answer, "response": content}]}
    calls = StreamAggregator()
    calls.add({"choices": [{"message": {"tool_calls": fields.get("tool_calls")}}]})
    tool_calls = [part for call in calls.messages() for part in call["parts"]]
    return {"role": fields.get("role"), "parts": [*_parts(content), *tool_calls]}


def _parts(content: Any) -> list[dict[str, Any]]:
    """Convert text, or a list of text and parts, to parts of the conventions."""
    if content is None:
        return []
    parts = _listed(content)
    if not all(isinstance(part, str | dict) for part in parts):
        return [{"type": "tokens", "content": parts}]
    return [
        {"type": "text", "content": part}
        if isinstance(part, str)
        else {"type": "text", "content": part["text"]}
        if isinstance(part.get("text"), str)
        else part
        for part in parts
    ]


def _listed(value: object) -> list[Any]:
    return cast("list[object]", value) if isinstance(value, list) else [value]


def _objects(value: object) -> list[Mapping[str, Any]]:
    """Return the objects of a list; malformed responses are traced without an error."""
    items = _listed(value)
    return [cast("Mapping[str, Any]", item) for item in items if isinstance(item, dict)]


def _as_json(value: object) -> str:
    return to_json(value).decode()
