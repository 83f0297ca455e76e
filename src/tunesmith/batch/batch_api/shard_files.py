"""Input files of batches: rows split by endpoint, model and the limits of the Batch API."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic_core import from_json, to_json

from tunesmith._json_types import is_list
from tunesmith.batch.core.entries import ShardWritten
from tunesmith.batch.core.ledger import NOTHING, Usage
from tunesmith.batch.core.states import OpenRow, ShardKind
from tunesmith.batch.endpoints import endpoint_of
from tunesmith.batch.options import BatchLimits
from tunesmith.batch.rows import RequestRow
from tunesmith.errors import DatasetError

__all__ = ["ShardWriter", "read_keys", "read_rows"]

_WRITE_BYTES = 1 << 20


@dataclass(slots=True)
class _OpenFile:
    """File to which rows are still added."""

    number: int
    path: Path
    lines: list[bytes] = field(default_factory=list[bytes])
    rows: int = 0
    size_bytes: int = 0
    inputs: int = 0
    tokens: int = 0
    reserved: Usage = NOTHING


class ShardWriter:
    """Writer of the files of shards.

    Args:
        path_of: Returns the path of a shard.
        limits: Limits of a shard.
        max_tokens: Returns the maximum tokens of a batch of a model; None if unknown.
        on_written: Called when a file is complete and synced.
        time: Returns the time in Unix seconds.
        number: Number of the first shard.
    """

    def __init__(
        self,
        path_of: Callable[[int], Path],
        limits: BatchLimits,
        max_tokens: Callable[[str], int | None],
        on_written: Callable[[ShardWritten], None],
        time: Callable[[], float],
        number: int,
    ) -> None:
        self._path_of = path_of
        self._limits = limits
        self._max_tokens = max_tokens
        self._on_written = on_written
        self._time = time
        self._next = number
        self._open: dict[ShardKind, _OpenFile] = {}

    def add(self, row: OpenRow, attempt: int) -> int:
        """Write a row; return the number of its shard.

        Raises:
            DatasetError: The disk is full.
        """
        request: RequestRow = row.payload
        body = from_json(row.body)
        kind = ShardKind(request.endpoint.url, str(body["model"]), attempt)
        line = b'{"custom_id":%b,"method":"POST","url":%b,"body":%b}\n' % (
            to_json(row.key),
            to_json(kind.url),
            row.body,
        )
        inputs = _count_inputs(body.get("input")) if kind.url == "/v1/embeddings" else 0
        file = self._open.get(kind)
        if file is not None and self._is_full(kind, file, len(line), inputs, row.tokens):
            self._complete(kind)
            file = None
        if file is None:
            file = self._open[kind] = self._new()
        file.lines.append(line)
        file.rows += 1
        file.size_bytes += len(line)
        file.inputs += inputs
        file.tokens += row.tokens
        file.reserved += row.reserved
        if file.size_bytes % _WRITE_BYTES < len(line):
            _write(file)
        return file.number

    def flush(self) -> None:
        """Complete all files."""
        for kind in list(self._open):
            self._complete(kind)

    def discard(self) -> None:
        """Remove the incomplete files."""
        for file in self._open.values():
            file.path.unlink(missing_ok=True)
        self._open.clear()

    def _new(self) -> _OpenFile:
        number, self._next = self._next, self._next + 1
        path = self._path_of(number)
        path.unlink(missing_ok=True)  # of a run that died before completing it
        return _OpenFile(number, path)

    def _is_full(
        self, kind: ShardKind, file: _OpenFile, size: int, inputs: int, tokens: int
    ) -> bool:
        limits, max_tokens = self._limits, self._max_tokens(kind.model)
        return (
            file.rows >= limits.requests
            or file.size_bytes + size > limits.bytes
            or file.inputs + inputs > limits.inputs
            or (max_tokens is not None and file.tokens + tokens > max_tokens)
        )

    def _complete(self, kind: ShardKind) -> None:
        file = self._open.pop(kind)
        _write(file, sync=True)
        self._on_written(
            ShardWritten(
                file.number,
                kind.url,
                kind.model,
                kind.attempt,
                file.rows,
                file.tokens,
                file.reserved,
                self._time(),
            )
        )


def _write(file: _OpenFile, *, sync: bool = False) -> None:
    try:
        with file.path.open("ab") as stream:
            stream.writelines(file.lines)
            if sync:
                stream.flush()
                os.fsync(stream.fileno())
    except OSError as error:
        raise DatasetError(
            f"The file cannot be written: {error.strerror}.",
            file=str(file.path),
            remedy="Finished rows are kept: fix this, and resume.",
        ) from error
    file.lines.clear()


def read_keys(path: Path) -> Iterator[str]:
    """Return the keys of the rows of a shard.

    Raises:
        DatasetError: The file is missing.
    """
    for line in _read_lines(path):
        yield line["custom_id"]


def read_rows(path: Path, url: str) -> Iterator[RequestRow]:
    """Return the rows of a shard; their `line` is that of its file.

    Raises:
        DatasetError: The file is missing.
    """
    endpoint = endpoint_of(url)
    for number, line in enumerate(_read_lines(path), 1):
        body = line["body"]
        limit = endpoint.max_completion_tokens(body)
        yield RequestRow(line["custom_id"], number, endpoint, to_json(body), limit)


def _read_lines(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with path.open("rb") as stream:
            yield from map(from_json, stream)
    except OSError as error:
        raise DatasetError(
            f"The rows of a batch cannot be read: {error.strerror}.",
            file=str(path),
            remedy="Restore this file: it is needed until its batch has ended.",
        ) from error


def _count_inputs(value: object) -> int:
    if not is_list(value):
        return 1
    return 1 if value and isinstance(value[0], int) else len(value)
