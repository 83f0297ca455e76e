"""What the attributes of spans say of questions and answers, by the conventions' names."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, cast

from pydantic import BaseModel
from pydantic_core import to_json

from tunesmith.operations.base import Operation
from tunesmith.types.batches import Batch
from tunesmith.types.fine_tuning import FineTuningJob

__all__ = ["INFERENCE", "Chunks", "content", "for_metrics", "of_answer", "of_end", "of_request"]

Attributes: TypeAlias = dict[str, Any]

INFERENCE = {
    "chat.completions.create": "chat",
    "completions.create": "text_completion",
    "embeddings.create": "embeddings",
}
"""The operations that ask a model, and what the conventions call them."""

_REQUEST = {
    "dimensions": "gen_ai.embeddings.dimension.count",
    "frequency_penalty": "gen_ai.request.frequency_penalty",
    "max_completion_tokens": "gen_ai.request.max_tokens",
    "max_tokens": "gen_ai.request.max_tokens",
    "model": "gen_ai.request.model",
    "n": "gen_ai.request.choice.count",
    "presence_penalty": "gen_ai.request.presence_penalty",
    "seed": "gen_ai.request.seed",
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
}
"""From parameters to attributes."""


def of_request(operation: Operation[Any]) -> Attributes:
    """Say what is asked, without its content."""
    name = operation.spec.name
    found: Attributes = {"gen_ai.operation.name": INFERENCE.get(name, name)}
    for parameter, attribute in _REQUEST.items():
        value = getattr(operation, parameter, None)
        if isinstance(value, str | int | float):
            found[attribute] = value
    stop = getattr(operation, "stop", None)
    if stop:
        found["gen_ai.request.stop_sequences"] = [stop] if isinstance(stop, str) else list(stop)
    return found


def for_metrics(operation: Operation[Any]) -> Attributes:
    """The part of `of_request` that has few values."""
    asked = of_request(operation)
    return {
        name: asked[name]
        for name in ("gen_ai.operation.name", "gen_ai.request.model")
        if name in asked
    }


def of_answer(answer: object) -> Attributes:
    """Say what came back, without its content."""
    whole = answer.model_dump(exclude={"data"}) if isinstance(answer, BaseModel) else {}
    chunks = Chunks()
    chunks.add(whole)
    return chunks.attributes()


def of_end(ended: FineTuningJob | Batch) -> Attributes:
    """Say how a job or batch ended."""
    if isinstance(ended, FineTuningJob):
        return {"gen_ai.response.model": ended.fine_tuned_model} if ended.fine_tuned_model else {}
    counts = ended.request_counts
    return (
        {}
        if counts is None
        else {
            "tunesmith.batch.completed": counts.completed or 0,
            "tunesmith.batch.failed": counts.failed or 0,
        }
    )


class Chunks:
    """What the events of a stream say, or the one event that a whole answer is."""

    def __init__(self) -> None:
        self._id: str | None = None
        self._model: str | None = None
        self._usage: Mapping[str, Any] = {}
        self._finish_reasons: dict[int, str] = {}
        self.texts: dict[int, str] = {}

    def add(self, event: Mapping[str, Any]) -> None:
        """Note an event."""
        self._id = self._id or event.get("id")
        self._model = event.get("model") or self._model
        self._usage = event.get("usage") or self._usage
        choices = cast("Sequence[Mapping[str, Any]]", event.get("choices") or ())
        for choice in choices:
            index = choice.get("index") or 0
            if choice.get("finish_reason"):
                self._finish_reasons[index] = choice["finish_reason"]
            part: Mapping[str, Any] = choice.get("delta") or choice.get("message") or {}
            text: Any = choice.get("text") or part.get("content")
            if isinstance(text, str):
                self.texts[index] = self.texts.get(index, "") + text

    def attributes(self) -> Attributes:
        """Say what came, without its content."""
        found: Attributes = {
            "gen_ai.response.id": self._id,
            "gen_ai.response.model": self._model,
            "gen_ai.usage.input_tokens": self._usage.get("prompt_tokens"),
            "gen_ai.usage.output_tokens": self._usage.get("completion_tokens"),
        }
        if self._finish_reasons:
            found["gen_ai.response.finish_reasons"] = list(self._finish_reasons.values())
        return {name: value for name, value in found.items() if value is not None}

    def messages(self) -> list[dict[str, Any]]:
        """The content, as the conventions write it."""
        return [
            {
                "role": "assistant",
                "parts": [{"type": "text", "content": text}],
                "finish_reason": self._finish_reasons.get(index, ""),
            }
            for index, text in self.texts.items()
        ]


def content(operation: Operation[Any], answer: object) -> Attributes:
    """Say what was asked and answered, in full."""
    chunks = Chunks()
    if isinstance(answer, BaseModel):
        chunks.add(answer.model_dump(exclude={"data"}))
    return streamed_content(operation, chunks)


def streamed_content(operation: Operation[Any], chunks: Chunks) -> Attributes:
    """Say what was asked, and what came in a stream, in full."""
    messages = getattr(operation, "messages", None)
    if messages is None:
        asked = getattr(operation, "prompt", None) or getattr(operation, "input", None)
        messages = [{"role": "user", "content": asked}]
    found: Attributes = {"gen_ai.input.messages": _as_json([_message(each) for each in messages])}
    if answered := chunks.messages():
        found["gen_ai.output.messages"] = _as_json(answered)
    return found


def _message(message: Any) -> dict[str, Any]:
    said: Mapping[str, Any] = message.model_dump() if isinstance(message, BaseModel) else message
    text = said.get("content")
    if isinstance(text, str):
        return {"role": said.get("role"), "parts": [{"type": "text", "content": text}]}
    return {"role": said.get("role"), "parts": text if isinstance(text, list) else [text]}


def _as_json(value: object) -> str:
    return to_json(value).decode()
