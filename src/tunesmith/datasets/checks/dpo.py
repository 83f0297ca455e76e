"""Preference pairs: what the service would refuse, and what is unwise."""

from collections.abc import Iterator
from typing import Any

from tunesmith.datasets.checks.images import IMAGE_RULES, count_images
from tunesmith.datasets.checks.messages import (
    MESSAGE_RULES,
    inspect_messages,
    is_message_list,
    without_unknown_keys,
)
from tunesmith.datasets.checks.row_check import RowCheck, unknown_key_rule
from tunesmith.datasets.checks.row_rules import Problem, Rule
from tunesmith.datasets.checks.tools import TOOL_RULES, inspect_tools, tool_names
from tunesmith.datasets.json_types import is_list, is_object

__all__ = ["PreferenceCheck", "inspect_preference"]

_OUTPUTS = ("preferred_output", "non_preferred_output")
_INPUT_KEYS = {"messages", "tools", "parallel_tool_calls"}


def _strip(data: dict[str, Any]) -> None:
    for key in data.keys() - {"input", *_OUTPUTS}:
        del data[key]
    question = data.get("input")
    if is_object(question):
        for key in question.keys() - _INPUT_KEYS:
            del question[key]
        without_unknown_keys(question.get("messages"))
    for key in _OUTPUTS:
        without_unknown_keys(data.get(key))


RULES = {
    "missing-key": Rule("`input`, `preferred_output` and `non_preferred_output` are needed."),
    **MESSAGE_RULES,
    "unknown-key": unknown_key_rule(_strip),
    "input-ends-with-assistant": Rule(
        "the input's last message is the assistant's: there is nothing to answer."
    ),
    "bad-output": Rule("an output is to be one message of the assistant."),
    "same-outputs": Rule("both outputs are the same: there is nothing to prefer."),
    "image-in-pair": Rule("there is an image, and preference pairs are of text only."),
    **TOOL_RULES,
    **IMAGE_RULES,
}


class PreferenceCheck(RowCheck):
    """Looks at rows of `input`, `preferred_output` and `non_preferred_output`."""

    def __init__(self, file: str | None) -> None:
        super().__init__(file, inspect_preference, RULES)


def inspect_preference(data: dict[str, Any]) -> Iterator[Problem]:
    """Find what the service would refuse in a preference pair."""
    for key in data.keys() - {"input", *_OUTPUTS}:
        yield Problem("unknown-key", key, key)
    for key in ("input", *_OUTPUTS):
        if data.get(key) is None:
            yield Problem("missing-key", key)
    question = data.get("input")
    if question is not None:
        yield from _inspect_input(question)
    tools = tool_names(question) if is_object(question) else None
    for key in _OUTPUTS:
        if data.get(key) is not None:
            yield from _inspect_output(data[key], key, tools)
    if data.get(_OUTPUTS[0]) is not None and data[_OUTPUTS[0]] == data.get(_OUTPUTS[1]):
        yield Problem("same-outputs", _OUTPUTS[1], data[_OUTPUTS[1]])


def _inspect_input(question: Any) -> Iterator[Problem]:
    if not is_object(question):
        yield Problem("missing-key", "input", question)
        return
    for key in question.keys() - _INPUT_KEYS:
        yield Problem("unknown-key", f"input.{key}", key)
    yield from inspect_tools(question, "input.")
    messages = question.get("messages")
    yield from inspect_messages(messages, "input.messages", tool_names(question))
    if is_message_list(messages) and messages and messages[-1].get("role") == "assistant":
        yield Problem("input-ends-with-assistant", f"input.messages[{len(messages) - 1}]")
    if count_images(messages):
        yield Problem("image-in-pair", "input.messages")


def _inspect_output(output: Any, key: str, tools: frozenset[str] | None) -> Iterator[Problem]:
    if (
        not is_list(output)
        or len(output) != 1
        or not is_message_list(output)
        or output[0].get("role") != "assistant"
    ):
        yield Problem("bad-output", key, output)
        return
    yield from inspect_messages(output, key, tools, weights=False)
