"""Entries of the journal: the facts that survive a crash, one line each.

```text
{"journal": 2, "output": "a.jsonl", "job": "9f0c…", "settings": {…}}   first line
{"begun": 3000, "at": 1.7e9, "options": {…}}   a run begins; number of rows, null if unknown
{"sent": "key", "reserved": [9, 16]}     written before the request is sent
{"requeued": "key"}                      not paid: refused, never arrived, or to be retried
{"lost": "key"}                          outcome unknown, perhaps paid
{"paid": "key", "usage": [9, 16]}        paid, without a valid answer
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
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any

from pydantic_core import to_json

from tunesmith.batch.core.ledger import NOTHING, Usage
from tunesmith.batch.core.states import Failure

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
    "ShardCollected",
    "ShardEntry",
    "ShardUploaded",
    "ShardWritten",
    "encode_entry",
    "parse_entry",
]

VERSION = 2


@dataclass(slots=True)
class JobBegun:
    """First line of a journal.

    Args:
        version: Format of the journal.
        output: Name of the output file.
        job: Name of the job in the metadata of its batches.
        settings: Settings that a resumed run must repeat.
    """

    version: int
    output: str = ""
    job: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(slots=True)
class RunBegun:
    """Start of a run, by Unix time in seconds; None in journals of earlier versions."""

    rows: int | None
    started_at: float | None = None
    options: Mapping[str, Any] | None = None


@dataclass(slots=True)
class RunEnded:
    """End of a run."""

    report: Mapping[str, Any]


@dataclass(slots=True)
class RowSent:
    """Start of an attempt."""

    key: str
    reserved: Usage = NOTHING


@dataclass(slots=True)
class RowRequeued:
    """End of an attempt that was not paid, or retry of a failed row."""

    key: str


@dataclass(slots=True)
class RowLost:
    """End of an attempt that may have been paid."""

    key: str


@dataclass(slots=True)
class RowPaid:
    """End of an attempt that was paid, without a valid answer."""

    key: str
    usage: Usage
    shard: int | None = None


@dataclass(slots=True)
class ShardWritten:
    """Input file of a shard, safe on disk.

    Args:
        number: Number of the shard within the job.
        url: Endpoint of all rows.
        model: Model of all rows.
        attempt: Attempt number of all rows.
        rows: Number of rows.
        tokens: Estimated input tokens.
        reserved: Reservation of all rows.
        written_at: Unix time in seconds.
    """

    number: int
    url: str
    model: str
    attempt: int
    rows: int
    tokens: int
    reserved: Usage
    written_at: float = 0.0


@dataclass(slots=True)
class ShardUploaded:
    """Upload of an input file."""

    number: int
    file_id: str


@dataclass(slots=True)
class BatchCreating:
    """Start of the creation of a batch, which may exist from now on.

    Args:
        number: The shard.
        reserved: The additional reservation, after a creation without a response.
    """

    number: int
    reserved: Usage = NOTHING


@dataclass(slots=True)
class BatchCreated:
    """Batch of a shard."""

    number: int
    batch_id: str


@dataclass(slots=True)
class BatchDuplicate:
    """Second batch of the same shard, which is cancelled."""

    number: int
    batch_id: str


@dataclass(slots=True)
class BatchAbsent:
    """Batch that was refused, or looked up over time and not found.

    Args:
        number: The shard.
        perhaps: The reservation, if the batch may exist all the same.
    """

    number: int
    perhaps: Usage = NOTHING


@dataclass(slots=True)
class ShardCollected:
    """Shard whose results are written; the rest of its reservation is returned.

    Args:
        number: The shard.
        status: Final status of its batch.
        perhaps: The part of the reservation that may have been paid.
        next_attempt: Attempt number of its rows that have no result; 0 if they fail.
        failure: The cause of their failure.
    """

    number: int
    status: str
    perhaps: Usage = NOTHING
    next_attempt: int = 0
    failure: Failure | None = None


@dataclass(slots=True)
class ShardClosed:
    """Shard whose rows all have their outcome, or are queued again."""

    number: int
    status: str


ShardEntry = (
    ShardWritten
    | ShardUploaded
    | BatchCreating
    | BatchCreated
    | BatchDuplicate
    | BatchAbsent
    | ShardCollected
    | ShardClosed
)

Entry = JobBegun | RunBegun | RunEnded | RowSent | RowRequeued | RowLost | RowPaid | ShardEntry

_KEYS: Mapping[type[Entry], tuple[str, ...]] = {
    RowSent: ("sent", "reserved"),
    RowRequeued: ("requeued",),
    RowLost: ("lost",),
    RowPaid: ("paid", "usage", "shard"),
    ShardWritten: ("shard", "url", "model", "attempt", "rows", "tokens", "reserved", "cut_at"),
    ShardUploaded: ("shard", "file"),
    BatchCreating: ("shard", "creating"),
    BatchCreated: ("shard", "batch"),
    BatchDuplicate: ("shard", "duplicate"),
    BatchAbsent: ("shard", "absent"),
    ShardCollected: ("shard", "settled", "perhaps", "next", "failure"),
    ShardClosed: ("shard", "closed"),
    JobBegun: ("journal", "output", "job", "settings"),
    RunBegun: ("begun", "at", "options"),
    RunEnded: ("report",),
}
"""Keys of the line of each entry, in the order of its fields. The first one, or the second after
`shard`, identifies the entry."""

_FIELDS = {kind: tuple(zip(keys, fields(kind), strict=True)) for kind, keys in _KEYS.items()}
_KINDS = {keys[keys[0] == "shard"]: kind for kind, keys in _KEYS.items()}
_SEQUENCES: Mapping[Any, type[Usage | Failure]] = {Usage: Usage, Failure | None: Failure}
_TYPES: Mapping[Any, Any] = {
    float: int | float,
    float | None: int | float,
    Mapping[str, Any]: dict,
    Mapping[str, Any] | None: dict,
}


def encode_entry(entry: Entry) -> bytes:
    """Return the line of the journal."""
    if type(entry) is RowSent:
        if entry.reserved is NOTHING:
            return b'{"sent":%b}\n' % to_json(entry.key)
        amounts = (to_json(entry.key), entry.reserved.prompt, entry.reserved.completion)
        return b'{"sent":%b,"reserved":[%d,%d]}\n' % amounts
    data: dict[str, Any] = {}
    for key, member in _FIELDS[type(entry)]:
        value = getattr(entry, member.name)
        if isinstance(value, Usage | Failure):
            value = [getattr(value, part.name) for part in fields(value)]
        if value is not None or _is_required(member):
            data[key] = value
    return to_json(data) + b"\n"


def parse_entry(data: Mapping[str, Any]) -> Entry | None:
    """Return the entry of a line of the journal; None for an unknown or invalid one."""
    kind = next((_KINDS[key] for key in data if key in _KINDS), None)
    if kind is None:
        return None
    values: dict[str, Any] = {}
    for key, member in _FIELDS[kind]:
        value = data.get(key)
        if value is None and not _is_required(member):
            continue
        if member.type in _SEQUENCES:
            value = _parse_sequence(_SEQUENCES[member.type], value)
        if not isinstance(value, _TYPES.get(member.type, member.type)):
            return None
        values[member.name] = value
    return kind(**values)


def _is_required(member: Field[Any]) -> bool:
    return member.default is MISSING and member.default_factory is MISSING


def _parse_sequence(kind: type[Usage | Failure], value: object) -> Usage | Failure | None:
    match value:
        case [int(prompt), int(completion)] if kind is Usage and prompt >= 0 <= completion:
            return Usage(prompt, completion)
        case [str(code), str(message)] if kind is Failure:
            return Failure(code, message)
        case _:
            return None
