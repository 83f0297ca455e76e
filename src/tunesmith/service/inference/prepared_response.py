"""Prepared requests of the Responses API, and the items of their output."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from tunesmith.operations.responses import CreateResponse
from tunesmith.service.core.ids import IdKind
from tunesmith.service.engines.generation import FinishReason, ScoredToken
from tunesmith.service.inference.chat import PreparedChat
from tunesmith.service.inference.chat_payloads import build_logprobs
from tunesmith.service.inference.output_format import OutputSegment
from tunesmith.service.inference.response_input import Item
from tunesmith.service.inference.response_payloads import ItemWriter
from tunesmith.service.inference.sampling import SampledText, finish_reason_for
from tunesmith.service.inference.segments import SegmentPart, SegmentReader
from tunesmith.types.responses import ResponseStreamEvent

__all__ = ["INCOMPLETE_REASONS", "PreparedResponse", "write_items", "write_parts"]

INCOMPLETE_REASONS = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""Reasons of incomplete responses, by the finish reason of the chat."""

_ITEM_KINDS: Mapping[str, IdKind] = {
    "custom": "custom_tool_call_item",
    "function": "function_call_item",
    "tool": "function_call_item",
}


@dataclass(slots=True)
class PreparedResponse:
    """Validated request, ready to generate."""

    operation: CreateResponse
    chat: PreparedChat
    fields: dict[str, Any]
    """The response's fields, with the status `in_progress`."""
    input: Sequence[Item]
    parent_id: str | None
    conversation_id: str | None
    new_id: Callable[[IdKind], str]
    writers: list[ItemWriter] = field(default_factory=list[ItemWriter])

    def start_item(self, segment: OutputSegment) -> ItemWriter:
        """Start the item of a segment."""
        item_id = self.new_id(_ITEM_KINDS.get(segment.kind, "message_item"))
        writer = ItemWriter(segment, item_id, len(self.fields["output"]) + len(self.writers))
        self.writers.append(writer)
        return writer

    def logprobs(self, tokens: Sequence[ScoredToken]) -> list[dict[str, Any]]:
        """Return the log-probabilities of tokens; none unless requested."""
        if self.operation.top_logprobs is None:
            return []
        content: list[dict[str, Any]] = build_logprobs(tokens)["content"]
        return content

    def complete(
        self, reason: FinishReason, output: Sequence[Item], n_tokens: int, now: int
    ) -> None:
        """Set the fields of the finished response."""
        incomplete = INCOMPLETE_REASONS.get(finish_reason_for(reason, self.chat.stub))
        n_input = len(self.chat.prompt)
        self.fields |= {
            "status": "incomplete" if incomplete else "completed",
            "completed_at": None if incomplete else now,
            "incomplete_details": {"reason": incomplete} if incomplete else None,
            "output": output,
            "usage": {
                "input_tokens": n_input,
                "input_tokens_details": {"cached_tokens": 0},
                "output_tokens": n_tokens,
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": n_input + n_tokens,
            },
        }


def write_items(prepared: PreparedResponse, text: SampledText) -> Iterator[Item]:
    """Yield the output items of a generated text.

    Args:
        prepared: The request.
        text: The text.
    """
    is_complete = finish_reason_for(text.finish_reason, prepared.chat.stub) not in (
        INCOMPLETE_REASONS
    )
    reader = prepared.chat.reader().read_all(text.tokens)
    numbers = count()
    for index, (segment, content) in enumerate(zip(reader.segments, reader.texts, strict=True)):
        writer = prepared.start_item(segment)
        writer.add(numbers, content, prepared.logprobs(text.tokens) if index == 0 else [])
        writer.finish(numbers, is_complete=is_complete or index + 1 < len(reader.segments))
        yield writer.item


def write_parts(
    prepared: PreparedResponse,
    reader: SegmentReader,
    parts: Sequence[SegmentPart],
    logprobs: list[dict[str, Any]],
    numbers: Iterator[int],
) -> Iterator[ResponseStreamEvent]:
    """Yield the events of a stream for the parts that a token adds.

    Args:
        prepared: The request.
        reader: The reader of the parts.
        parts: The parts.
        logprobs: The log-probabilities of the token.
        numbers: Sequence numbers of the stream.
    """
    writers = prepared.writers
    if logprobs and writers and not any(part.text for part in parts):
        yield writers[-1].add(numbers, "", logprobs)
    for index, text in parts:
        if text is None:
            if writers:
                yield from writers[-1].finish(numbers)
            yield from prepared.start_item(reader.segments[index]).start(numbers)
        else:
            yield writers[index].add(numbers, text, logprobs)
            logprobs = []
