"""Spelling of tool calls, found out from the chat template itself.

The template renders a few conversations with calls of made-up functions. The texts between their
names and arguments are the spelling. So what is parsed is what training rows teach.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product, takewhile
from typing import Any

from tunesmith.service.engines.transformers.chat_template import CallFields, ChatTemplate

__all__ = ["ID_SLOT", "TaggedArguments", "ToolCallFormat", "find_format"]

ID_SLOT = "\0"
"""Character that stands for a call's id in spellings."""

_DEFAULT_FIELDS = CallFields()
_MARK = "zq"
"""Beginning of all texts of the conversations that are rendered."""
_TEXT, _USER = "zqtext", {"role": "user", "content": "?"}
_NAMES, _KEYS = ("zqfirst", "zqsecond"), ("zqakey", "zqbkey")
# A quote and a backslash show whether texts are escaped.
_VALUES = ('zq"a\\value', 'zq"b\\value')
_NUMBERS = (48151, 62342)
_NESTED = {"zqckey": [1, None, {"zqdkey": 'zq"c'}]}
_LONG_IDS = ("call_" + "zqid1x" * 4, "call_" + "zqid2x" * 4)
_SHORT_IDS = ("zqid1xzqi", "zqid2xzqi")
_CONSTANTS = (True, False, None)
_TAG = "<|python_tag|>"
_TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": "?",
            "parameters": {
                "type": "object",
                "properties": {key: {"type": "string", "description": "?"} for key in _KEYS},
                "required": list[str](),
            },
        },
    }
    for name in _NAMES
]


@dataclass(frozen=True, slots=True)
class TaggedArguments:
    """Spelling of arguments one by one, texts without quotes.

    Args:
        first: Text between the function's name and the first key.
        equals: Text between a key and its value.
        next: Text between a value and the next key.
        quotes: Texts around values that are texts.
        end: Text that follows each value, whatever comes next.
        empty_closing: Text after the name of a call without arguments, to the end of the turn.
        empty_between: Text after that name, up to the name of the next call; None if there is
            one call a turn.
        constants: `True`, `False` and `None` by their spelling.
        can_nest: Whether lists and objects are spelled as in JSON.
    """

    first: str
    equals: str
    next: str
    quotes: tuple[str, str]
    end: str
    empty_closing: str
    empty_between: str | None
    constants: Mapping[str, Any]
    can_nest: bool


@dataclass(frozen=True, slots=True)
class ToolCallFormat:
    """Spelling of the tool calls of a turn.

    Args:
        opening: Text before the name of the first function.
        separator: Text between a name and arguments in JSON.
        closing: Text after the last arguments, to the end of the turn.
        between: Text after arguments, up to the name of the next function; None if there is one
            call a turn.
        gap: Text between content and the opening; None if a turn with calls has no content.
        prefix: Text that begins each turn, calls or not.
        tag: Text that models write before the opening or not; only Llama 3 does.
        tagged: Spelling of arguments that are not JSON.
        fields: Fields of messages with calls, as the template takes them.
    """

    opening: str
    separator: str
    closing: str
    between: str | None
    gap: str | None
    prefix: str
    tag: str = ""
    tagged: TaggedArguments | None = None
    fields: CallFields = _DEFAULT_FIELDS


def find_format(template: ChatTemplate, cut: Callable[[str], str]) -> ToolCallFormat | None:
    """Return the spelling of tool calls; None if the template does not write them.

    Args:
        template: The chat template.
        cut: Function that removes the end of a turn from its text.
    """
    tag = _TAG if _TAG in template.source else ""
    variants = product((_split_json, _split_tagged), (True, False), ("", None), (False, True))
    for split, are_parsed, empty_content, has_short_ids in variants:
        fields = CallFields(are_parsed, empty_content, has_short_ids)
        try:
            call_format = replace(split(_Probe(template, cut, fields)), fields=fields, tag=tag)
        except ValueError:
            continue
        if _MARK not in repr(call_format):
            return call_format
    return None


class _Probe:
    """Renderings of conversations with tool calls.

    Args:
        template: The chat template.
        cut: Function that removes the end of a turn from its text.
        fields: Fields of messages with calls.
    """

    def __init__(
        self, template: ChatTemplate, cut: Callable[[str], str], fields: CallFields
    ) -> None:
        self.cut = cut
        self._template = template
        self._fields = fields
        self._ids = _SHORT_IDS if fields.has_short_ids else _LONG_IDS
        self._prompt = template.render([_USER], _TOOLS, add_generation_prompt=True)
        if _NAMES[0] not in self._prompt:
            raise ValueError("the template does not show the tools")

    def render(self, content: str | None, *arguments: Mapping[str, Any]) -> str:
        """Return a turn of the assistant, with a call for each of the arguments."""
        calls = [
            {"id": call_id, "type": "function", "function": {"name": name, "arguments": values}}
            for call_id, name, values in zip(self._ids, _NAMES, arguments, strict=False)
        ]
        message = {"role": "assistant", "content": content, "tool_calls": calls}
        messages = self._template.normalize([_USER, message], self._fields)
        text = self._template.render(messages, _TOOLS)
        text = text[len(_common_start(self._prompt, text)) :]
        for call_id in self._ids:
            text = text.replace(call_id, ID_SLOT)
        return text

    def split(self, marks: Sequence[object], *arguments: Mapping[str, Any]) -> list[str]:
        """Return the texts between marks in a turn with calls.

        Raises:
            ValueError: A mark is not in the text, or not in this order.
        """
        text, texts = self.render(None, *arguments), list[str]()
        for mark in marks:
            before, separator, text = text.partition(str(mark))
            if not separator:
                raise ValueError(f"the template does not write {mark}")
            texts.append(before)
        return [*texts, text]


def _split_json(probe: _Probe) -> ToolCallFormat:
    """Return the spelling of calls whose arguments are JSON.

    Raises:
        ValueError: The template does not spell them so.
    """
    first, second = ({key: value} for key, value in zip(_KEYS, _VALUES, strict=True))

    def split(content: str | None, *arguments: Mapping[str, Any]) -> list[str]:
        text, position = probe.render(content, *arguments), 0
        literals: list[str] = []
        for name, values in zip(_NAMES, arguments, strict=False):
            start = text.index(name, position)
            literals.append(text[position:start])
            position, end = _find_json(text, start + len(name), values)
            literals.append(text[start + len(name) : position])
            position = end
        return [*literals, text[position:]]

    opening, separator, closing = split(None, first)
    between = None
    try:
        both = split(None, first, second)
        if both[1] == both[3] == separator and both[4] == closing:
            between = both[2]
    except ValueError:
        pass  # one call a turn
    return _around(probe, first, opening, separator, closing, between)


def _find_json(text: str, start: int, value: Mapping[str, Any]) -> tuple[int, int]:
    position = text.find("{", start)
    while position >= 0:
        try:
            decoded, end = json.JSONDecoder().raw_decode(text, position)
        except ValueError:
            decoded, end = None, 0
        if decoded == value:
            return position, end
        position = text.find("{", position + 1)
    raise ValueError("the template does not write the arguments as JSON")


def _around(
    probe: _Probe,
    arguments: Mapping[str, Any],
    opening: str,
    separator: str,
    closing: str,
    between: str | None,
) -> ToolCallFormat:
    """Return a spelling with what surrounds the calls of a turn."""
    reply = probe.render(_TEXT)
    prefix = reply[: reply.index(_TEXT)]
    prefix = prefix if opening.startswith(prefix) else ""
    opening = opening[len(prefix) :]
    if not opening.strip() or ID_SLOT in opening:
        raise ValueError("calls cannot be told from text")
    gap = None
    _, text, rest = probe.render(_TEXT, arguments).partition(_TEXT)
    if text and _NAMES[0] in rest:
        before = rest[: rest.index(_NAMES[0])]
        gap = before[: -len(opening)] if before.endswith(opening) else None
    if between is not None and probe.cut(between) != between:
        between = None  # the next call is a turn of its own
    return ToolCallFormat(opening, separator, probe.cut(closing), between, gap, prefix)


def _split_tagged(probe: _Probe) -> ToolCallFormat:
    """Return the spelling of calls whose arguments are spelled one by one.

    Raises:
        ValueError: The template does not spell them so.
    """
    number = {_KEYS[0]: _NUMBERS[0]}
    opening, first, equals, next_, equals_2, closing = _split_values(probe, _NUMBERS)
    text = _split_values(probe, _VALUES)
    quotes = (text[2].removeprefix(equals), text[3].removesuffix(next_))
    quoted = [opening, first, equals + quotes[0], quotes[1] + next_, equals + quotes[0]]
    if equals_2 != equals or text != [*quoted, quotes[1] + closing]:
        raise ValueError("the template does not write the values of arguments alike")
    between = empty_between = None
    try:
        marks = (_NAMES[0], _KEYS[0], _NUMBERS[0], _NAMES[1])
        *_, between, _ = probe.split(marks, number, number)
        _, empty_between, _ = probe.split(_NAMES, {}, {})
    except ValueError:
        between = None  # one call a turn
    call_format = _around(probe, number, opening, "", closing, between)
    end = _common_start(next_, call_format.closing, call_format.between or call_format.closing)
    if not (quotes[1] + end).strip():
        raise ValueError("the end of a value cannot be told from the value")
    _, empty_closing = probe.split(_NAMES[:1], {})
    tagged = TaggedArguments(
        first=first,
        equals=equals,
        next=next_,
        quotes=quotes,
        end=end,
        empty_closing=probe.cut(empty_closing),
        empty_between=call_format.between and empty_between,
        constants={_spell(probe, equals, value, closing): value for value in _CONSTANTS},
        can_nest=_can_nest(_spell(probe, equals, _NESTED, closing)),
    )
    return replace(call_format, tagged=tagged)


def _split_values(probe: _Probe, values: Sequence[object]) -> list[str]:
    """Return the texts around the name, the keys and the values of a call with two arguments."""
    arguments = dict(zip(_KEYS, values, strict=True))
    return probe.split((_NAMES[0], _KEYS[0], values[0], _KEYS[1], values[1]), arguments)


def _spell(probe: _Probe, equals: str, value: object, closing: str) -> str:
    """Return the spelling of the value of an argument."""
    _, rest = probe.split(_KEYS[:1], {_KEYS[0]: value})
    if not (rest.startswith(equals) and rest.endswith(closing)):
        raise ValueError("the template does not write the values of arguments alike")
    return rest[len(equals) : len(rest) - len(closing)]


def _can_nest(spelling: str) -> bool:
    try:
        return bool(json.loads(spelling) == _NESTED)
    except ValueError:
        return False


def _common_start(*texts: str) -> str:
    columns = zip(*texts, strict=False)
    return "".join(chars[0] for chars in takewhile(lambda chars: len({*chars}) == 1, columns))
