"""Conversions of open data formats to the formats of the service."""

import re
from collections.abc import Mapping
from os.path import commonprefix
from typing import Any

from pydantic_core import from_json, to_json

from tunesmith._json_types import is_list, is_object

__all__ = [
    "MESSAGE_LISTS",
    "ROLES",
    "Rejected",
    "alpaca_to_chat",
    "conversation_to_chat",
    "dolly_to_chat",
    "evals_to_chat",
    "kto_to_chat",
    "orca_to_chat",
    "parse_cell",
    "parse_label",
    "prompt_completion_to_chat",
    "ranking_to_dpo",
    "to_chat",
    "to_completion",
    "turns_to_chat",
]

Fields = Mapping[str, Any]

MESSAGE_LISTS = ("conversations", "conversation", "messages")
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

_ALL_ROLES = ROLES | {
    "function_call": "call",
    "observation": "tool",
    "tool": "tool",
    "function_response": "tool",
}
_LABELS = {
    **dict.fromkeys(("true", "desirable", "1"), True),
    **dict.fromkeys(("false", "undesirable", "0"), False),
}
_CHAT_EXTRAS = ("tools", "images", "videos", "audios", "parallel_tool_calls")
_MARKERS = re.compile(r"\n*(Human|Assistant): ?")


class Rejected(Exception):  # noqa: N818 — not an error
    """Signal for a row that is labelled as a bad answer."""


def parse_cell(value: Any) -> Any:
    """Return the JSON list, object or boolean that a text holds; other values as they are."""
    if not isinstance(value, str) or not value.lstrip().startswith(("[", "{", "true", "false")):
        return value
    try:
        return from_json(value)
    except ValueError:
        return value


def to_chat(data: Mapping[str, str], system: str | None = None) -> dict[str, Any]:
    """Convert a prompt and its completion to a conversation; an empty prompt is left out."""
    messages = [{"role": "system", "content": system}] if system else []
    if data["prompt"]:
        messages.append({"role": "user", "content": data["prompt"]})
    return {"messages": [*messages, {"role": "assistant", "content": data["completion"]}]}


def to_completion(data: Mapping[str, Any], system: str | None = None) -> dict[str, str]:
    """Convert a conversation of one question and one answer to a prompt and its completion.

    Raises:
        ValueError: Something would be lost; the message names it.
    """
    if others := [key for key in data if key != "messages"]:
        raise ValueError(f"`{others[0]}` would be lost")
    messages = data.get("messages")
    if not is_list(messages) or not all(is_object(message) for message in messages):
        raise ValueError("`messages` must be a list of messages")
    if system and messages[:1] == [{"role": "system", "content": system}]:
        messages = messages[1:]
    for message in messages:
        if others := [key for key in message if key not in {"role", "content"}]:
            raise ValueError(f"`{others[0]}` would be lost")
        if not isinstance(message.get("content"), str):
            raise ValueError("every message must be text")  # noqa: TRY004 — as above
    match [message.get("role") for message in messages]:
        case ["assistant"]:
            return {"prompt": "", "completion": messages[0]["content"]}
        case ["user", "assistant"]:
            return {"prompt": messages[0]["content"], "completion": messages[1]["content"]}
        case ["system", *_]:
            raise ValueError("its system message would be lost; name it (system=…) to leave it out")
        case roles:
            raise ValueError(f"its roles are {', '.join(map(str, roles)) or 'none'}")


def alpaca_to_chat(data: Fields) -> dict[str, Any]:
    """Convert `instruction`, `input` and `output`; `history` and `system` are kept."""
    earlier: Any = data.get("history") or list[Any]()
    if not is_list(earlier) or not all(is_list(pair) and len(pair) == 2 for pair in earlier):  # noqa: PLR2004 — a pair
        raise ValueError("`history` must be a list of pairs")
    pairs = [*earlier, (_joined(data, "instruction", "input"), _text(data, "output"))]
    messages = [
        {"role": role, "content": text}
        for pair in pairs
        for role, text in zip(("user", "assistant"), pair, strict=True)
    ]
    return _chat(data, messages)


def dolly_to_chat(data: Fields) -> dict[str, Any]:
    """Convert `instruction`, `context` and `response`."""
    return _exchange(data, _joined(data, "instruction", "context"), _text(data, "response"))


def turns_to_chat(data: Fields) -> dict[str, Any]:
    """Convert the columns `system`, `user` and `assistant`."""
    return _exchange(data, _text(data, "user"), _text(data, "assistant"))


def orca_to_chat(data: Fields) -> dict[str, Any]:
    """Convert `system_prompt`, `question` and `response`."""
    return _exchange(data, _text(data, "question"), _text(data, "response"))


def evals_to_chat(data: Fields) -> dict[str, Any]:
    """Convert `input` and `ideal`, whose first answer is taken."""
    prompt, answers = parse_cell(data["input"]), data["ideal"]
    answer = answers[0] if is_list(answers) and answers else answers
    messages = prompt if is_list(prompt) else [{"role": "user", "content": prompt}]
    return _chat({}, [*messages, {"role": "assistant", "content": answer}])


def prompt_completion_to_chat(data: Fields) -> dict[str, Any]:
    """Convert `prompt` and `completion` that are lists of messages, as TRL has them."""
    return _chat(data, [*_messages(data["prompt"], "user"), *_messages(data["completion"])])


def parse_label(label: Any) -> bool | None:
    """Return whether a label marks a good answer; None if it is no such label."""
    return _LABELS.get(str(label).strip().lower())


def kto_to_chat(data: Fields) -> dict[str, Any]:
    """Convert a row with a `label` that tells good answers from bad ones.

    Raises:
        Rejected: The answer is a bad one.
    """
    is_good = parse_label(data.get("label", data.get("kto_tag")))
    if is_good is None:
        raise ValueError("`label` must be true or false")
    if not is_good:
        raise Rejected
    if any(key in data for key in MESSAGE_LISTS):
        return conversation_to_chat(data)
    return prompt_completion_to_chat(data)


def conversation_to_chat(data: Fields) -> dict[str, Any]:
    """Convert the turns of a conversation, as ShareGPT has them (`from`, `value`).

    Calls (`function_call`) and their results (`observation`) become tool calls and answers.
    """
    conversation = next((parse_cell(data[key]) for key in MESSAGE_LISTS if key in data), None)
    if not is_list(conversation):
        raise ValueError("the conversation must be a list")
    messages: list[dict[str, Any]] = []
    open_calls: list[str] = []
    for turn in conversation:
        if not is_object(turn):
            raise ValueError("a turn of the conversation must be an object")
        if turn and not turn.keys() & {"from", "role"} and {*map(str.lower, turn)} <= ROLES.keys():
            messages += [{"role": ROLES[role.lower()], "content": turn[role]} for role in turn]
            continue
        message = _message(turn, len(messages))
        if message["role"] == "assistant":
            open_calls = [call["id"] for call in message.get("tool_calls", ())]
        elif message["role"] == "tool" and "tool_call_id" not in message:
            message["tool_call_id"] = open_calls.pop(0) if open_calls else ""
        messages.append(message)
    return _chat(data, messages)


def ranking_to_dpo(data: Fields) -> dict[str, Any]:
    """Convert `chosen` and `rejected`, texts or messages, with or without a `prompt`."""
    chosen, rejected = parse_cell(data["chosen"]), parse_cell(data["rejected"])
    key = next((key for key in ("prompt", "question", *MESSAGE_LISTS) if key in data), None)
    prompt = None if key is None else parse_cell(data[key])
    if key in MESSAGE_LISTS and is_list(prompt):
        prompt = conversation_to_chat({"messages": prompt})["messages"]
    elif key is None and "instruction" in data:
        prompt = _joined(data, "instruction", "input")
    if isinstance(chosen, str) and isinstance(rejected, str) and prompt is None:
        prompt, chosen, rejected = _shared_beginning(chosen, rejected)
    better, worse = _messages(chosen), _messages(rejected)
    if len(better) > 1 and len(worse) > 1 and not is_list(prompt):
        # The answers repeat the conversation that comes before them.
        prompt, better, worse = better[:-1], better[-1:], worse[-1:]
    context = _chat(data, _messages(prompt, "user"))
    return {"input": context, "preferred_output": better, "non_preferred_output": worse}


def _chat(data: Fields, messages: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a conversation with the system message, tools and media of the row."""
    system = data.get("system") or data.get("system_prompt")
    if isinstance(system, str) and messages[:1] and messages[0].get("role") != "system":
        messages = [{"role": "system", "content": system}, *messages]
    chat: dict[str, Any] = {"messages": messages}
    for key in _CHAT_EXTRAS:
        if data.get(key):
            chat[key] = _tools(data[key]) if key == "tools" else data[key]
    return chat


def _exchange(data: Fields, prompt: str, answer: str) -> dict[str, Any]:
    return _chat(data, to_chat({"prompt": prompt, "completion": answer})["messages"])


def _tools(value: Any) -> Any:
    tools = parse_cell(value)
    if not is_list(tools):
        return tools
    return [
        {"type": "function", "function": tool} if is_object(tool) and "name" in tool else tool
        for tool in tools
    ]


def _message(turn: Mapping[str, Any], index: int) -> dict[str, Any]:
    role = turn.get("from", turn.get("role"))
    message = {key: value for key, value in turn.items() if key not in {"from", "value"}}
    message["role"] = _ALL_ROLES.get(role.lower(), role) if isinstance(role, str) else role
    if "value" in turn:
        message["content"] = turn["value"]
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


def _call(call: Any, id: str) -> dict[str, Any]:
    if not is_object(call) or "name" not in call:
        raise ValueError("a function call must be an object with `name` and `arguments`")
    arguments = call.get("arguments", {})
    text = arguments if isinstance(arguments, str) else to_json(arguments).decode()
    return {"id": id, "type": "function", "function": {"name": call["name"], "arguments": text}}


def _messages(value: Any, role: str = "assistant") -> list[dict[str, Any]]:
    """Return messages: a list of them, one of them, or a text."""
    parsed = parse_cell(value)
    if is_object(parsed):
        parsed = [parsed]
    if is_list(parsed) and all(is_object(turn) for turn in parsed):
        return [_message(turn, index) for index, turn in enumerate(parsed)]
    return [{"role": role, "content": value}]


def _shared_beginning(chosen: str, rejected: str) -> tuple[Any, Any, Any]:
    """Split two texts into what they have in common and the rest of each."""
    if _MARKERS.match(chosen) and _MARKERS.match(rejected):
        return None, _dialogue(chosen), _dialogue(rejected)
    prompt = commonprefix([chosen, rejected])  # noqa: RUF071 — character by character is meant
    prompt = prompt[: max(prompt.rfind(" "), prompt.rfind("\n")) + 1]
    if not prompt.strip():
        raise ValueError("there is no `prompt`, and the answers have no common beginning")
    return prompt.rstrip(), chosen[len(prompt) :], rejected[len(prompt) :]


def _dialogue(text: str) -> list[dict[str, str]]:
    _, *parts = _MARKERS.split(text)
    return [
        {"from": speaker.lower(), "value": turn.strip()}
        for speaker, turn in zip(parts[::2], parts[1::2], strict=True)
    ]


def _joined(data: Fields, first: str, second: str) -> str:
    return "\n\n".join(filter(None, (_text(data, first), _text(data, second, ""))))


def _text(data: Fields, key: str, default: str | None = None) -> str:
    value = data.get(key, default)
    if isinstance(value, bool | int | float):
        return to_json(value).decode()
    if value is None and default is not None:
        return default
    if not isinstance(value, str):
        raise ValueError(f"`{key}` must be text")  # noqa: TRY004 — a broken row, not a wrong call
    return value
