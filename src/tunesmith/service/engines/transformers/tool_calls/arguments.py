"""Arguments of a tool call in progress, as JSON."""

import json
from collections.abc import Mapping
from typing import Any

from tunesmith.service.engines.transformers.tool_calls.format import ToolCallFormat
from tunesmith.service.engines.transformers.tool_calls.schemas import (
    argument_schemas,
    parameters_of,
    type_of,
    value_types,
)

__all__ = ["JsonArguments", "TaggedArgumentsReader"]


class JsonArguments:
    """Arguments that are written as a JSON object."""

    def __init__(self) -> None:
        self.is_complete = False
        """Whether the object has ended."""
        self._depth = 0
        self._is_text = False
        self._is_escaped = False

    def read(self, text: str) -> tuple[int, str]:
        """Return the number of characters of a text that belong to the object, and these."""
        for index, char in enumerate(text):
            if self._is_text:
                if self._is_escaped:
                    self._is_escaped = False
                elif char == "\\":
                    self._is_escaped = True
                elif char == '"':
                    self._is_text = False
            elif char == '"':
                self._is_text = True
            elif char in "{[":
                self._depth += 1
            elif char in "}]":
                self._depth -= 1
                if self._depth == 0:
                    self.is_complete = True
                    return index + 1, text[: index + 1]
        return len(text), text


class TaggedArgumentsReader:
    """Arguments that are written one by one.

    Args:
        call_format: Spelling of tool calls, with tagged arguments.
        function: The function.
    """

    def __init__(self, call_format: ToolCallFormat, function: Mapping[str, Any]) -> None:
        assert call_format.tagged is not None  # noqa: S101 - the caller's condition
        self.is_complete = False
        """Whether all arguments are read; the text after them is not."""
        self._tagged = call_format.tagged
        self._ends = [
            text for text in (call_format.closing, call_format.between) if text is not None
        ]
        parameters = parameters_of(function)
        self._types = {
            name: value_types(schema) for name, schema in argument_schemas(parameters).items()
        }
        self._n_read = 0

    def read(self, text: str) -> tuple[int, str]:
        """Return the number of characters of a text that are read, and the JSON that they add."""
        position, result = 0, ""
        while (start := self._find_key(text, position)) is not None:
            argument = self._argument(text, start)
            if argument is None:
                break
            name, value, position = argument
            result += ", " if self._n_read else "{"
            result += f"{json.dumps(name, ensure_ascii=False)}: "
            result += json.dumps(value, ensure_ascii=False)
            self._n_read += 1
        if self.is_complete:
            result += "}" if self._n_read else "{}"
        return position, result

    def _find_key(self, text: str, position: int) -> int | None:
        """Return the position of the next key; None if there is none, or not yet."""
        tagged = self._tagged
        before = tagged.next if self._n_read else tagged.first
        ends = self._ends if self._n_read else [tagged.empty_closing]
        rest = text[position:]
        self.is_complete = any(rest.startswith(end) for end in ends)
        if self.is_complete or any(end.startswith(rest) for end in ends):
            return None
        return position + len(before) if rest.startswith(before) else None

    def _argument(self, text: str, start: int) -> tuple[str, Any, int] | None:
        """Return the next argument and the position after it; None if it has not ended."""
        tagged = self._tagged
        for name, types in self._types.items():
            if not text.startswith(name + tagged.equals, start):
                continue
            start += len(name + tagged.equals)
            if "string" in types:
                opening, closing = tagged.quotes
                start += len(opening)
                end = text.find(closing + tagged.end, start)
                if end < 0:
                    return None
                return name, self._text_value(text[start:end], types), end + len(closing)
            return self._json_argument(text, start, name)
        return None

    def _text_value(self, text: str, types: frozenset[str]) -> Any:
        """Return a value that may be a text; texts that read like other values are those."""
        if len(types) == 1:
            return text
        constants = self._tagged.constants
        try:
            value = constants[text] if text in constants else json.loads(text)
        except ValueError:
            return text
        kind = type_of(value)
        is_valid = kind in types or (kind == "integer" and "number" in types)
        return value if is_valid and kind != "string" else text

    def _json_argument(self, text: str, start: int, name: str) -> tuple[str, Any, int] | None:
        tagged = self._tagged
        for constant, value in tagged.constants.items():
            if text.startswith(constant + tagged.end, start):
                return name, value, start + len(constant)
        try:
            value, end = json.JSONDecoder().raw_decode(text, start)
        except ValueError:
            return None
        # A number may continue in the next piece.
        follows = any(text.startswith(rest, end) for rest in (tagged.next, *self._ends))
        return (name, value, end) if follows else None
