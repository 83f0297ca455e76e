"""Recognition of the format of a file, and the changes that give its rows an exact shape."""

import shlex
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import to_json

from tunesmith._json_types import is_list, is_object
from tunesmith.datasets import convert
from tunesmith.datasets.columns import choose_columns, column_hint, format_columns
from tunesmith.datasets.convert import MESSAGE_LISTS, parse_cell, parse_label
from tunesmith.datasets.read.issues import ReadIssues
from tunesmith.datasets.rows import Chunk, Row, is_table
from tunesmith.errors import DatasetError
from tunesmith.training_rules import COMPLETION_KEYS, Format

__all__ = [
    "SOURCE_FORMATS",
    "RowNormalizer",
    "SourceFormat",
    "converter_for",
    "detect_format",
    "normalizer_for",
]

RowNormalizer = Callable[[Chunk], Chunk]
"""Function that gives rows as they were read the exact shape of their format."""

_NESTED = ("messages", "input", "preferred_output", "non_preferred_output", "tools", "functions")
_SYSTEM = {"system": "system message", "system_prompt": "system message"}
_MEDIA = {key: key for key in ("tools", "images", "videos", "audios")}


@dataclass(frozen=True, slots=True)
class SourceFormat:
    """Format that a file can have.

    Attributes:
        name: The name.
        format: The format of the service that its rows are converted to.
        convert: Converts the fields of a row, with their names in lower case; None for the formats
            of the service.
        mapping: The keys that are read and the place of each in the converted row.
    """

    name: str
    format: Format
    convert: Callable[[Mapping[str, Any]], dict[str, Any]] | None = None
    mapping: Mapping[str, str] = field(default_factory=dict[str, str])


_ALL = (
    SourceFormat("completions", "completions"),
    SourceFormat("chat", "chat"),
    SourceFormat("dpo", "dpo"),
    SourceFormat("reinforcement", "reinforcement"),
    SourceFormat(
        "alpaca",
        "chat",
        convert.alpaca_to_chat,
        {
            "instruction": "user",
            "input": "user",
            "output": "assistant",
            "history": "earlier turns",
            **_SYSTEM,
            **_MEDIA,
        },
    ),
    SourceFormat(
        "dolly",
        "chat",
        convert.dolly_to_chat,
        {"instruction": "user", "context": "user", "response": "assistant", **_SYSTEM},
    ),
    SourceFormat(
        "sharegpt",
        "chat",
        convert.conversation_to_chat,
        {**dict.fromkeys(MESSAGE_LISTS, "messages"), **_SYSTEM, **_MEDIA},
    ),
    SourceFormat(
        "turns",
        "chat",
        convert.turns_to_chat,
        {"user": "user", "assistant": "assistant", **_SYSTEM},
    ),
    SourceFormat(
        "orca",
        "chat",
        convert.orca_to_chat,
        {"question": "user", "response": "assistant", **_SYSTEM},
    ),
    SourceFormat(
        "messages",
        "chat",
        convert.prompt_completion_to_chat,
        {"prompt": "user", "completion": "assistant", **_MEDIA},
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
            **dict.fromkeys(MESSAGE_LISTS, "messages"),
            **_SYSTEM,
            **_MEDIA,
        },
    ),
    SourceFormat(
        "preference",
        "dpo",
        convert.ranking_to_dpo,
        {
            "prompt": "input",
            "question": "input",
            "instruction": "input",
            "input": "input",
            **dict.fromkeys(MESSAGE_LISTS, "input"),
            "chosen": "preferred_output",
            "rejected": "non_preferred_output",
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
        DatasetError: None of them has a known format.
    """
    votes: Counter[str] = Counter()
    votes.update(name for _, data in chunk if (name := _format_of(data)))
    if votes:
        name = votes.most_common(1)[0][0]
        if name == "completions" and {*COMPLETION_KEYS} <= chunk[0].data.keys():
            _reject_unclear_labels(chunk, file)
        return SOURCE_FORMATS[name]
    if {"custom_id", "body"} <= chunk[0].data.keys():
        raise DatasetError(
            "The rows are requests of a batch (`custom_id`, `method`, `url`, `body`), not training "
            "data.",
            file=file,
            line=chunk[0].line,
            remedy=f"Run them: tunesmith batch run {shlex.quote(file or 'FILE')} -o results.jsonl",
        )
    if {"custom_id", "response"} <= chunk[0].data.keys():
        raise DatasetError(
            "The rows are results of a batch (`custom_id`, `response`), without their prompts.",
            file=file,
            line=chunk[0].line,
            remedy="Join each answer with its request to a row with `messages`.",
        )
    if len(choose_columns(chunk)) == len(COMPLETION_KEYS):
        return SOURCE_FORMATS["completions"]
    raise DatasetError(
        f"The data's format is unknown: its fields are {format_columns(chunk)}.",
        file=file,
        line=chunk[0].line,
        remedy=column_hint(chunk),
    )


def _format_of(data: Mapping[str, Any]) -> str | None:  # noqa: PLR0911 — a list of formats
    fields = {key.strip().lower(): value for key, value in data.items()}
    keys = fields.keys()
    if keys & {"preferred_output", "non_preferred_output"}:
        return "dpo"
    if {"chosen", "rejected"} <= keys:
        return "preference"
    label = fields.get("label", fields.get("kto_tag"))
    if _judges_answer(label) and (keys >= {"prompt", "completion"} or keys & {*MESSAGE_LISTS}):
        return "kto"
    if "ideal" in keys and "input" in keys:
        return "evals"
    for key in MESSAGE_LISTS:
        if key in keys:
            return _conversation_format(key, parse_cell(fields[key]))
    if keys >= {"prompt", "completion"}:
        is_messages = is_list(parse_cell(fields["prompt"])) and is_list(
            parse_cell(fields["completion"])
        )
        return "messages" if is_messages else "completions"
    for name, needed in _BY_KEYS.items():
        if needed <= keys:
            return name
    return "completions" if keys & {"prompt", "completion"} else None


def _judges_answer(label: Any) -> bool:
    """Return whether a label marks good and bad answers; 0 and 1 can be other labels too."""
    return parse_label(label) is not None and str(label).strip() not in {"0", "1"}


def _reject_unclear_labels(chunk: Chunk, file: str | None) -> None:
    """Raise an error for prompts and completions whose labels may mark bad answers."""
    for key in ("label", "kto_tag"):
        labels = {str(data.get(key)).strip() for _, data in chunk}
        if labels == {"0", "1"}:
            raise DatasetError(
                f"The column `{key}` may mark bad answers, which a model must not learn.",
                file=file,
                line=chunk[0].line,
                field=key,
                remedy="Leave out the answers with 0: format='kto'. If it means something else, "
                "leave out the column: format='completions'.",
            )


_BY_KEYS = {
    "alpaca": {"instruction", "output"},
    "dolly": {"instruction", "response"},
    "turns": {"user", "assistant"},
    "orca": {"system_prompt", "question", "response"},
}


def _conversation_format(key: str, messages: Any) -> str:
    first = messages[0] if is_list(messages) and messages else None
    if key != "messages" or (is_object(first) and "from" in first and "role" not in first):
        return "sharegpt"
    last: Any = messages[-1] if is_list(messages) and messages else None
    # A role can be anything here, even a list, so that a set would not do.
    ends_with_question = is_object(last) and last.get("role") in ("user", "developer", "system")
    return "reinforcement" if ends_with_question else "chat"


def normalizer_for(source: SourceFormat, chunk: Chunk, issues: ReadIssues) -> RowNormalizer:
    """Return the function that gives rows the shape of a format; changes are noted in `issues`."""
    if source.name == "completions":
        return _completions_normalizer(chunk, issues)
    if source.convert is None:
        return lambda chunk: [Row(line, _parse_nested(data, issues)) for line, data in chunk]
    names = {key.strip().lower() for _, data in chunk for key in data}
    issues.mapping = {key: place for key, place in source.mapping.items() if key in names}
    shown = ", ".join(f"{key} → {place}" for key, place in issues.mapping.items())
    issues.conversions.append(f"{source.name} to {source.format} ({shown})")
    return _row_converter(source.name, source.convert, source.mapping, issues)


def _row_converter(
    name: str,
    convert_row: Callable[[Mapping[str, Any]], dict[str, Any]],
    mapping: Mapping[str, str],
    issues: ReadIssues,
) -> RowNormalizer:
    def normalize(chunk: Chunk) -> Chunk:
        converted: Chunk = []
        for line, data in chunk:
            fields = {key.strip().lower(): value for key, value in data.items()}
            try:
                converted.append(Row(line, convert_row(fields)))
            except convert.Rejected:
                issues.rejected.add(line)
            except (ValueError, KeyError) as error:
                reason = f"`{error.args[0]}` is missing" if isinstance(error, KeyError) else error
                issues.broken_line(line, f"This {name} row cannot be converted: {reason}.")
                continue
            for key in fields:
                if key not in mapping:
                    issues.count_extra(key)
        return converted

    return normalize


def _parse_nested(data: dict[str, Any], issues: ReadIssues) -> dict[str, Any]:
    """Parse conversations that are JSON in a cell of a table."""
    if not any(isinstance(data.get(key), str) for key in _NESTED):
        return data
    parsed = {key: parse_cell(v) if key in _NESTED else v for key, v in data.items()}
    if parsed != data:
        issues.conversions.append("JSON in text to objects")
    return parsed


def _completions_normalizer(first: Chunk, issues: ReadIssues) -> RowNormalizer:
    """Return the function that reduces rows to the texts `prompt` and `completion`."""
    if is_table(first):
        names = {str(key): str(key) for key in COMPLETION_KEYS}
    else:
        names = choose_columns(first)
        _require_columns(first, names, issues)

    def normalize(chunk: Chunk) -> Chunk:
        if is_table(chunk):
            return chunk
        return [row for raw in chunk if (row := _normalize_row(raw, names, issues))]

    return normalize


def _require_columns(chunk: Chunk, names: Mapping[str, str], issues: ReadIssues) -> None:
    only_completions = all([*data] == ["completion"] for _, data in chunk)
    for column in COMPLETION_KEYS:
        if column not in names.values() and not only_completions:
            raise DatasetError(
                f"The column `{column}` is missing; there are {format_columns(chunk)}.",
                file=issues.file,
                line=chunk[0].line,
                field=column,
                remedy=column_hint(chunk),
            )


def _normalize_row(row: Row, names: Mapping[str, str], issues: ReadIssues) -> Row | None:
    texts = {"prompt": "", "completion": ""}
    missing = {*texts}
    for key, value in row.data.items():
        column = names.get(key.strip().lower())
        if column is None or (column != key and column in row.data):
            issues.count_extra(key)
            continue
        if column != key:
            issues.renamed[key] = issues.mapping[key] = column
        if isinstance(value, str):
            texts[column] = value
        elif isinstance(value, list | dict):
            issues.broken_line(
                row.line,
                f"`{column}` must be text; here it is an object or a list.",
                excerpt=to_json(value).decode(),
                field=column,
            )
            return None
        elif value is not None:
            texts[column] = to_json(value).decode()
            issues.not_text.add(row.line, field=column, excerpt=texts[column])
        if value is not None:
            missing.discard(column)
    for column in sorted(missing):
        issues.not_text.add(row.line, field=column)
    return Row(row.line, texts)


def converter_for(
    format: Format, target: Format, system: str | None, issues: ReadIssues
) -> RowNormalizer:
    """Return the function that converts rows from one format of the service to another.

    Args:
        format: The format of the rows.
        target: The format to convert them to.
        system: The system message to begin conversations with; for the opposite direction, the one
            that is left out.
        issues: Rows that cannot be converted are broken lines.

    Raises:
        ValueError: There is no such conversion.
    """
    if (format, target) == ("completions", "chat"):
        return lambda chunk: [Row(line, convert.to_chat(data, system)) for line, data in chunk]
    if target == "dpo":
        raise ValueError(
            "A preference pair needs a better and a worse answer to the same prompt, and each row "
            "has one answer. Join them to rows with `prompt`, `chosen` and `rejected`."
        )
    if (format, target) != ("chat", "completions"):
        raise ValueError(f"Rows of the format {format} cannot be converted to {target}.")

    def to_completions(chunk: Chunk) -> Chunk:
        converted: Chunk = []
        for line, data in chunk:
            try:
                converted.append(Row(line, convert.to_completion(data, system)))
            except ValueError as error:
                issues.broken_line(line, f"This conversation cannot become a prompt: {error}.")
        return converted

    return to_completions
