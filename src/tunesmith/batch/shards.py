"""Rows cut into the files that the Batch API takes: as large as it allows, one model each."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from pydantic_core import from_json, to_json

from tunesmith.batch.endpoints import endpoint_of
from tunesmith.batch.results import Usage
from tunesmith.batch.rows import RequestRow
from tunesmith.datasets.json_types import is_list
from tunesmith.errors import DatasetError

__all__ = ["BatchLimits", "Shard", "ShardWriter", "read_rows"]


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """How much the Batch API takes.

    Args:
        requests: Requests of a batch.
        bytes: Bytes of its input file; the service's limit is 200 MB.
        inputs: Inputs of a batch of embeddings.
        enqueued_tokens: Tokens of questions that all batches of a model may have at a time; None
            to find out, by what the service refuses.

    Source: https://platform.openai.com/docs/guides/batch
    """

    requests: int = 50_000
    bytes: int = 195_000_000
    inputs: int = 50_000
    enqueued_tokens: int | None = None


class _ShardKey(NamedTuple):
    """What the rows of a shard have in common."""

    url: str
    model: str
    attempt: int


@dataclass(slots=True, kw_only=True)
class Shard:
    """The rows of one batch; they are in a file until each of them has an outcome.

    Args:
        number: Its number among those of the job.
        path: The file.
        url: Where its rows go.
        model: The model that they name.
        attempt: How often they are sent, this time included.
        rows: How many there are.
        tokens: About how many tokens their questions have.
        reserved: The most tokens that they can take, if there is a budget.
        created_at: When it was cut, in Unix seconds: its batch is not older.
        batch_id: The batch, once the service has told it.
    """

    number: int
    path: Path
    url: str
    model: str
    attempt: int = 1
    rows: int = 0
    tokens: int = 0
    reserved: Usage = field(default_factory=Usage)
    created_at: float = 0.0
    batch_id: str | None = None

    def read_keys(self) -> Iterator[str]:
        """Go through the keys of its rows."""
        for line in _lines(self.path):
            yield line["custom_id"]

    def download_path(self, kind: str) -> Path:
        """Where a file that the service wrote for its batch is put while it is read."""
        return self.path.with_suffix(f".{kind}.jsonl")


def read_rows(shard: Shard) -> Iterator[RequestRow]:
    """Read the rows of a shard again; their line is that of its file."""
    endpoint = endpoint_of(shard.url)
    for number, line in enumerate(_lines(shard.path), 1):
        body = line["body"]
        most = endpoint.max_completion_tokens(body)
        yield RequestRow(line["custom_id"], number, endpoint, to_json(body), most)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with path.open("rb") as stream:
            yield from map(from_json, stream)
    except OSError as error:
        raise DatasetError(
            f"The rows of a batch cannot be read: {error.strerror}.",
            file=str(path),
            remedy="This file is needed until its batch is over: put it back.",
        ) from error


@dataclass(slots=True)
class _OpenShard:
    """A shard that still takes rows."""

    shard: Shard
    lines: list[bytes] = field(default_factory=list[bytes])
    size_bytes: int = 0
    inputs: int = 0


_WRITE_BYTES = 1 << 20


class ShardWriter:
    """Writes rows to the files of shards, and hands each over when it is full.

    Args:
        path_of: Where the file of a shard is, by its number.
        limits: How much a shard takes.
        most_tokens: How many tokens the service takes of a model; None if that is not known.
        on_complete: Takes a shard that is whole, and safe from the death of the machine.
        number: The number of the first shard.
    """

    def __init__(
        self,
        path_of: Callable[[int], Path],
        limits: BatchLimits,
        most_tokens: Callable[[str], int | None],
        on_complete: Callable[[Shard], None],
        number: int = 1,
    ) -> None:
        self._path_of = path_of
        self._limits = limits
        self._most_tokens = most_tokens
        self._sealed = on_complete
        self._next = number
        self._open: dict[_ShardKey, _OpenShard] = {}

    def add(self, row: RequestRow, *, attempt: int = 1, worst: Usage | None = None) -> int:
        """Put a row in a shard; returns the number of the shard.

        Raises:
            DatasetError: The disk is full.
        """
        body = from_json(row.body)
        kind = _ShardKey(row.endpoint.url, str(body["model"]), attempt)
        line = b'{"custom_id":%b,"method":"POST","url":%b,"body":%b}\n' % (
            to_json(row.key),
            to_json(kind.url),
            row.body,
        )
        inputs = _inputs(body.get("input")) if kind.url == "/v1/embeddings" else 0
        tokens = row.estimated_tokens
        being_filled = self._open.get(kind)
        if being_filled and self._is_full(being_filled, len(line), inputs, tokens):
            self._seal(kind)
            being_filled = None
        if being_filled is None:
            being_filled = self._open[kind] = _OpenShard(self._new(kind))
        being_filled.lines.append(line)
        being_filled.size_bytes += len(line)
        being_filled.inputs += inputs
        shard = being_filled.shard
        shard.rows += 1
        shard.tokens += tokens
        shard.reserved += worst or Usage()
        if being_filled.size_bytes % _WRITE_BYTES < len(line):
            _write(being_filled)
        return shard.number

    def flush(self) -> None:
        """Hand over all shards that have rows."""
        for kind in list(self._open):
            self._seal(kind)

    def discard(self) -> None:
        """Forget the shards that are not whole."""
        for each in self._open.values():
            each.shard.path.unlink(missing_ok=True)
        self._open.clear()

    def _new(self, kind: _ShardKey) -> Shard:
        number, self._next = self._next, self._next + 1
        path = self._path_of(number)
        path.unlink(missing_ok=True)  # of a run that died before it was whole
        return Shard(number=number, path=path, **kind._asdict())

    def _is_full(self, open_shard: _OpenShard, size: int, inputs: int, tokens: int) -> bool:
        shard, limits = open_shard.shard, self._limits
        most = self._most_tokens(shard.model)
        return (
            shard.rows >= limits.requests
            or open_shard.size_bytes + size > limits.bytes
            or open_shard.inputs + inputs > limits.inputs
            or (most is not None and shard.tokens + tokens > most)
        )

    def _seal(self, kind: _ShardKey) -> None:
        being_filled = self._open.pop(kind)
        _write(being_filled, safely=True)
        self._sealed(being_filled.shard)


def _write(open_shard: _OpenShard, *, safely: bool = False) -> None:
    path = open_shard.shard.path
    try:
        with path.open("ab") as stream:
            stream.writelines(open_shard.lines)
            if safely:
                stream.flush()
                os.fsync(stream.fileno())
    except OSError as error:
        raise DatasetError(
            f"The file cannot be written: {error.strerror}.",
            file=str(path),
            remedy="Nothing that was finished is lost: mend this, and resume.",
        ) from error
    open_shard.lines.clear()


def _inputs(asked: object) -> int:
    if not is_list(asked):
        return 1
    return 1 if asked and isinstance(asked[0], int) else len(asked)
