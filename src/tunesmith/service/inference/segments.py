"""Segments of a completion, divided as its tokens arrive."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from tunesmith.service.engines.generation import ScoredToken
from tunesmith.service.inference.output_format import OutputFormat, OutputSegment

__all__ = ["SegmentPart", "SegmentReader"]


class SegmentPart(NamedTuple):
    """Part of a segment.

    Args:
        number: The segment's number, counted from 0.
        text: The text; None where the segment starts.
    """

    number: int
    text: str | None


class SegmentReader:
    """Division of the tokens of one choice into segments.

    Args:
        output_format: Format of the choice.
        new_call_id: Function that returns an id for a tool call.
    """

    def __init__(self, output_format: OutputFormat, new_call_id: Callable[[], str]) -> None:
        self.segments: list[OutputSegment] = []
        """Segments that have started; calls have ids."""
        self._format = output_format
        self._new_call_id = new_call_id
        self._texts: list[list[str]] = []
        self._n_chars = 0

    @property
    def texts(self) -> list[str]:
        """The texts of the segments so far."""
        return ["".join(texts) for texts in self._texts]

    @property
    def has_calls(self) -> bool:
        """Whether a tool call has started."""
        return any(segment.is_call for segment in self.segments)

    def start(self) -> list[SegmentPart]:
        """Start the segments that begin before the first token."""
        planned = self._format.segments
        return [self._start(planned[0])] if planned else []

    def read(self, token: ScoredToken) -> list[SegmentPart]:
        """Add a token; return the parts of segments that it adds."""
        parts = self._start_planned()
        if token.text:
            if not self.segments:
                parts.append(self._start(OutputSegment()))
            parts.append(self._add(token.text))
            self._n_chars += len(token.text)
        for delta in token.tool_calls:
            if delta.name is not None:
                n_calls = sum(segment.is_call for segment in self.segments)
                kind = self._format.call_kind
                parts.append(self._start(OutputSegment(kind, delta.name, call_index=n_calls)))
            if delta.arguments:
                parts.append(self._add(delta.arguments))
        return parts

    def finish(self) -> list[SegmentPart]:
        """Start the segments that have no text; there is at least one segment."""
        parts = self._start_planned()
        return parts if self.segments else [self._start(OutputSegment())]

    def read_all(self, tokens: Sequence[ScoredToken]) -> "SegmentReader":
        """Read the tokens of a finished choice."""
        self.start()
        for token in tokens:
            self.read(token)
        self.finish()
        return self

    def _start_planned(self) -> list[SegmentPart]:
        waiting = self._format.segments[len(self.segments) :]
        return [self._start(segment) for segment in waiting if segment.start <= self._n_chars]

    def _start(self, segment: OutputSegment) -> SegmentPart:
        if segment.is_call and segment.id is None:
            segment = replace(segment, id=self._new_call_id())
        self.segments.append(segment)
        self._texts.append([])
        return SegmentPart(len(self.segments) - 1, None)

    def _add(self, text: str) -> SegmentPart:
        self._texts[-1].append(text)
        return SegmentPart(len(self.segments) - 1, text)
