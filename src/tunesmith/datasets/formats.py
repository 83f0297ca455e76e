"""Formats of training data: which one rows have, and how they take its exact shape."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from pydantic_core import from_json, to_json

from tunesmith.datasets.json_types import is_list, is_object
from tunesmith.datasets.read.log import ReadIssues
from tunesmith.datasets.rows import Chunk, Format, Row, is_table
from tunesmith.errors import DatasetError

__all__ = ["TOOL_KEYS", "RowNormalizer", "detect_format", "normalize_completions", "normalizer_for"]

RowNormalizer = Callable[[Chunk], Chunk]
"""Gives rows as they were read the exact shape of their format."""

TOOL_KEYS = frozenset({"tools", "functions", "parallel_tool_calls", "function_call"})
_COMPLETIONS = ("prompt", "completion")
_PAIR = ("prompt", "chosen", "rejected")
_NESTED = ("messages", "input", "preferred_output", "non_preferred_output", *TOOL_KEYS)


def detect_format(chunk: Chunk, file: str | None) -> Format:
    """Tell the format that most of the first rows have.

    Raises:
        DatasetError: None of them has one that is known.
    """
    votes: Counter[Format] = Counter()
    votes.update(vote for _, data in chunk if (vote := _format_of(data)))
    if votes:
        return votes.most_common(1)[0][0]
    columns = _format_fields(list(dict.fromkeys(key for _, data in chunk for key in data)))
    raise DatasetError(
        f"The data's format is unknown: its fields are {columns}.",
        file=file,
        line=chunk[0].line,
        remedy="Rename what holds the question to `prompt` and what holds the answer to "
        "`completion` (rename={'question': 'prompt'}), or give conversations as `messages`.",
    )


def _format_of(data: Mapping[str, Any]) -> Format | None:
    keys = {key.strip().lower() for key in data}
    if keys & {"preferred_output", "non_preferred_output"} or {"chosen", "rejected"} <= keys:
        return "dpo"
    if "messages" in keys:
        return "reinforcement" if _is_question(data) else "chat"
    return "completions" if keys & {"prompt", "completion"} else None


def _is_question(data: Mapping[str, Any]) -> bool:
    messages = _parsed(data.get("messages"))
    if not is_list(messages) or not messages or not is_object(messages[-1]):
        return False
    # A role can be anything here, even a list, which no set can be asked for.
    asks = messages[-1].get("role") in ("user", "developer", "system")
    return asks and any(key not in TOOL_KEYS and key != "messages" for key in data)


def normalizer_for(format: Format, log: ReadIssues) -> RowNormalizer:
    """What gives rows the shape of `format`; what it has to change is noted in `log`."""
    if format == "completions":
        return normalize_completions(log)
    return lambda chunk: [Row(line, _normalize_nested(data, format)) for line, data in chunk]


def normalize_completions(log: ReadIssues) -> RowNormalizer:
    """Give each row the keys `prompt` and `completion`, in this order, with texts."""
    looked_for_columns = False

    def shape(chunk: Chunk) -> Chunk:
        nonlocal looked_for_columns
        if not looked_for_columns:
            _require_columns(chunk, log)
            looked_for_columns = True
        if is_table(chunk):
            return chunk
        return [mended for row in chunk if (mended := _normalize_row(row, log))]

    return shape


def _require_columns(chunk: Chunk, log: ReadIssues) -> None:
    fields = dict.fromkeys(key for _, data in chunk for key in data)
    lowered = {field.strip().lower() for field in fields}
    for column in _COMPLETIONS:
        if column not in lowered:
            raise DatasetError(
                f"The column `{column}` is missing; there are {_format_fields(list(fields))}.",
                file=log.file,
                line=chunk[0].line,
                field=column,
                remedy=f"Rename the right one: rename={{'{next(iter(fields), 'text')}': "
                f"'{column}'}}.",
            )


def _normalize_row(row: Row, log: ReadIssues) -> Row | None:
    texts = {"prompt": "", "completion": ""}
    for key, value in row.data.items():
        column = key.strip().lower()
        if column not in texts or (column != key and column in row.data):
            if key not in log.extra:
                log.extra.append(key)
            continue
        if column != key:
            log.renamed[key] = column
        if isinstance(value, str):
            texts[column] = value
        elif isinstance(value, list | dict):
            log.broken_line(
                row.line,
                f"`{column}` is to be text, and here it is an object or a list.",
                excerpt=to_json(value).decode(),
                field=column,
            )
            return None
        elif value is not None:
            texts[column] = to_json(value).decode()
            log.not_text.add(row.line, field=column, excerpt=texts[column])
    return Row(row.line, texts)


def _normalize_nested(data: dict[str, Any], format: Format) -> dict[str, Any]:
    if format == "dpo":
        pair = {key.strip().lower(): value for key, value in data.items()}
        if {"chosen", "rejected"} <= pair.keys():
            return _preference(pair)
    if any(isinstance(data.get(key), str) for key in _NESTED):
        # Tables hold conversations as JSON in a cell.
        return {key: _parsed(v) if key in _NESTED else v for key, v in data.items()}
    return data


def _preference(pair: Mapping[str, Any]) -> dict[str, Any]:
    """A row of `prompt`, `chosen` and `rejected`, texts or messages, as the API wants it."""
    prompt, chosen, rejected = (_parsed_messages(pair.get(key)) for key in _PAIR)
    return {
        "input": {"messages": prompt if is_list(prompt) else [{"role": "user", "content": prompt}]},
        "preferred_output": _answer(chosen),
        "non_preferred_output": _answer(rejected),
    }


def _answer(value: Any) -> Any:
    return value if is_list(value) else [{"role": "assistant", "content": value}]


def _parsed_messages(value: Any) -> Any:
    parsed = _parsed(value)
    return parsed if is_list(parsed) else value


def _parsed(value: Any) -> Any:
    if not isinstance(value, str) or not value.lstrip().startswith(("[", "{", "true", "false")):
        return value
    try:
        return from_json(value)
    except ValueError:
        return value


def _format_fields(fields: list[str]) -> str:
    shown = ", ".join(f"`{field}`" for field in fields[:10])
    return f"{shown}, …" if len(fields) > 10 else shown or "none"  # noqa: PLR2004 — see the slice
