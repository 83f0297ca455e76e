"""Entries of the journal: the facts that survive a crash, one line each.

```text
{"journal": 2, "output": "a.jsonl", "job": "9f0c…", "settings": {…}}   first line
{"begun": 3000}                          a run begins; number of rows, null if unknown
{"sent": "key", "reserved": [9, 16]}     written before the request is sent
{"requeued": "key"}                      not paid: refused, never arrived, or to be repeated
{"lost": "key"}                          outcome unknown, perhaps paid
{"paid": "key", "usage": [9, 16]}        paid, without an answer that counts
{"shard": 1, "url": …, "rows": …}        its file is safe on disk
{"shard": 1, "file": "file-…"}           uploaded
{"shard": 1, "creating": [0, 0]}         written before the batch is created
{"shard": 1, "batch": "batch_…"}         created, or found
{"shard": 1, "duplicate": "batch_…"}     a second batch of the shard, cancelled
{"shard": 1, "absent": [90, 160]}        looked up, and not found
{"shard": 1, "settled": "completed", …}  its results are written
{"shard": 1, "closed": "completed"}      each row has its outcome, or is queued again
{"report": {…}}                          a run ends
```

An answer is a line of the output file; its usage is not repeated here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic_core import to_json

from tunesmith._json_types import is_object
from tunesmith.batch.core.ledger import NOTHING, Usage
from tunesmith.batch.core.states import Failure, ShardKind

__all__ = [
    "VERSION",
    "BatchAbsent",
    "BatchCreated",
    "BatchCreating",
    "BatchDuplicate",
    "Entry",
    "JobBegun",
    "RowLost",
    "RowPaid",
    "RowRequeued",
    "RowSent",
    "RunBegun",
    "RunEnded",
    "ShardClosed",
    "ShardCut",
    "ShardEntry",
    "ShardSettled",
    "ShardUploaded",
    "parse_entry",
]

VERSION = 2


@dataclass(frozen=True, slots=True)
class JobBegun:
    """First line of a journal.

    Args:
        output: Name of the output file.
        job: Name of the job in the metadata of its batches.
        settings: Settings that a resumed run must repeat.
        version: Format of the journal.
    """

    output: str
    job: str
    settings: Mapping[str, Any]
    version: int = VERSION

    def to_line(self) -> bytes:
        """Return the line of the journal."""
        return _line(journal=self.version, output=self.output, job=self.job, settings=self.settings)


@dataclass(frozen=True, slots=True)
class RunBegun:
    """A run begins."""

    rows: int | None

    def to_line(self) -> bytes:
        """Return the line of the journal."""
        return _line(begun=self.rows)


@dataclass(frozen=True, slots=True)
class RunEnded:
    """A run ends."""

    report: Mapping[str, Any]

    def to_line(self) -> bytes:
        """Return the line of the journal."""
        return _line(report=self.report)


@dataclass(frozen=True, slots=True)
class RowSent:
    """An attempt begins."""

    key: str
    reserved: Usage = NOTHING

    def to_line(self) -> bytes:
        """Return the line of the journal."""
        if self.reserved is NOTHING:
            return b'{"sent":%b}\n' % to_json(self.key)
        amounts = (to_json(self.key), self.reserved.prompt, self.reserved.completion)
        return b'{"sent":%b,"reserved":[%d,%d]}\n' % amounts


@dataclass(frozen=True, slots=True)
class RowRequeued:
    """An attempt was not paid, or the row is to be repeated."""

    key: str

    def to_line(self) -> bytes:
        """Return the line of the journal."""
        return _line(requeued=self.key)


@dataclass(frozen=True, slots=True)
class RowLost:
    """The outcome of an attempt is unknown: it may have been paid."""

    key: str

    def to_line(self) -> bytes:
        """Return the line of the journal."""
        return _line(lost=self.key)


@dataclass(frozen=True, slots=True)
class RowPaid:
    """An attempt was paid, and its answer does not count."""

    key: str
    usage: Usage
    shard: int | None = None

    def to_line(self) -> bytes:
        """Return the line of the journal."""
        more = {} if self.shard is None else {"shard": self.shard}
        return _line(paid=self.key, usage=_pair(self.usage), **more)


@dataclass(frozen=True, slots=True)
class ShardCut:
    """The input file of a shard is safe on disk."""

    number: int
    kind: ShardKind
    rows: int
    tokens: int
    reserved: Usage
    cut_at: float

    def to_line(self) -> bytes:
        """Return the line of the journal."""
        return _line(
            shard=self.number,
            url=self.kind.url,
            model=self.kind.model,
            attempt=self.kind.attempt,
            rows=self.rows,
            tokens=self.tokens,
            reserved=_pair(self.reserved),
            cut_at=self.cut_at,
        )


@dataclass(frozen=True, slots=True)
class ShardUploaded:
    """The service has the input file."""

    number: int
    file_id: str

    def to_line(self) -> bytes:
        """Return the line of the journal."""
        return _line(shard=self.number, file=self.file_id)


@dataclass(frozen=True, slots=True)
class BatchCreating:
    """A batch is about to be created; from here on it may exist.

    Args:
        number: The shard.
        reserved: What is reserved once more, after a creation whose answer was lost.
    """

    number: int
    reserved: Usage = NOTHING

    def to_line(self) -> bytes:
        """Return the line of the journal."""
        return _line(shard=self.number, creating=_pair(self.reserved))


@dataclass(frozen=True, slots=True)
class BatchCreated:
    """The batch of a shard is known."""

    number: int
    batch_id: str

    def to_line(self) -> bytes:
        """Return the line of the journal."""
        return _line(shard=self.number, batch=self.batch_id)


@dataclass(frozen=True, slots=True)
class BatchDuplicate:
    """A second batch of the same shard was found, and is cancelled."""

    number: int
    batch_id: str

    def to_line(self) -> bytes:
        """Return the line of the journal."""
        return _line(shard=self.number, duplicate=self.batch_id)


@dataclass(frozen=True, slots=True)
class BatchAbsent:
    """The batch was refused, or looked up over time and not found.

    Args:
        number: The shard.
        perhaps: The reservation, if the batch may exist all the same.
    """

    number: int
    perhaps: Usage = NOTHING

    def to_line(self) -> bytes:
        """Return the line of the journal."""
        return _line(shard=self.number, absent=_pair(self.perhaps))


@dataclass(frozen=True, slots=True)
class ShardSettled:
    """The results of a shard are written; what is left of its reservation is returned.

    Args:
        number: The shard.
        status: How its batch ended.
        perhaps: The part of the reservation that may have been paid.
        next_attempt: Attempt number of its rows that have no result; 0 if they fail.
        failure: Why they fail.
    """

    number: int
    status: str
    perhaps: Usage = NOTHING
    next_attempt: int = 0
    failure: Failure | None = None

    def to_line(self) -> bytes:
        """Return the line of the journal."""
        return _line(
            shard=self.number,
            settled=self.status,
            perhaps=_pair(self.perhaps),
            next=self.next_attempt,
            failure=self.failure and [self.failure.code, self.failure.message],
        )


@dataclass(frozen=True, slots=True)
class ShardClosed:
    """Each row of a shard has its outcome, or is queued again."""

    number: int
    status: str

    def to_line(self) -> bytes:
        """Return the line of the journal."""
        return _line(shard=self.number, closed=self.status)


ShardEntry = (
    ShardCut
    | ShardUploaded
    | BatchCreating
    | BatchCreated
    | BatchDuplicate
    | BatchAbsent
    | ShardSettled
    | ShardClosed
)

Entry = JobBegun | RunBegun | RunEnded | RowSent | RowRequeued | RowLost | RowPaid | ShardEntry


def parse_entry(data: Mapping[str, Any]) -> Entry | None:  # noqa: C901, PLR0911, PLR0912 - one case a kind
    """Return the entry that a line of the journal holds; None for a line of another kind."""
    match data:
        case {"sent": str(key)}:
            return RowSent(key, _usage(data.get("reserved")))
        case {"requeued": str(key)}:
            return RowRequeued(key)
        case {"lost": str(key)}:
            return RowLost(key)
        case {"paid": str(key), "usage": usage}:
            shard = data.get("shard")
            return RowPaid(key, _usage(usage), shard if isinstance(shard, int) else None)
        case {"shard": int(number), "url": str(url), "rows": int(rows), "tokens": int(tokens)}:
            kind = ShardKind(url, str(data.get("model")), _count(data.get("attempt"), 1))
            cut_at = data.get("cut_at")
            at = float(cut_at) if isinstance(cut_at, int | float) else 0.0
            return ShardCut(number, kind, rows, tokens, _usage(data.get("reserved")), at)
        case {"shard": int(number), "file": str(file_id)}:
            return ShardUploaded(number, file_id)
        case {"shard": int(number), "creating": reserved}:
            return BatchCreating(number, _usage(reserved))
        case {"shard": int(number), "batch": str(batch_id)}:
            return BatchCreated(number, batch_id)
        case {"shard": int(number), "duplicate": str(batch_id)}:
            return BatchDuplicate(number, batch_id)
        case {"shard": int(number), "absent": perhaps}:
            return BatchAbsent(number, _usage(perhaps))
        case {"shard": int(number), "settled": str(status)}:
            failure = data.get("failure")
            return ShardSettled(
                number,
                status,
                _usage(data.get("perhaps")),
                _count(data.get("next"), 0),
                _failure(failure),
            )
        case {"shard": int(number), "closed": str(status)}:
            return ShardClosed(number, status)
        case {"journal": int(version)}:
            settings: Any = data.get("settings")
            known: Mapping[str, Any] = settings if is_object(settings) else {}
            output, job = str(data.get("output") or ""), str(data.get("job") or "")
            return JobBegun(output, job, known, version)
        case {"begun": rows}:
            return RunBegun(rows if isinstance(rows, int) else None)
        case {"report": report}:
            return RunEnded(report)
        case _:
            return None


def _line(**data: Any) -> bytes:
    return to_json(data) + b"\n"


def _pair(usage: Usage) -> list[int]:
    return [usage.prompt, usage.completion]


def _usage(pair: object) -> Usage:
    match pair:
        case [int(prompt), int(completion)] if prompt >= 0 <= completion:
            return Usage(prompt, completion)
        case _:
            return NOTHING


def _failure(pair: object) -> Failure | None:
    match pair:
        case [str(code), str(message)]:
            return Failure(code, message)
        case _:
            return None


def _count(value: object, default: int) -> int:
    return value if isinstance(value, int) else default
