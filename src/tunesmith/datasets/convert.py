"""Conversion from one format to another, where nothing is lost by it."""

from typing import Any

from tunesmith.datasets.formats import RowNormalizer
from tunesmith.datasets.json_types import is_list, is_object
from tunesmith.datasets.read.log import ReadIssues
from tunesmith.datasets.rows import Chunk, Format, Row

__all__ = ["converter_for", "to_chat", "to_completion"]


def converter_for(format: Format, to: Format, system: str | None, log: ReadIssues) -> RowNormalizer:
    """What turns rows of `format` into rows of `to`.

    Args:
        format: What the rows are.
        to: What they are to be.
        system: The system message to begin conversations with; the other way, the one that may
            be left out of them.
        log: Rows that cannot be converted are broken lines to it.

    Raises:
        ValueError: There is no way from the one to the other.
    """
    if (format, to) == ("completions", "chat"):
        return lambda chunk: [Row(line, to_chat(data, system)) for line, data in chunk]
    if (format, to) != ("chat", "completions"):
        raise ValueError(
            _UNSUPPORTED.get((format, to), _UNSUPPORTED_DEFAULT).format(format=format, to=to)
        )

    def convert(chunk: Chunk) -> Chunk:
        converted: Chunk = []
        for line, data in chunk:
            try:
                converted.append(Row(line, to_completion(data, system)))
            except ValueError as error:
                log.broken_line(line, f"This conversation is no prompt and completion: {error}.")
        return converted

    return convert


_UNSUPPORTED_DEFAULT = "Rows of the format {format} cannot be converted to {to}."
_UNSUPPORTED: dict[tuple[Format, Format], str] = {
    (other, "dpo"): "A preference pair needs a worse answer too: give the columns `prompt`, "
    "`chosen` and `rejected`."
    for other in ("completions", "chat", "reinforcement")
}


def to_chat(data: dict[str, str], system: str | None = None) -> dict[str, Any]:
    """A prompt and its completion as a conversation; an empty prompt is left out."""
    messages = [{"role": "system", "content": system}] if system else []
    if data["prompt"]:
        messages.append({"role": "user", "content": data["prompt"]})
    return {"messages": [*messages, {"role": "assistant", "content": data["completion"]}]}


def to_completion(data: dict[str, Any], system: str | None = None) -> dict[str, str]:
    """A conversation of one question and one answer as a prompt and its completion.

    Raises:
        ValueError: Something would be lost; it says what.
    """
    if others := [key for key in data if key != "messages"]:
        raise ValueError(f"`{others[0]}` would be lost")
    messages = data.get("messages")
    if not is_list(messages) or not all(is_object(m) for m in messages):
        raise ValueError("`messages` is no list of messages")
    if system and messages[:1] == [{"role": "system", "content": system}]:
        messages = messages[1:]
    for message in messages:
        if others := [key for key in message if key not in {"role", "content"}]:
            raise ValueError(f"`{others[0]}` would be lost")
        if not isinstance(message.get("content"), str):
            raise ValueError("its messages are not all text")  # noqa: TRY004 — as above
    match [message.get("role") for message in messages]:
        case ["assistant"]:
            return {"prompt": "", "completion": messages[0]["content"]}
        case ["user", "assistant"]:
            return {"prompt": messages[0]["content"], "completion": messages[1]["content"]}
        case ["system", *_]:
            raise ValueError("its system message would be lost; name it (system=…) if it may be")
        case roles:
            raise ValueError(f"its roles are {', '.join(map(str, roles)) or 'none'}")
