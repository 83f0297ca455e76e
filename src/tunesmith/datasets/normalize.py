"""Changes that give the rows of a file the exact shape of a format."""

from collections.abc import Callable, Mapping
from typing import Any

from pydantic_core import to_json

from tunesmith.datasets import convert
from tunesmith.datasets.columns import (
    choose_columns,
    column_hint,
    format_columns,
    open_ended_column,
)
from tunesmith.datasets.formats import SourceFormat
from tunesmith.datasets.read.issues import ReadIssues
from tunesmith.datasets.rows import Chunk, Row, is_table
from tunesmith.datasets.turns import parse_cell
from tunesmith.errors import DatasetError
from tunesmith.training_rules import COMPLETION_KEYS, Format

__all__ = ["RowNormalizer", "converter_for", "normalizer_for"]

RowNormalizer = Callable[[Chunk], Chunk]
"""Function that gives rows as they were read the exact shape of their format."""

_NESTED = ("messages", "input", "preferred_output", "non_preferred_output", "tools", "functions")


def normalizer_for(source: SourceFormat, chunk: Chunk, issues: ReadIssues) -> RowNormalizer:
    """Return the function that gives rows the shape of a format; changes are noted in `issues`."""
    if source.name == "completions":
        return _completions_normalizer(chunk, issues)
    if source.convert is None:
        return lambda chunk: [Row(line, _parse_nested(data, issues)) for line, data in chunk]
    names = {key.strip().lower(): key for _, data in chunk for key in data}
    issues.mapping = {names[key]: place for key, place in source.mapping.items() if key in names}
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
    is_open_ended = open_ended_column(chunk) is not None
    for column in COMPLETION_KEYS:
        if column not in names.values() and not is_open_ended:
            fields = format_columns(chunk)
            is_there = f"`{column}`" in fields
            raise DatasetError(
                f"The column `{column}` {'holds no text' if is_there else 'is missing'}; there are "
                f"{fields}.",
                file=issues.file,
                line=chunk[0].line,
                field=column,
                remedy=column_hint(chunk),
            )


def _normalize_row(row: Row, names: Mapping[str, str], issues: ReadIssues) -> Row | None:
    texts = {"prompt": "", "completion": ""}
    missing = {*names.values()}
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
