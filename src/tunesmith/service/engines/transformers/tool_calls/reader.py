"""Reading of tool calls from a text, piece by piece."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from tunesmith.service.engines.generation import ToolCallDelta
from tunesmith.service.engines.transformers.tool_calls.arguments import (
    JsonArguments,
    TaggedArgumentsReader,
)
from tunesmith.service.engines.transformers.tool_calls.format import ID_SLOT, ToolCallFormat

__all__ = ["CallReader"]


class _Arguments(Protocol):
    """Arguments of a call in progress."""

    def read(self, text: str, /) -> tuple[int, str]:
        """Return how much of a text is read, and the JSON that it adds."""
        ...

    @property
    def is_complete(self) -> bool:
        """Whether the arguments have ended."""
        ...


class CallReader:
    """Reader of a text with tool calls, which a grammar has made valid.

    Args:
        call_format: Spelling of tool calls.
        functions: Functions that may be called.
    """

    def __init__(self, call_format: ToolCallFormat, functions: Sequence[Mapping[str, Any]]) -> None:
        self._format = call_format
        self._functions = {function["name"]: function for function in functions}
        before = ("", call_format.prefix, call_format.gap or "", call_format.tag)
        self._openings = {
            call_format.opening.lstrip(),
            *(text + call_format.opening for text in before),
        }
        self._opening = re.compile(_any_of(self._openings))
        tagged = call_format.tagged
        after = (call_format.separator,) if tagged is None else (tagged.first, tagged.empty_closing)
        self._head = re.compile(f"({_any_of(self._functions)})(?={_any_of(after)})")
        between = (call_format.between, None if tagged is None else tagged.empty_between)
        self._between = re.compile(_any_of(filter(None, between)))
        self._is_free = call_format.gap is not None or bool(call_format.prefix)
        self._is_start = True
        self._buffer = ""
        self._opened: str | None = ""
        """Text that is content if no call follows it; None after the first name."""
        self._step: Callable[[], bool] = self._read_text
        self._arguments: _Arguments
        self._content = ""
        self._deltas: list[ToolCallDelta] = []

    def feed(self, text: str) -> tuple[str, tuple[ToolCallDelta, ...]]:
        """Return the content and the parts of calls that a piece of text adds."""
        self._buffer += text
        while self._step():
            pass
        return self._take()

    def flush(self) -> tuple[str, tuple[ToolCallDelta, ...]]:
        """Return what is left at the end: an opening without a whole name is content."""
        if self._opened is not None:
            self._content += self._opened + self._buffer
        return self._take()

    def _take(self) -> tuple[str, tuple[ToolCallDelta, ...]]:
        taken = self._content, tuple(self._deltas)
        self._content, self._deltas = "", []
        return taken

    def _consume(self, n_chars: int) -> str:
        text, self._buffer = self._buffer[:n_chars], self._buffer[n_chars:]
        return text

    def _read_text(self) -> bool:
        """Move content out of the buffer, up to the opening of the calls."""
        can_open = self._is_free or self._is_start
        match = self._opening.search(self._buffer) if can_open else None
        if match and (self._is_free or match.start() == 0):
            self._content += self._consume(match.start())
            self._opened = self._consume(len(match[0]))
            self._step = self._read_name
            return True
        n_held = self._count_held() if can_open else 0
        if not self._is_free and n_held < len(self._buffer):
            n_held = 0
        text = self._consume(len(self._buffer) - n_held)
        self._content += text
        self._is_start = self._is_start and not text
        return False

    def _count_held(self) -> int:
        """Return the length of the end of the buffer that may begin an opening."""
        longest = max(map(len, self._openings))
        for length in range(min(longest, len(self._buffer)), 0, -1):
            end = self._buffer[-length:]
            if any(opening.startswith(end) for opening in self._openings):
                return length
        return 0

    def _read_name(self) -> bool:
        match = self._head.match(self._buffer)
        if match is None:
            return False
        name = self._consume(match.end())
        self._opened = None
        self._deltas.append(ToolCallDelta(name))
        tagged = self._format.tagged
        if tagged is None:
            self._consume(_length_of(self._format.separator, self._buffer))
            self._arguments = JsonArguments()
        else:
            self._arguments = TaggedArgumentsReader(self._format, self._functions[name])
        self._step = self._read_arguments
        return True

    def _read_arguments(self) -> bool:
        n_chars, text = self._arguments.read(self._buffer)
        self._consume(n_chars)
        if text:
            self._deltas.append(ToolCallDelta(None, text))
        if self._arguments.is_complete:
            self._step = self._read_between
            return True
        return False

    def _read_between(self) -> bool:
        match = self._between.match(self._buffer)
        if match is None:
            return False
        self._consume(match.end())
        self._step = self._read_name
        return True


def _any_of(texts: Iterable[str]) -> str:
    """Return the expression of any of some texts, which prefers longer ones."""
    ordered = sorted(texts, key=len, reverse=True)
    return "|".join(map(_escape, ordered)) or r"(?!)"


def _escape(text: str) -> str:
    return re.escape(text).replace(re.escape(ID_SLOT), r"[\w-]+?")


def _length_of(literal: str, text: str) -> int:
    match = re.match(_escape(literal), text)
    return match.end() if match else 0
