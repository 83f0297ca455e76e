"""Objects that hold all rows of a file: lists under a key, columns, an index."""

import shlex
from collections.abc import Iterator
from itertools import chain, count
from typing import Any

from tunesmith._json_types import is_list, is_object
from tunesmith.datasets.convert import conversation_key
from tunesmith.datasets.formats import has_known_format
from tunesmith.datasets.read.issues import ReadIssues
from tunesmith.datasets.rows import Row
from tunesmith.errors import DatasetError

__all__ = ["extract_command", "unwrap_rows"]

_SPLITS = ("train", "training")
_OTHER_SPLITS = {"test", "testing", "validation", "valid", "val", "dev", "eval"}
_ROWS = ("rows", "data", "examples", "items", "records")


def unwrap_rows(rows: Iterator[Row], issues: ReadIssues) -> Iterator[Row]:
    """Yield the rows, or those that the only one holds, such as `{"data": […]}`.

    Raises:
        DatasetError: It holds several lists of rows.
    """
    first = next(rows, None)
    second = next(rows, None)
    if first and second is None:
        if key := _rows_key(first, issues):
            issues.conversions.append(f"the list `{key}` to rows")
            yield from _items(first.data[key], issues)
            return
        if not conversation_key(first.data) and (records := _columns_to_rows(first.data)):
            issues.conversions.append("columns or an index to rows")
            yield from map(Row, count(1), records)
            return
    yield from chain(filter(None, (first, second)), rows)


def _rows_key(row: Row, issues: ReadIssues) -> str | None:
    """Return the key of the list that holds the rows; None if the object is a row itself."""
    lists = {
        key: value
        for key, value in row.data.items()
        if is_list(value) and all(map(is_object, value)) and (value or key in _ROWS)
    }
    known = [key for key, items in lists.items() if items and has_known_format(items[0])]
    if has_known_format(row.data) and not known:
        return None
    candidates = known or [*lists]
    split = next((key for key in _SPLITS if key in candidates), None)
    if split and {*candidates} - {split} <= _OTHER_SPLITS:
        issues.further_lists = {key: len(lists[key]) for key in candidates if key != split}
        return split
    if len(candidates) > 1 and not known:
        # Lists about the rows, such as the types of columns, stand beside them.
        candidates = [key for key in _ROWS if key in candidates] or candidates
    if len(candidates) > 1:
        shown = ", ".join(f"`{key}` ({len(lists[key])})" for key in candidates)
        raise DatasetError(
            f"The file holds several lists of rows: {shown}.",
            file=issues.file,
            remedy="Write the one to train on to a file of its own: "
            + extract_command(candidates[0], issues.file),
        )
    return candidates[0] if candidates else None


def extract_command(key: str, file: str | None) -> str:
    """Return a command that writes a list of rows to a file of its own."""
    path = "." + (key if key.isidentifier() else f'["{key}"]')
    return f"jq {shlex.quote(path)} {shlex.quote(file or 'FILE')} > {shlex.quote(key + '.json')}"


def _items(items: list[dict[str, Any]], issues: ReadIssues) -> Iterator[Row]:
    for line, item in enumerate(items, 1):
        # The viewer of Hugging Face wraps each row once more, and cuts long cells.
        if item.get("truncated_cells"):
            issues.broken_line(line, f"Cells of this row are cut: {item['truncated_cells']}.")
            continue
        wrapped = item.get("row")
        yield from (Row(line, row) for row in _questions(wrapped if is_object(wrapped) else item))


def _questions(item: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the questions about the paragraphs of an article, as SQuAD has them, or the item."""
    paragraphs = item.get("paragraphs")
    if not is_list(paragraphs) or not all(map(_is_paragraph, paragraphs)):
        yield item
        return
    for paragraph in paragraphs:
        for qa in paragraph["qas"]:
            yield {"context": paragraph["context"], **qa}


def _is_paragraph(value: Any) -> bool:
    if not is_object(value) or "context" not in value:
        return False
    questions = value.get("qas")
    return is_list(questions) and all(map(is_object, questions))


def _columns_to_rows(data: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of an object of columns or of rows, as pandas writes them; none of others."""
    cells = list(data.values())
    if all(map(is_list, cells)):
        is_table = len({*map(len, cells)}) == 1 and not any(
            is_object(cell) or is_list(cell) for column in cells for cell in column
        )
        if not is_table:
            return []
        return [dict(zip(data, row, strict=True)) for row in zip(*cells, strict=True)]
    if not all(map(is_object, cells)):
        return []
    index = list(cells[0])
    if index and all(list(column) == index for column in cells) and all(map(str.isdecimal, index)):
        return [{name: data[name][key] for name in data} for key in index]
    return cells if len(cells) > 1 else []
