"""Columns of a table: the ones for prompts and completions, by name or by content."""

import re
from collections.abc import Iterator
from typing import Any

from tunesmith._json_types import is_list, is_object
from tunesmith.datasets.rows import Chunk
from tunesmith.datasets.turns import is_turns

__all__ = [
    "choose_columns",
    "column_hint",
    "format_columns",
    "is_header",
    "open_ended_column",
]

_NAMES = {
    "prompt": (
        *("prompt", "question", "query", "problem", "instruction", "input", "inputs"),
        *("text_input", "input_text", "text", "sentence", "review", "message", "utterance"),
        *("document", "article", "user", "human", "request", "source"),
    ),
    "completion": (
        *(
            "completion",
            "solution",
            "answer",
            "response",
            "output",
            "outputs",
            "output_text",
            "reply",
        ),
        *("target", "targets", "assistant", "ideal", "summary", "highlights"),
        *("label", "category", "class", "intent", "sentiment"),
    ),
}
"""Well-known names of columns, the most specific first."""

_ALL_NAMES = {name for names in _NAMES.values() for name in names}
_OPEN_ENDED = {"text", "content"}
"""Columns that are completions without a prompt, if they are the only texts."""

_SPEAKER_NAMES = {"role", "author", "speaker", "from", "sender"}
_SAID_NAMES = {"text", "content", "message", "value", "utterance"}

_LONG_NAME = 40
_LONG_NAME_WORDS = 4
_ID = re.compile(r"[!-~]*\d[!-~]*|https?://\S*|[\d\s:.,/+TZ-]*")
"""Ids, numbers, dates and addresses: no text to learn from, if most of a column's differ."""

_SENTENCE_ENDS = ("?", "!", ".", "。", "\uff1f", "؟")
_MAX_SHOWN = 10


def choose_columns(chunk: Chunk) -> dict[str, str]:
    """Return the places of columns, `prompt` and `completion`, by well-known names.

    Names are in lower case. Of several well-known names the most specific is used. A column of text
    without a second one holds completions.
    """
    if open_ended := open_ended_column(chunk):
        return {open_ended: "completion"}
    columns = {c.strip().lower() for c in _columns(chunk) if _is_scalar(chunk, c)}
    return {
        name: target
        for target, names in _NAMES.items()
        if (name := next((name for name in names if name in columns), None))
    }


def open_ended_column(chunk: Chunk) -> str | None:
    """Return the column of completions in rows without any other text, in lower case."""
    columns = _columns(chunk)
    if columns == ["completion"]:
        return "completion"
    texts = [column.strip().lower() for column in columns if _is_text(chunk, column)]
    others = {name.strip().lower() for name in columns} & (_ALL_NAMES | _SPEAKER_NAMES) - {*texts}
    return texts[0] if len(texts) == 1 and texts[0] in _OPEN_ENDED and not others else None


def column_hint(chunk: Chunk) -> str:
    """Return a hint that names the columns to rename, by their content."""
    columns = _columns(chunk)
    if any(_is_value(column) or _is_repeated(chunk, column) for column in columns):
        return "The first row may be an example: add a header with `prompt` and `completion`."
    names = {column.strip().lower() for column in columns}
    if names & _SPEAKER_NAMES and names & _SAID_NAMES:
        return (
            "Each row is one message of a conversation: join the messages of each conversation, in "
            "their order, to a list `messages`."
        )
    chosen = choose_columns(chunk)
    free = [
        column
        for column in columns
        if column.strip() and column.strip().lower() not in chosen and _is_text(chunk, column)
    ]
    missing = [target for target in _NAMES if target not in chosen.values()]
    for column in columns:
        values = _values(chunk, column)
        if not _is_scalar(chunk, column) and (value := next(values, None)) is not None:
            return _nested_hint(column, value)
    if len(free) < len(missing):
        return (
            "A file needs two columns of text, `prompt` and `completion`, or conversations as "
            "`messages`."
        )
    if len(missing) == 1:
        renames = {max(free, key=lambda column: _length(chunk, column)): missing[0]}
    else:
        # Questions have question marks; otherwise the order decides among the longest texts.
        longest = sorted(free, key=lambda column: -_length(chunk, column))[:2]
        first, second = sorted(longest, key=columns.index)
        if _questions(chunk, second) > _questions(chunk, first):
            first, second = second, first
        renames = {first: "prompt", second: "completion"}
    shown = " and ".join(f"rename={{{old!r}: {new!r}}}" for old, new in renames.items())
    others = ", ".join(f"`{column}`" for column in free if column not in renames)
    lost = f" {others} would be left out; join texts that belong together." if others else ""
    return f"Rename the columns for prompts and completions: {shown}.{lost}"


def _nested_hint(column: str, value: Any) -> str:
    """Return a hint for a column of objects or lists."""
    if is_list(value) and value and all(isinstance(item, str) for item in value):
        return (
            f"`{column}` holds several texts: keep one as `completion`, or a better and a worse "
            "one as `chosen` and `rejected`."
        )
    if is_turns(value):
        return f"`{column}` holds messages: rename={{{column!r}: 'messages'}}."
    item: Any = value[0] if is_list(value) and value else value
    keys = [f"`{key}`" for key in item][:_MAX_SHOWN] if is_object(item) else []
    shown = f"objects or lists ({', '.join(keys)})" if keys else "objects or lists"
    return (
        f"`{column}` holds {shown}: write the text of the answer as `completion` and that of the "
        "question as `prompt`."
    )


def is_header(names: list[str]) -> bool:
    """Return whether well-known names of columns for a prompt and a completion are there."""
    known = {name.strip().lower() for name in names}
    return all(known.intersection(others) for others in _NAMES.values())


def _is_value(column: str) -> bool:
    """Return whether the name of a column looks like a value of a table without a header."""
    name = column.strip()
    is_sentence = len(name.split()) > _LONG_NAME_WORDS or name.endswith(_SENTENCE_ENDS)
    return len(name) > _LONG_NAME or name.isdigit() or is_sentence


def _is_repeated(chunk: Chunk, column: str) -> bool:
    """Return whether the name of a column is a value too, as a label without a header is."""
    return any(str(value).strip() == column.strip() for value in _values(chunk, column))


def format_columns(chunk: Chunk) -> str:
    """Return the names of the columns for a message."""
    columns = _columns(chunk)
    shown = ", ".join(f"`{column}`" for column in columns[:_MAX_SHOWN])
    return f"{shown}, …" if len(columns) > _MAX_SHOWN else shown or "none"


def _columns(chunk: Chunk) -> list[str]:
    return list(dict.fromkeys(key for _, data in chunk for key in data))


def _values(chunk: Chunk, column: str) -> Iterator[Any]:
    return (data[column] for _, data in chunk if data.get(column) is not None)


def _is_scalar(chunk: Chunk, column: str) -> bool:
    return any(not isinstance(value, list | dict) for value in _values(chunk, column))


def _is_text(chunk: Chunk, column: str) -> bool:
    """Return whether a column holds texts that differ, and not numbers such as ids."""
    values = list(_values(chunk, column))
    ids = {str(value) for value in values if _ID.fullmatch(str(value).strip())}
    if len(ids) * 2 > len(values):
        return False
    texts = [value for value in values if isinstance(value, str) and not _is_number(value)]
    return len(texts) * 2 > len(values) and len({*texts}) > 1


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _length(chunk: Chunk, column: str) -> int:
    return sum(len(str(value)) for value in _values(chunk, column))


def _questions(chunk: Chunk, column: str) -> int:
    return sum(str(value).rstrip().endswith("?") for value in _values(chunk, column))
