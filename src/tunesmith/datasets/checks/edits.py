"""Edits that make a row valid without losing anything that a model learns."""

from collections.abc import Callable
from typing import Any, NamedTuple

from pydantic_core import to_json

from tunesmith._json_types import is_list, is_object
from tunesmith.datasets.checks.call_edits import (
    add_call_ids,
    add_call_types,
    lacks_call_ids,
    messages_of,
    rewrite_calls,
    rewrite_tools,
    serialize_arguments,
    to_tool,
)
from tunesmith.datasets.convert import SYSTEM_KEYS, to_chat
from tunesmith.datasets.rows import Row
from tunesmith.datasets.turns import ROLES, plain_text
from tunesmith.training_rules import COMPLETION_KEYS, Problem

__all__ = ["EDITS", "MEANINGFUL_KEYS", "Edit", "refined_code"]

MEANINGFUL_KEYS = {"label", "kto_tag", "images", "image", "videos", "audios"}
"""Keys that change the meaning of a row: they are not removed, but the row is."""

_TEXT_PARTS = ("input_text", "output_text")
_IMAGE_PARTS = ("image", "input_image", "image_url")
_PLACEHOLDER = "<image>"
_URLS = ("http://", "https://", "data:")


class Edit(NamedTuple):
    """Edit of the rows with a problem.

    Attributes:
        problem: What is wrong with the rows.
        description: The edit, as an instruction.
        apply: Changes a row; does nothing to rows without the problem.
    """

    problem: str
    description: str
    apply: Callable[[Row], None]


def refined_code(problem: Problem, data: dict[str, Any]) -> str:  # noqa: C901, PLR0911, PLR0912
    """Return the code of a problem that has a fix of its own, or else the rule's code."""
    match problem:
        case Problem("unknown-key", "images", _) if _can_place_images(data):
            return "separate-images"
        case Problem("unknown-key", path, str(key)) if (
            path == key
            and key in SYSTEM_KEYS
            and plain_text(data[key]) is not None
            and is_list(data.get("messages"))
        ):
            return "separate-system"
        case Problem("unknown-key", path, str(key)) if path == key and key in MEANINGFUL_KEYS:
            return "meaningful-key"
        case Problem("unknown-role", _, str(role)) if role.lower() in ROLES:
            return "foreign-role"
        case Problem("bad-arguments", _, dict() | list()):
            return "arguments-not-text"
        case Problem("bad-tool-call", _, {"id": str(), "function": dict()}) if (
            is_object(problem.value) and "type" not in problem.value
        ):
            return "missing-call-type"
        case Problem("bad-tool-call" | "stray-tool-message") if lacks_call_ids(data):
            return "missing-call-id"
        case Problem("bad-content", _, value) if any(
            message.get("content") is value and _writable(message) for message in messages_of(data)
        ):
            return "content-not-text"
        case Problem("bad-weight", _, True | False | "0" | "1"):
            return "weight-not-number"
        case Problem("missing-key", "messages") if _is_exchange(data):
            return "prompt-and-completion"
        case Problem("bad-tool", _, tool) if is_object(tool) and to_tool(tool) != tool:
            return "foreign-tool"
        case Problem("unknown-part", _, {"type": "tool_use" | "tool_result"}):
            return "foreign-call"
        case Problem("unknown-part", _, part) if is_object(part) and _to_part(part) != part:
            return "foreign-part"
        case Problem("bad-image", path, str()) if path.endswith(".image_url"):
            return "foreign-part"
        case Problem("last-not-assistant") if _has_answer(data.get("messages")):
            return "trailing-messages"
        case _:
            return problem.code


def _rename_roles(row: Row) -> None:
    for message in messages_of(row.data):
        if isinstance(role := message.get("role"), str):
            message["role"] = ROLES.get(role.lower(), role)


def _rewrite_parts(row: Row) -> None:
    for message in messages_of(row.data):
        if is_list(content := message.get("content")):
            message["content"] = [_to_part(p) if is_object(p) else p for p in content]


def _writable(message: dict[str, Any]) -> bool:
    """Return whether content of another type can be written as text."""
    content = message.get("content")
    is_result = is_object(content) and message.get("role") in ("tool", "function")
    return is_result or isinstance(content, bool | int | float)


def _write_content(row: Row) -> None:
    for message in filter(_writable, messages_of(row.data)):
        message["content"] = to_json(message["content"]).decode()


def _write_weights(row: Row) -> None:
    for message in messages_of(row.data):
        if message.get("weight") in ("0", "1") or isinstance(message.get("weight"), bool):
            message["weight"] = int(message["weight"])


def _is_exchange(data: dict[str, Any]) -> bool:
    return all(isinstance(data.get(key), str) for key in COMPLETION_KEYS)


def _join_exchange(row: Row) -> None:
    if "messages" not in row.data and _is_exchange(row.data):
        texts = {key: row.data.pop(key) for key in COMPLETION_KEYS}
        row.data.update(to_chat(texts))


def _to_part(part: dict[str, Any]) -> dict[str, Any]:
    """Return a part in the form of chat completions."""
    match part:
        case {"text": str(text), **others} if not others:
            return {"type": "text", "text": text}
        case {"type": "image", "source": {"media_type": str(kind), "data": str(data)}}:
            return _image_part(f"data:{kind};base64,{data}")
        case {"type": "image", "source": {"url": str(address)}}:
            return _image_part(address)
        case {"type": kind, "text": str(text)} if kind in _TEXT_PARTS:
            return {"type": "text", "text": text}
        case {"type": kind} if kind in _IMAGE_PARTS:
            url = part.get("image_url", part.get("url", part.get("image")))
            return _image_part(url) if isinstance(url, str) else part
        case _:
            return part


def _image_part(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def _can_place_images(data: dict[str, Any]) -> bool:
    """Return whether all of `images` are URLs, and each has a place or none has one."""
    urls, texts = _image_urls(data.get("images")), _user_texts(data)
    places = sum(message["content"].count(_PLACEHOLDER) for message in texts)
    return bool(urls and texts) and places in {0, len(urls)}


def _image_urls(images: Any) -> list[str]:
    """Return the URLs of images; none if one is something else, such as a path."""
    items = images if is_list(images) else [images]
    values = [image.get("url") if is_object(image) else image for image in items]
    urls = [value for value in values if isinstance(value, str) and value.startswith(_URLS)]
    return urls if len(urls) == len(values) else []


def _user_texts(data: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        message
        for message in messages_of(data)
        if message.get("role") == "user" and isinstance(message.get("content"), str)
    ]


def _place_images(row: Row) -> None:
    if not _can_place_images(row.data):
        return
    images = _image_urls(row.data.pop("images"))
    urls = iter(images)
    texts = _user_texts(row.data)
    if not any(_PLACEHOLDER in message["content"] for message in texts):
        texts[0]["content"] = _PLACEHOLDER * len(images) + texts[0]["content"]
    for message in texts:
        first, *others = message["content"].split(_PLACEHOLDER)
        if others:
            parts = [_text_part(first)]
            for text in others:
                parts += [_image_part(next(urls)), _text_part(text)]
            message["content"] = [part for part in parts if part.get("text") != ""]


def _place_system(row: Row) -> None:
    for key in SYSTEM_KEYS:
        messages: Any = row.data.get("messages")
        system = plain_text(row.data.get(key))
        if system is not None and is_list(messages):
            del row.data[key]
            if system.strip():
                messages.insert(0, {"role": "system", "content": system})


def _text_part(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text.strip()}


def _has_answer(messages: Any) -> bool:
    return is_list(messages) and any(
        is_object(message) and message.get("role") == "assistant" for message in messages
    )


def _cut_after_answer(row: Row) -> None:
    messages: Any = row.data.get("messages")
    if _has_answer(messages):
        while not is_object(messages[-1]) or messages[-1].get("role") != "assistant":
            messages.pop()


EDITS: dict[str, Edit] = {
    "foreign-role": Edit(
        "a message's role has another name, such as `human`, `gpt` or `model`.",
        "Rename roles to `user` and `assistant`",
        _rename_roles,
    ),
    "arguments-not-text": Edit(
        "the arguments of a tool call are an object instead of JSON text.",
        "Write arguments as JSON text",
        serialize_arguments,
    ),
    "missing-call-type": Edit(
        "a tool call has no `type`.", "Add the type `function` to tool calls", add_call_types
    ),
    "prompt-and-completion": Edit(
        "a prompt and its completion stand among conversations.",
        "Write prompts and completions as messages",
        _join_exchange,
    ),
    "content-not-text": Edit(
        "a message's content is a number, or a result of a tool is an object instead of text.",
        "Write content as text",
        _write_content,
    ),
    "weight-not-number": Edit(
        "a weight is text or a boolean instead of 0 or 1.",
        "Write weights as numbers",
        _write_weights,
    ),
    "missing-call-id": Edit(
        "a tool call or its answer has no id.",
        "Number tool calls and their answers",
        add_call_ids,
    ),
    "foreign-tool": Edit(
        "a tool is described in the form of another API.",
        "Write tools as functions with `parameters`",
        rewrite_tools,
    ),
    "foreign-call": Edit(
        "a tool call or its answer is a part of a message, as in another API.",
        "Write calls as `tool_calls` and answers as messages of the tool",
        rewrite_calls,
    ),
    "foreign-part": Edit(
        "a part of a message has the form of another API.",
        "Write parts as `text` and `image_url`",
        _rewrite_parts,
    ),
    "separate-images": Edit(
        "the images are in a key of their own instead of in the messages.",
        "Move images into the messages",
        _place_images,
    ),
    "separate-system": Edit(
        "the system message is in a key of its own instead of in the messages.",
        "Move the system message into the messages",
        _place_system,
    ),
    "trailing-messages": Edit(
        "messages follow the last answer, so that nothing is learned from them.",
        "Leave out messages after the last answer",
        _cut_after_answer,
    ),
}
"""Every edit by the code of its finding, in the order in which they are offered."""
