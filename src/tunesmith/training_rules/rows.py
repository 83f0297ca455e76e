"""Rules for one line of a training file, by format."""

from collections.abc import Callable, Generator, Iterator
from typing import Any

from tunesmith._json_types import is_list, is_object
from tunesmith.training_rules.images import count_images
from tunesmith.training_rules.messages import inspect_messages, is_learned
from tunesmith.training_rules.rules import IMAGES_PER_EXAMPLE, Format, Problem
from tunesmith.training_rules.tools import inspect_tools, tool_names

__all__ = ["CHAT_KEYS", "COMPLETION_KEYS", "INPUT_KEYS", "PAIR_KEYS", "inspect_row"]

CHAT_KEYS = ("messages", "tools", "functions", "parallel_tool_calls")
COMPLETION_KEYS = ("prompt", "completion")
PAIR_KEYS = ("input", "preferred_output", "non_preferred_output")
INPUT_KEYS = ("messages", "tools", "parallel_tool_calls")


def inspect_row(data: dict[str, Any], format: Format) -> Iterator[Problem]:
    """Find the rules that a line breaks.

    Args:
        data: The line.
        format: The format that it must have.

    Example:
        ```python
        problems = inspect_row({"messages": [{"role": "user", "content": "Why?"}]}, "chat")
        assert [problem.code for problem in problems] == ["last-not-assistant"]
        ```
    """
    return _INSPECTORS[format](data)


def _inspect_completion(data: dict[str, Any]) -> Iterator[Problem]:
    yield from _unknown_keys(data, COMPLETION_KEYS)
    for key in COMPLETION_KEYS:
        if key not in data:
            yield Problem("missing-key", key)
        elif not isinstance(data[key], str):
            yield Problem("not-text", key, data[key])
        elif key == "completion" and not data[key].strip():
            yield Problem("empty-completions", key)


def _inspect_chat(data: dict[str, Any]) -> Iterator[Problem]:
    yield from _unknown_keys(data, CHAT_KEYS)
    messages = yield from _inspect_conversation(data, "", weights=True)
    if not messages:
        return
    last = len(messages) - 1
    if messages[last].get("role") != "assistant":
        yield Problem("last-not-assistant", f"messages[{last}].role", messages[last].get("role"))
    elif not any(map(is_learned, messages)):
        yield Problem("nothing-to-learn", "messages")


def _inspect_item(data: dict[str, Any]) -> Iterator[Problem]:
    messages = yield from _inspect_conversation(data, "", weights=False)
    if messages and messages[-1].get("role") != "user":
        last = len(messages) - 1
        yield Problem("last-not-user", f"messages[{last}].role", messages[last].get("role"))


def _inspect_pair(data: dict[str, Any]) -> Iterator[Problem]:
    for key in PAIR_KEYS:
        if data.get(key) is None:
            yield Problem("missing-key", key)
    yield from _unknown_keys(data, PAIR_KEYS)
    context = data.get("input")
    tools = None
    if is_object(context):
        yield from _unknown_keys(context, INPUT_KEYS, "input.")
        messages = yield from _inspect_conversation(context, "input.", weights=True)
        if messages and messages[-1].get("role") == "assistant":
            yield Problem("input-ends-with-assistant", f"input.messages[{len(messages) - 1}]")
        if count_images(messages):
            yield Problem("image-in-pair", "input.messages")
        tools = tool_names(context)
    elif context is not None:
        yield Problem("bad-input", "input", context)
    for key in PAIR_KEYS[1:]:
        output = data.get(key)
        if _is_answer(output):
            yield from inspect_messages(output, key, tools, weights=False)
        elif output is not None:
            yield Problem("bad-output", key, output)


def _inspect_conversation(
    data: dict[str, Any], path: str, *, weights: bool
) -> Generator[Problem, None, list[dict[str, Any]] | None]:
    yield from inspect_tools(data, path)
    if "messages" not in data:
        yield Problem("missing-key", f"{path}messages")
        return None
    messages: Any = data["messages"]
    yield from inspect_messages(messages, f"{path}messages", tool_names(data), weights=weights)
    if not is_list(messages) or not all(is_object(message) for message in messages):
        return None
    if count_images(messages) > IMAGES_PER_EXAMPLE:
        yield Problem("too-many-images", f"{path}messages")
    return messages


def _is_answer(output: object) -> bool:
    return (
        is_list(output)
        and len(output) == 1
        and is_object(output[0])
        and output[0].get("role") == "assistant"
    )


def _unknown_keys(
    data: dict[str, Any], known: tuple[str, ...], path: str = ""
) -> Iterator[Problem]:
    for key in data:
        if key not in known:
            yield Problem("unknown-key", f"{path}{key}", key, data)


_INSPECTORS: dict[Format, Callable[[dict[str, Any]], Iterator[Problem]]] = {
    "completions": _inspect_completion,
    "chat": _inspect_chat,
    "dpo": _inspect_pair,
    "reinforcement": _inspect_item,
}
