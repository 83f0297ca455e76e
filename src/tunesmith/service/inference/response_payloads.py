"""JSON of responses, and the events of their streams."""

from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any

from tunesmith.operations.responses import CreateResponse
from tunesmith.service.inference.output_format import OutputSegment
from tunesmith.types.responses import ResponseStreamEvent

__all__ = ["ItemWriter", "event", "initial_fields", "queued_events", "replay_events"]

Json = dict[str, Any]


def event(type: str, numbers: Iterator[int], **fields: Any) -> ResponseStreamEvent:
    """Return an event.

    Args:
        type: Its type.
        numbers: Sequence numbers of the stream.
        fields: Its other fields.
    """
    return ResponseStreamEvent.model_validate(
        {"type": type, "sequence_number": next(numbers), **fields}
    )


class ItemWriter:
    """Writer of one output item, which returns the events of its stream.

    Args:
        segment: The segment of the output that the item is made of.
        item_id: The item's id.
        output_index: Index of the item in the output.
    """

    def __init__(self, segment: OutputSegment, item_id: str, output_index: int) -> None:
        self._kind = segment.kind
        self._name = segment.name
        self._item_id = item_id
        self._call_id = segment.id
        self._texts: list[str] = []
        self._logprobs: list[Json] = []
        self._status = "in_progress"
        self._address: Json = {"item_id": item_id, "output_index": output_index}

    @property
    def item(self) -> Json:
        """The item so far."""
        text = "".join(self._texts)
        if self._is_message:
            content = [] if self._status == "in_progress" else [self._part(text)]
            return {
                "id": self._item_id,
                "type": "message",
                "role": "assistant",
                "status": self._status,
                "content": content,
            }
        content_name = "input" if self._kind == "custom" else "arguments"
        return {
            "id": self._item_id,
            "type": "custom_tool_call" if self._kind == "custom" else "function_call",
            "status": self._status,
            "call_id": self._call_id,
            "name": self._name,
            content_name: text,
        }

    def start(self, numbers: Iterator[int]) -> list[ResponseStreamEvent]:
        """Start the item."""
        index = self._address["output_index"]
        added = event("response.output_item.added", numbers, output_index=index, item=self.item)
        if not self._is_message:
            return [added]
        part = event(
            "response.content_part.added",
            numbers,
            **self._address,
            content_index=0,
            part=self._part(""),
        )
        return [added, part]

    def add(self, numbers: Iterator[int], text: str, logprobs: list[Json]) -> ResponseStreamEvent:
        """Add text to the item."""
        self._texts.append(text)
        if self._kind == "text":
            self._logprobs += logprobs
            return event(
                "response.output_text.delta",
                numbers,
                **self._address,
                content_index=0,
                delta=text,
                logprobs=logprobs,
            )
        if self._kind == "refusal":
            place = {**self._address, "content_index": 0}
            return event("response.refusal.delta", numbers, **place, delta=text)
        name = "custom_tool_call_input" if self._kind == "custom" else "function_call_arguments"
        return event(f"response.{name}.delta", numbers, **self._address, delta=text)

    def finish(
        self, numbers: Iterator[int], *, is_complete: bool = True
    ) -> list[ResponseStreamEvent]:
        """Finish the item; it is incomplete if its text was cut off."""
        self._status = "completed" if is_complete else "incomplete"
        text = "".join(self._texts)
        if self._is_message:
            place = {**self._address, "content_index": 0}
            if self._kind == "refusal":
                done = event("response.refusal.done", numbers, **place, refusal=text)
            else:
                fields = {"text": text, "logprobs": self._logprobs}
                done = event("response.output_text.done", numbers, **place, **fields)
            part = event("response.content_part.done", numbers, **place, part=self._part(text))
            events = [done, part]
        elif self._kind == "custom":
            kind = "response.custom_tool_call_input.done"
            events = [event(kind, numbers, **self._address, input=text)]
        else:
            kind = "response.function_call_arguments.done"
            events = [event(kind, numbers, **self._address, name=self._name, arguments=text)]
        index = self._address["output_index"]
        done = event("response.output_item.done", numbers, output_index=index, item=self.item)
        return [*events, done]

    @property
    def _is_message(self) -> bool:
        return self._kind in {"text", "refusal"}

    def _part(self, text: str) -> Json:
        if self._kind == "refusal":
            return {"type": "refusal", "refusal": text}
        return {
            "type": "output_text",
            "text": text,
            "annotations": [],
            "logprobs": self._logprobs,
        }


def replay_events(response: Json) -> Iterator[ResponseStreamEvent]:
    """Yield the events of a finished response, each text in one piece.

    Args:
        response: The response's fields.
    """
    numbers = count()
    initial: Json = {**response, "status": "in_progress", "output": [], "usage": None}
    initial |= {"completed_at": None, "incomplete_details": None, "error": None}
    if response["background"]:
        yield from queued_events(response, numbers)
    else:
        yield event("response.created", numbers, response=initial)
    yield event("response.in_progress", numbers, response=initial)
    for index, item in enumerate(response["output"]):
        writer, text, logprobs = _writer_of(item, index)
        if writer is None:
            yield event("response.output_item.added", numbers, output_index=index, item=item)
            yield event("response.output_item.done", numbers, output_index=index, item=item)
            continue
        yield from writer.start(numbers)
        yield writer.add(numbers, text, logprobs)
        yield from writer.finish(numbers, is_complete=item["status"] == "completed")
    yield event(f"response.{response['status']}", numbers, response=response)


def queued_events(response: Json, numbers: Iterator[int]) -> Iterator[ResponseStreamEvent]:
    """Yield the first events of a background response.

    Args:
        response: The response's fields.
        numbers: Sequence numbers of the stream.
    """
    queued: Json = {**response, "status": "queued", "output": [], "usage": None}
    queued |= {"completed_at": None, "incomplete_details": None, "error": None}
    for name in ("created", "queued"):
        yield event(f"response.{name}", numbers, response=queued)


def _writer_of(item: Mapping[str, Any], index: int) -> tuple[ItemWriter | None, str, list[Json]]:
    match item["type"]:
        case "message":
            (part,) = item["content"]
            if part["type"] == "refusal":
                writer = ItemWriter(OutputSegment("refusal"), item["id"], index)
                return writer, part["refusal"], []
            writer = ItemWriter(OutputSegment(), item["id"], index)
            return writer, part["text"], part["logprobs"]
        case "function_call":
            segment = OutputSegment("tool", item["name"], item["call_id"])
            return ItemWriter(segment, item["id"], index), item["arguments"], []
        case "custom_tool_call":
            segment = OutputSegment("custom", item["name"], item["call_id"])
            return ItemWriter(segment, item["id"], index), item["input"], []
        case _:
            return None, "", []


def initial_fields(
    operation: CreateResponse, response_id: str, conversation_id: str | None, now: int
) -> Json:
    """Return the fields of a response without output.

    Args:
        operation: The request.
        response_id: The response's id.
        conversation_id: The conversation's id, if there is one.
        now: Creation time, in Unix seconds.
    """
    text = operation.text or {}
    reasoning = operation.reasoning or {}
    conversation = {} if conversation_id is None else {"conversation": {"id": conversation_id}}
    return {
        "id": response_id,
        "object": "response",
        "created_at": now,
        "status": "in_progress",
        "background": bool(operation.background),
        "error": None,
        "incomplete_details": None,
        "instructions": operation.instructions,
        "max_output_tokens": operation.max_output_tokens,
        "max_tool_calls": operation.max_tool_calls,
        "model": operation.model,
        "output": [],
        "parallel_tool_calls": operation.parallel_tool_calls is not False,
        "previous_response_id": operation.previous_response_id,
        "prompt_cache_key": operation.prompt_cache_key,
        "reasoning": {"effort": reasoning.get("effort"), "summary": reasoning.get("summary")},
        "safety_identifier": operation.safety_identifier,
        "service_tier": "default",
        "store": operation.store is not False,
        "temperature": 1.0 if operation.temperature is None else operation.temperature,
        "text": {
            "format": dict(text.get("format") or {"type": "text"}),
            "verbosity": text.get("verbosity") or "medium",
        },
        "tool_choice": operation.tool_choice or "auto",
        "tools": [dict(tool) for tool in operation.tools or ()],
        "top_logprobs": operation.top_logprobs or 0,
        "top_p": 1.0 if operation.top_p is None else operation.top_p,
        "truncation": operation.truncation or "disabled",
        "usage": None,
        "user": operation.user,
        "metadata": dict(operation.metadata or {}),
        **conversation,
    }
