"""Conversions of open data formats to the formats of the service."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic_core import to_json

from tunesmith._json_types import is_list, is_object, json_type_name
from tunesmith.datasets.checks.affixes import common_prefix
from tunesmith.datasets.turns import (
    MESSAGE_LISTS,
    is_turns,
    parse_cell,
    plain_text,
    read_message,
    read_transcript,
    read_turns,
)
from tunesmith.training_rules import PAIR_KEYS

__all__ = [
    "HISTORY_KEYS",
    "OUTPUT_KEYS",
    "PREFERENCES",
    "SYSTEM_KEYS",
    "TRANSCRIPT_KEYS",
    "Rejected",
    "conversation_key",
    "conversation_to_chat",
    "evals_to_chat",
    "exchange_converter",
    "kto_to_chat",
    "parse_label",
    "prompt_completion_to_chat",
    "ranking_to_dpo",
    "to_chat",
    "to_completion",
    "transcript_to_chat",
]

Fields = Mapping[str, Any]

SYSTEM_KEYS = (
    *("system", "system_prompt", "system_message"),
    *("systeminstruction", "system_instruction"),
)
"""Keys that can hold a system message."""

HISTORY_KEYS = ("history", "chat_history")
"""Keys that can hold earlier turns."""

OUTPUT_KEYS = PAIR_KEYS[1:]
PREFERENCES = (
    ("chosen", "rejected"),
    ("better", "worse"),
    ("preferred", "dispreferred"),
    OUTPUT_KEYS,
)
"""Keys of the better and the worse answer."""

TRANSCRIPT_KEYS = ("text", "transcript", "input", *MESSAGE_LISTS)
"""Keys that can hold a whole conversation as one text."""

_LABELS = {
    **dict.fromkeys(("true", "desirable", "good", "chosen", "1"), True),
    **dict.fromkeys(("false", "undesirable", "bad", "rejected", "0"), False),
}
_CHAT_EXTRAS = ("tools", "images", "videos", "audios", "parallel_tool_calls")


class Rejected(Exception):  # noqa: N818 — not an error
    """Signal for a row that is labelled as a bad answer."""


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


def exchange_converter(places: Mapping[str, str]) -> Callable[[Fields], dict[str, Any]]:
    """Return a conversion of a question and its answer, which are fields of their own.

    Args:
        places: The place of each key. The texts of all keys of the user are joined.
    """
    questions = [key for key, place in places.items() if place == "user"]
    answers = [key for key, place in places.items() if place == "assistant"]

    def exchange_to_chat(data: Fields) -> dict[str, Any]:
        prompts = [_text(data, key) for key in questions if data.get(key) is not None]
        present = [key for key in answers if data.get(key) is not None]
        if not prompts or not present:
            missing = answers if prompts else questions
            raise ValueError(f"`{next((k for k in missing if k in data), missing[0])}` is missing")
        if len(present) > 1:
            raise ValueError(f"`{present[0]}` and `{present[1]}` are two answers")
        earlier = [turn for key in HISTORY_KEYS if data.get(key) for turn in read_turns(data[key])]
        pair = {
            "prompt": "\n\n".join(filter(None, prompts)),
            "completion": _text(data, present[0]),
        }
        return _chat(data, [*earlier, *to_chat(pair)["messages"]])

    return exchange_to_chat


def evals_to_chat(data: Fields) -> dict[str, Any]:
    """Convert `input` and `ideal`, whose first answer is taken."""
    prompt, answers = parse_cell(data["input"]), data["ideal"]
    answer = answers[0] if is_list(answers) and answers else answers
    messages = prompt if is_list(prompt) else [{"role": "user", "content": prompt}]
    return _chat({}, [*messages, {"role": "assistant", "content": answer}])


def prompt_completion_to_chat(data: Fields) -> dict[str, Any]:
    """Convert a prompt and its completion of which one is messages at least, as TRL has them."""
    prompt = _first(data, ("prompt", "input"))
    answer = _first(data, ("completion", "response", "output"))
    return _chat(data, [*_messages(prompt, "user"), *_messages(answer)])


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
    return conversation_to_chat(data) if conversation_key(data) else prompt_completion_to_chat(data)


def conversation_key(data: Fields) -> str | None:
    """Return the key that holds the turns of a conversation."""
    for key in MESSAGE_LISTS:
        if key in data and (key in MESSAGE_LISTS[:3] or is_turns(parse_cell(data[key]))):
            return key
    return None


def conversation_to_chat(data: Fields) -> dict[str, Any]:
    """Convert the turns of a conversation, such as those of ShareGPT (`from`, `value`)."""
    key = conversation_key(data)
    return _chat(data, read_turns(data[key] if key else None))


def transcript_to_chat(data: Fields) -> dict[str, Any]:
    """Convert a conversation that is one text, with the marks of a template."""
    return _chat(data, read_turns(_first(data, TRANSCRIPT_KEYS)))


def ranking_to_dpo(data: Fields) -> dict[str, Any]:
    """Convert `chosen` and `rejected`, texts or messages, with or without a `prompt`."""
    keys = next((pair for pair in PREFERENCES if data.keys() >= {*pair}), PREFERENCES[0])
    chosen, rejected = (parse_cell(data[key]) for key in keys)
    lists = [key for key in (conversation_key(data),) if key]
    key = next((key for key in ("prompt", "question", "query", *lists) if key in data), None)
    prompt = None if key is None else parse_cell(data[key])
    if key in lists and is_list(prompt):
        prompt = read_turns(prompt)
    elif key is None and data.keys() & {"instruction", "input"}:
        texts = [_text(data, key) for key in ("instruction", "input") if data.get(key) is not None]
        prompt = "\n\n".join(filter(None, texts))
    if isinstance(chosen, str) and isinstance(rejected, str) and prompt is None:
        prompt, chosen, rejected = _shared_beginning(chosen, rejected)
    better, worse = _messages(chosen), _messages(rejected)
    if len(better) > 1 and len(worse) > 1 and not is_list(prompt):
        # The answers repeat the conversation that comes before them.
        prompt, better, worse = better[:-1], better[-1:], worse[-1:]
    context = _chat(data, _messages(prompt, "user"))
    return {"input": context, "preferred_output": better, "non_preferred_output": worse}


def _first(data: Fields, keys: Sequence[str]) -> Any:
    """Return the value of the first key that is there."""
    return data[next((key for key in keys if key in data), keys[0])]


def _chat(data: Fields, messages: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a conversation with the system message, tools and media of the row."""
    for key in SYSTEM_KEYS:
        if not data.get(key):
            continue
        text = plain_text(parse_cell(data[key]))
        if text is None:
            raise ValueError(f"`{key}` must be text")
        system = {"role": "system", "content": text.removeprefix("SYSTEM:").strip()}
        if system["content"] and system not in messages[:1]:
            messages = [system, *messages]
    chat: dict[str, Any] = {"messages": messages}
    for key in _CHAT_EXTRAS:
        if data.get(key):
            chat[key] = _tools(data[key]) if key == "tools" else data[key]
    return chat


def _tools(value: Any) -> Any:
    tools = parse_cell(value)
    if not is_list(tools):
        return tools
    return [
        {"type": "function", "function": tool} if is_object(tool) and "name" in tool else tool
        for tool in tools
    ]


def _messages(value: Any, role: str = "assistant") -> list[dict[str, Any]]:
    """Return messages: a list of them, one of them, or a text."""
    parsed = parse_cell(value)
    if is_object(parsed):
        parsed = [parsed]
    if is_list(parsed) and all(is_object(turn) for turn in parsed):
        return [read_message(turn, index) for index, turn in enumerate(parsed)]
    return [{"role": role, "content": value}]


def _shared_beginning(chosen: str, rejected: str) -> tuple[Any, Any, Any]:
    """Split two texts into what they have in common and the rest of each."""
    better, worse = read_transcript(chosen), read_transcript(rejected)
    if better and worse:
        return None, better, worse
    prompt = common_prefix([chosen, rejected])
    prompt = prompt[: max(prompt.rfind(" "), prompt.rfind("\n")) + 1]
    if not prompt.strip():
        raise ValueError("there is no `prompt`, and the answers have no common beginning")
    return prompt.rstrip(), chosen[len(prompt) :], rejected[len(prompt) :]


def _text(data: Fields, key: str) -> str:
    """Return the text of a field; of several right `answers` the first."""
    value = parse_cell(data[key]) if key == "answers" else data[key]
    while key == "answers" and (is_list(value) or is_object(value)):
        value = value.get("text") if is_object(value) else next(iter(value), None)
    if isinstance(value, bool | int | float):
        return to_json(value).decode()
    if not isinstance(value, str):
        actual = "it is missing" if value is None else f"here it is {json_type_name(value)}"
        raise ValueError(f"`{key}` must be text; {actual}")  # noqa: TRY004 — a broken row
    return value
