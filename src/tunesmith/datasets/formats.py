"""Formats that files can have, and the recognition of the one that a file has."""

import shlex
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tunesmith._json_types import is_list, is_object
from tunesmith.datasets import convert
from tunesmith.datasets.columns import (
    choose_columns,
    column_hint,
    format_columns,
    open_ended_column,
)
from tunesmith.datasets.convert import (
    HISTORY_KEYS,
    OUTPUT_KEYS,
    PREFERENCES,
    SYSTEM_KEYS,
    TRANSCRIPT_KEYS,
    conversation_key,
    parse_label,
)
from tunesmith.datasets.rows import Chunk
from tunesmith.datasets.turns import MESSAGE_LISTS, is_turns, parse_cell, read_transcript
from tunesmith.errors import DatasetError
from tunesmith.training_rules import CHAT_KEYS, COMPLETION_KEYS, Format

__all__ = ["SOURCE_FORMATS", "SourceFormat", "detect_format", "has_known_format"]

_Fields = Mapping[str, Any]
_Keys = tuple[str, ...]

_SYSTEM = dict.fromkeys(SYSTEM_KEYS, "system message")
_HISTORY = dict.fromkeys(HISTORY_KEYS, "earlier turns")
_MEDIA = {key: key for key in ("tools", "images", "videos", "audios")}
_MESSAGES = dict.fromkeys(MESSAGE_LISTS, "messages")
_QUESTIONS = ("user", "prompt", "question", "query", "message", "instruction", "input")
_ANSWERS = ("assistant", "completion", "answer", "response", "output")
_MEDIA_KEYS = ("image", "images", "video", "videos", "audio", "audios")
_MEANINGFUL = {
    *("context", "passage", "choices", "options", "tools", "functions"),
    *(*_MEDIA_KEYS, *SYSTEM_KEYS, *HISTORY_KEYS),
}
"""Keys without which an example means something else."""


@dataclass(frozen=True, slots=True)
class SourceFormat:
    """Format that a file can have.

    Attributes:
        name: The name.
        format: The format of the service that its rows are converted to.
        convert: Converts the fields of a row, with their names in lower case; None for the formats
            of the service.
        mapping: The keys that are read and the place of each in the converted row.
        needs: Groups of keys; a row with a value for a key of each group has the format. Empty if
            more than keys decides.
    """

    name: str
    format: Format
    convert: Callable[[_Fields], dict[str, Any]] | None = None
    mapping: Mapping[str, str] = field(default_factory=dict[str, str])
    needs: tuple[_Keys, ...] = ()


def _exchange(name: str, user: _Keys, assistant: _Keys, *needs: _Keys) -> SourceFormat:
    """Return a format whose questions and answers are fields of their own."""
    mapping = {
        **dict.fromkeys(user, "user"),
        **dict.fromkeys(assistant, "assistant"),
        **_HISTORY,
        **_SYSTEM,
        **_MEDIA,
    }
    return SourceFormat(name, "chat", convert.exchange_converter(mapping), mapping, needs)


_ALL = (
    SourceFormat("completions", "completions"),
    SourceFormat("chat", "chat"),
    SourceFormat("dpo", "dpo"),
    SourceFormat("reinforcement", "reinforcement"),
    _exchange(
        "alpaca", ("instruction", "input", "context"), ("output",), ("instruction",), ("output",)
    ),
    _exchange(
        "dolly",
        ("instruction", "context", "input"),
        ("response",),
        ("instruction",),
        ("response",),
    ),
    _exchange(
        "squad",
        ("context", "passage", "question"),
        ("answers", "answer"),
        ("question",),
        ("context", "passage"),
        ("answers", "answer"),
    ),
    _exchange(
        "orca", ("question",), ("response",), ("system_prompt",), ("question",), ("response",)
    ),
    _exchange("turns", ("user",), ("assistant",), ("user",), ("assistant",)),
    _exchange(
        "exchange", _QUESTIONS, _ANSWERS, _QUESTIONS, _ANSWERS, (*SYSTEM_KEYS, *HISTORY_KEYS)
    ),
    SourceFormat(
        "sharegpt", "chat", convert.conversation_to_chat, {**_MESSAGES, **_SYSTEM, **_MEDIA}
    ),
    SourceFormat(
        "transcript",
        "chat",
        convert.transcript_to_chat,
        {**dict.fromkeys(TRANSCRIPT_KEYS, "messages"), **_SYSTEM},
    ),
    SourceFormat(
        "messages",
        "chat",
        convert.prompt_completion_to_chat,
        {
            **dict.fromkeys(("prompt", "input"), "user"),
            **dict.fromkeys(("completion", "response", "output"), "assistant"),
            **_SYSTEM,
            **_MEDIA,
        },
    ),
    SourceFormat(
        "evals", "chat", convert.evals_to_chat, {"input": "messages", "ideal": "assistant"}
    ),
    SourceFormat(
        "kto",
        "chat",
        convert.kto_to_chat,
        {
            "prompt": "user",
            "completion": "assistant",
            "label": "selection of good answers",
            "kto_tag": "selection of good answers",
            **_MESSAGES,
            **_SYSTEM,
            **_MEDIA,
        },
    ),
    SourceFormat(
        "preference",
        "dpo",
        convert.ranking_to_dpo,
        {
            **dict.fromkeys(("prompt", "question", "query", "instruction", "input"), "input"),
            **dict.fromkeys(MESSAGE_LISTS, "input"),
            **{chosen: OUTPUT_KEYS[0] for chosen, _ in PREFERENCES},
            **{rejected: OUTPUT_KEYS[1] for _, rejected in PREFERENCES},
            **_SYSTEM,
            "tools": "tools",
        },
    ),
)
SOURCE_FORMATS = {source.name: source for source in _ALL}
"""Every format of a file, by name."""


def detect_format(chunk: Chunk, file: str | None) -> SourceFormat:
    """Return the format that most of the first rows have.

    Raises:
        DatasetError: None of them has a known format, or something would be lost that changes the
            meaning of the examples.
    """
    votes = Counter(name for _, data in chunk if (name := _format_of(data)))
    if votes:
        source = SOURCE_FORMATS[votes.most_common(1)[0][0]]
    else:
        _reject_batch_files(chunk, file)
        if len(choose_columns(chunk)) < len(COMPLETION_KEYS) and not open_ended_column(chunk):
            raise DatasetError(
                f"The data's format is unknown: its fields are {format_columns(chunk)}.",
                file=file,
                line=chunk[0].line,
                remedy=column_hint(chunk),
            )
        source = SOURCE_FORMATS["completions"]
    if source.name == "completions":
        _reject_unclear_labels(chunk, file)
    if source.name == "completions" or source.convert:
        _reject_lost_meaning(source, chunk, file)
    return source


def has_known_format(data: _Fields) -> bool:
    """Return whether a row has the keys of a format."""
    return _format_of(data) is not None


def _format_of(data: _Fields) -> str | None:  # noqa: PLR0911 — a list of formats
    fields = {key.strip().lower(): value for key, value in data.items()}
    keys = fields.keys()
    if keys & {*OUTPUT_KEYS}:
        is_text = any(isinstance(parse_cell(fields.get(key)), str) for key in OUTPUT_KEYS)
        return "preference" if is_text and keys >= {*OUTPUT_KEYS} else "dpo"
    if any(keys >= {*pair} for pair in PREFERENCES):
        return "preference"
    list_key = conversation_key(fields)
    if _judges_answer(fields) and (keys >= {"prompt", "completion"} or list_key):
        return "kto"
    if "ideal" in keys and "input" in keys:
        return "evals"
    if list_key:
        return _conversation_format(list_key, fields)
    if _has_messages(fields):
        return "messages"
    for source in _ALL:
        if source.needs and all(_has_value(fields, group) for group in source.needs):
            return source.name
    if not keys & {*_ANSWERS, "label"} and any(
        isinstance(fields.get(key), str) and read_transcript(fields[key]) for key in TRANSCRIPT_KEYS
    ):
        return "transcript"
    return "completions" if keys & {*COMPLETION_KEYS} else None


def _has_value(fields: _Fields, keys: _Keys) -> bool:
    return any(fields.get(key) not in (None, "", []) for key in keys)


def _has_messages(fields: _Fields) -> bool:
    """Return whether the prompt or the completion is a list of messages."""
    pairs = (("prompt", "completion"), ("prompt", "response"), ("input", "output"))
    return any(
        prompt in fields
        and answer in fields
        and any(_is_messages(parse_cell(fields[key])) for key in (prompt, answer))
        for prompt, answer in pairs
    )


def _is_messages(value: Any) -> bool:
    return is_turns(value) and all(map(is_object, value))


def _judges_answer(fields: _Fields) -> bool:
    """Return whether a label marks good and bad answers; 0 and 1 can be other labels too."""
    label = fields.get("label", fields.get("kto_tag"))
    return parse_label(label) is not None and str(label).strip() not in {"0", "1"}


def _conversation_format(key: str, fields: _Fields) -> str:
    messages = parse_cell(fields[key])
    if isinstance(messages, str) and read_transcript(messages):
        return "transcript"
    if key != "messages" or (is_turns(messages) and not _has_roles(messages[0])):
        return "sharegpt"
    roles = [turn.get("role") for turn in messages if is_object(turn)] if is_list(messages) else []
    if not roles or roles[-1] not in ("user", "developer", "system"):
        return "chat"
    # Without a reference for a grader, answers before the last question are what is to be learned.
    has_reference = bool(fields.keys() - {key, *CHAT_KEYS})
    return "reinforcement" if has_reference or "assistant" not in roles else "chat"


def _has_roles(turn: Any) -> bool:
    return is_object(turn) and "role" in turn


def _reject_batch_files(chunk: Chunk, file: str | None) -> None:
    """Raise an error for the requests and the results of a batch."""
    keys = chunk[0].data.keys()
    if keys >= {"custom_id", "body"}:
        raise DatasetError(
            "The rows are requests of a batch (`custom_id`, `method`, `url`, `body`), not training "
            "data.",
            file=file,
            line=chunk[0].line,
            remedy=f"Run them: tunesmith batch run {shlex.quote(file or 'FILE')} -o results.jsonl",
        )
    if keys >= {"custom_id", "response"}:
        raise DatasetError(
            "The rows are results of a batch (`custom_id`, `response`), without their prompts.",
            file=file,
            line=chunk[0].line,
            remedy="Join each answer with its request to a row with `messages`.",
        )


def _reject_unclear_labels(chunk: Chunk, file: str | None) -> None:
    """Raise an error for prompts and completions whose labels may mark bad answers."""
    if not {*COMPLETION_KEYS} <= chunk[0].data.keys():
        return
    for key in ("label", "kto_tag"):
        labels = {str(data.get(key)).strip() for _, data in chunk}
        if len(labels) == 2:  # noqa: PLR2004 — good and bad
            is_number = labels == {"0", "1"}
            good_only = (
                "Leave out the answers with 0: format='kto'."
                if is_number
                else "To leave out bad answers, write the labels as true and false."
            )
            raise DatasetError(
                f"The column `{key}` may mark bad answers, which a model must not learn.",
                file=file,
                line=chunk[0].line,
                field=key,
                remedy=f"{good_only} If it means something else, leave out the column: "
                "format='completions'.",
            )


def _placement(key: str) -> str:
    if key in _MEDIA_KEYS:
        return "Move images into the messages, as `image_url` parts with URLs"
    if key in {"label", "kto_tag"}:
        return "Leave out the bad answers"
    return "Join it with the question or the answer"


def _reject_lost_meaning(source: SourceFormat, chunk: Chunk, file: str | None) -> None:
    """Raise an error for columns that the format leaves out, although the examples need them."""
    read = source.mapping or choose_columns(chunk)
    for line, data in chunk:
        fields = {key.strip().lower(): value for key, value in data.items()}
        lost = [key for key in _MEANINGFUL if key not in read and _has_value(fields, (key,))]
        if _judges_answer(fields) and not read.keys() & {"label", "kto_tag"}:
            lost.append("label" if "label" in fields else "kto_tag")
        if lost:
            raise DatasetError(
                f"The examples depend on the column `{min(lost)}`, which the format "
                f"{source.name} leaves out.",
                file=file,
                line=line,
                field=min(lost),
                remedy=f"{_placement(min(lost))}. If it does not matter, leave it out: "
                f"format={source.name!r}.",
            )
