"""Turns of conversations in the forms that open data has, as objects, texts or one transcript."""

import re
from ast import literal_eval
from collections.abc import Mapping
from typing import Any

from pydantic_core import from_json, to_json

from tunesmith._json_types import is_list, is_object

__all__ = [
    "MESSAGE_LISTS",
    "ROLES",
    "is_turns",
    "parse_cell",
    "plain_text",
    "read_message",
    "read_transcript",
    "read_turns",
]

MESSAGE_LISTS = (
    *("conversations", "conversation", "messages", "contents"),
    *("dialogue", "dialog", "turns", "chat", "data"),
)
"""Keys that can hold the turns of a conversation."""

ROLES = {
    "human": "user",
    "customer": "user",
    "user": "user",
    "prompter": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "assistant": "assistant",
    "model": "assistant",
    "bot": "assistant",
    "chatbot": "assistant",
    "agent": "assistant",
    "ai": "assistant",
    "system": "system",
    "developer": "developer",
}
"""Names of speakers in other formats, in lower case, and the role of each."""

_TURN_ROLES = ROLES | {
    "function_call": "call",
    "observation": "tool",
    "tool": "tool",
    "function_response": "tool",
}
_SPEAKERS = ("from", "role", "author", "speaker")
_TEXTS = ("value", "content", "text", "parts", "message", "utterance")
_TEXT_KEYS = {"text", "content", "parts", "type", "role"}

_MARK_ROLES = ROLES | {
    "[inst]": "user",
    "[/inst]": "assistant",
    "<<sys>>": "system",
    "<</sys>>": "user",
    "instruction": "user",
    "input": "user",
    "response": "assistant",
    "question": "user",
    "answer": "assistant",
}
_NAMES = "|".join(sorted(name for name in _MARK_ROLES if name.isalpha()))
_NAMED_TURN = re.compile(rf"(?:\A\s*|\n[ \t]*)((?i:{_NAMES})): ?")
_TEMPLATES = (
    re.compile(r"<\|im_start\|>(\w+)\n"),
    re.compile(r"<\|start_header_id\|>(\w+)<\|end_header_id\|>"),
    re.compile(r"<start_of_turn>(\w+)\n"),
    re.compile(r"<\|(system|user|assistant|model)\|>"),
    re.compile(r"(\[/?INST\]|<</?SYS>>)"),
    re.compile(r"\[\|(\w+)\|\]"),
    re.compile(rf"#{{2,}} ?((?i:{_NAMES}))(?:[:]|(?=\n))"),
    _NAMED_TURN,
    re.compile(r"(?:\A|\s)(SYSTEM|USER|ASSISTANT): ?"),
)
"""Marks before the turns in chat templates; a text is read with the first that it has."""

_TOKENS = (
    *("<s>", "</s>", "<bos>", "<eos>", "<|im_end|>", "<|eot_id|>", "<end_of_turn>", "<|end|>"),
    *("<|begin_of_text|>", "<|end_of_text|>", "<|endoftext|>"),
)


def parse_cell(value: Any) -> Any:
    """Return the list, object or boolean that a text holds; other values as they are."""
    if not isinstance(value, str) or not value.lstrip().startswith(("[", "{", "true", "false")):
        return value
    try:
        return from_json(value)
    except ValueError:
        pass
    if not re.match(r"\s*\[?\s*\{\s*'", value):
        return value
    try:
        # pandas writes lists of objects so into a CSV file.
        return literal_eval(value.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return value


def plain_text(value: Any) -> str | None:
    """Return the text of a value: a text, or objects and lists that hold nothing but text."""
    if isinstance(value, str):
        return value
    if is_list(value):
        texts = [text for item in value if (text := plain_text(item)) is not None]
        return "\n".join(texts) if texts and len(texts) == len(value) else None
    if is_object(value) and value.keys() <= _TEXT_KEYS and value.get("type", "text") == "text":
        values = [value[key] for key in ("text", "content", "parts") if key in value]
        return plain_text(values[0]) if len(values) == 1 else None
    return None


def is_turns(value: Any) -> bool:
    """Return whether a value is a list of turns, in any form that `read_turns` reads."""
    if not is_list(value) or not value:
        return False
    if all(isinstance(turn, str) for turn in value):
        return len(value) > 1
    return all(_is_pair(turn) or (is_object(turn) and _is_turn(turn)) for turn in value)


def read_turns(value: Any) -> list[dict[str, Any]]:
    """Return turns as messages: objects, pairs, texts of two speakers in turn, or a transcript.

    Calls (`function_call`) and their results (`observation`) become tool calls and answers.

    Raises:
        ValueError: They have another form.
    """
    conversation = parse_cell(value)
    if isinstance(conversation, str):
        conversation = read_transcript(conversation)
    if not is_list(conversation):
        raise ValueError("the conversation must be a list")
    messages: list[dict[str, Any]] = []
    open_calls: list[str] = []
    for index, turn in enumerate(conversation):
        if isinstance(turn, str) and all(isinstance(other, str) for other in conversation):
            messages.append(_alternating(turn, index))
            continue
        if _is_pair(turn):
            messages += [_alternating(text, index) for index, text in enumerate(turn)]
            continue
        if not is_object(turn):
            raise ValueError("a turn of the conversation must be an object")
        if _is_named_by_speaker(turn):
            messages += [{"role": ROLES[role.lower()], "content": turn[role]} for role in turn]
            continue
        message = read_message(turn, len(messages))
        if message["role"] == "assistant":
            calls = message.get("tool_calls")
            objects = filter(is_object, calls if is_list(calls) else [])
            open_calls = [call["id"] for call in objects if "id" in call]
        elif message["role"] == "tool" and "tool_call_id" not in message:
            message["tool_call_id"] = open_calls.pop(0) if open_calls else ""
        messages.append(message)
    return messages


def read_message(turn: Mapping[str, Any], index: int) -> dict[str, Any]:
    """Return a turn as a message; `index` makes the ids of its calls unique."""
    speaker = next((key for key in _SPEAKERS if key in turn), "role")
    text = next((key for key in _TEXTS if key in turn), "content")
    message = {key: value for key, value in turn.items() if key not in {speaker, text}}
    role = turn.get(speaker)
    message["role"] = _TURN_ROLES.get(role.lower(), role) if isinstance(role, str) else role
    if speaker == "speaker" and message["role"] == "system":
        # In dialogues the system is who answers.
        message["role"] = "assistant"
    if text in turn:
        content = turn[text]
        message["content"] = content if text == "content" else plain_text(content) or content
    if message["role"] == "call":
        calls = parse_cell(message.pop("content"))
        return message | {
            "role": "assistant",
            "tool_calls": [
                _call(call, f"call_{index}_{number}")
                for number, call in enumerate(calls if is_list(calls) else [calls])
            ],
        }
    return message


def read_transcript(text: str) -> list[dict[str, Any]] | None:
    """Return the messages of a text with the marks of a chat template or names of speakers.

    Text before the first mark becomes a system message. None for other texts.
    """
    for template in _TEMPLATES:
        before, *parts = template.split(text)
        roles = [_MARK_ROLES.get(mark.lower(), "") for mark in parts[::2]]
        # A line of prose can begin with a word and a colon too.
        if {"user", "assistant"} <= {*roles} and not (template is _NAMED_TURN and before.strip()):
            break
    else:
        return None
    if not all(roles):
        return None
    messages: list[dict[str, Any]] = []
    for role, turn in zip(("system", *roles), (before, *parts[1::2]), strict=True):
        content = _without_tokens(turn)
        if messages and messages[-1]["role"] == role and content:
            messages[-1]["content"] += f"\n\n{content}"
        elif content:
            messages.append({"role": role, "content": content})
    return messages


def _without_tokens(text: str) -> str:
    """Return a text without space and tokens of a template around it."""
    while True:
        stripped = text.strip()
        for token in _TOKENS:
            stripped = stripped.removeprefix(token).removesuffix(token)
        if stripped == text:
            return text
        text = stripped


def _is_pair(turn: Any) -> bool:
    return is_list(turn) and len(turn) == 2 and all(isinstance(text, str) for text in turn)  # noqa: PLR2004 — a pair


def _is_turn(turn: Mapping[str, Any]) -> bool:
    has_text = any(key in turn for key in (*_TEXTS, "tool_calls"))
    return _is_named_by_speaker(turn) or (has_text and any(key in turn for key in _SPEAKERS))


def _is_named_by_speaker(turn: Mapping[str, Any]) -> bool:
    """Return whether the keys of a turn are the names of its speakers."""
    keys = turn.keys()
    return bool(keys) and not keys & {"from", "role"} and {*map(str.lower, keys)} <= ROLES.keys()


def _alternating(text: str, index: int) -> dict[str, Any]:
    return {"role": "assistant" if index % 2 else "user", "content": text}


def _call(call: Any, id: str) -> dict[str, Any]:
    if not is_object(call) or "name" not in call:
        raise ValueError("a function call must be an object with `name` and `arguments`")
    arguments = call.get("arguments", {})
    text = arguments if isinstance(arguments, str) else to_json(arguments).decode()
    return {"id": id, "type": "function", "function": {"name": call["name"], "arguments": text}}
