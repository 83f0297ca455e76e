"""The journal of a job: what was sent, so that what came of it is the only thing in doubt.

A line says one thing:

```text
{"journal": 2, "settings": {…}}          the first: what the job is
{"sent": "key", "reserved": [9, 16]}     an intent, written before the request is sent
{"requeued": "key"}                      it was refused, never arrived, or is to be sent anew
{"paid": "key", "usage": [9, 16]}        an answer that was paid, but does not fit or has failed
{"begun": 3000}                          a run begins; how many rows there are, if that is known
{"report": {…}}                          how a run ended
```

What came of a row is a line of the output or error file, and not written twice. A row that was
sent, not given back, and is in neither file is "sent, outcome unknown": it alone may be paid twice.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from os import PathLike
from typing import Any

from pydantic_core import to_json

from tunesmith.batch.append_log import AppendOnlyJsonl
from tunesmith.batch.index import KeyIndex, RowStatus
from tunesmith.batch.lock import try_lock_file
from tunesmith.batch.results import Usage
from tunesmith.batch.rows import RequestRow
from tunesmith.datasets.json_types import is_object
from tunesmith.errors import ConfigurationError

__all__ = ["Journal", "JournalState"]

_VERSION = 2


@dataclass(slots=True)
class JournalState:
    """What a journal tells of earlier runs.

    Args:
        settings: What the job is; None if the journal is new.
        paid: Tokens of answers that were paid but did not fit.
        notes: Lines of other kinds, in order.
    """

    settings: dict[str, Any] | None = None
    paid: Usage = field(default_factory=Usage)
    notes: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])


class Journal:
    """The journal of a job; only one run at a time has it.

    Args:
        path: The file; it is made if it is not there.

    Attributes:
        on_sent: Called for each intent, so that it is made safe soon: its answer may be long in
            coming.

    Raises:
        ConfigurationError: Another run is at work on it.
        DatasetError: It cannot be opened.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.file = AppendOnlyJsonl(path)
        self.on_sent: Callable[[], None] | None = None
        if not try_lock_file(self.file.descriptor):
            self.file.close()
            raise ConfigurationError(
                f"another run is at work on {self.file.path}: let it end, or stop it"
            )

    def replay(self, index: KeyIndex) -> JournalState:
        """Read what earlier runs wrote; a torn last line is cut off.

        Args:
            index: The rows that were sent and not given back are noted there.

        Raises:
            DatasetError: It is damaged.
            ConfigurationError: It has another format version.
        """
        past = JournalState()
        index.update(self._replayed(past))
        return past

    def _replayed(self, past: JournalState) -> Iterator[tuple[str, RowStatus, int, int]]:
        for _, _, data in self.file.recover():
            match data:
                case {"sent": str(key)}:
                    prompt, answer = data.get("reserved") or (0, 0)
                    yield key, RowStatus.SENT, prompt, answer
                case {"requeued": str(key)}:
                    yield key, RowStatus.NEW, 0, 0
                case {"paid": str(), "usage": [int(prompt), int(answer)]}:
                    past.paid += Usage(prompt, answer)
                case {"journal": int(version)}:
                    self._check(version)
                    settings = data.get("settings")
                    past.settings = settings if is_object(settings) else {}
                case {"report": _} | {"begun": _}:
                    pass
                case _:
                    past.notes.append(data)

    def _check(self, version: int) -> None:
        if version != _VERSION:
            remedy = (
                "upgrade tunesmith to resume"
                if version > _VERSION
                else "resume with the tunesmith that wrote it, or choose another output"
            )
            raise ConfigurationError(
                f"{self.file.path} is a batch journal in format version {version}, but this "
                f"tunesmith reads version {_VERSION}: {remedy}"
            )

    def begin(self, settings: Mapping[str, Any]) -> None:
        """Write the first line: what the job is."""
        self.append({"journal": _VERSION, "settings": settings})

    def sent(self, row: RequestRow, reserved: Usage | None = None) -> None:
        """Write that a row will be sent now, and what was reserved for it."""
        if reserved is None:
            self.file.add(b'{"sent":%b}\n' % to_json(row.key))
        else:
            self.append({"sent": row.key, "reserved": [reserved.prompt, reserved.completion]})
        if self.on_sent is not None:
            self.on_sent()

    def requeued(self, key: str) -> None:
        """Write that a row which was sent is to be sent again, and what was paid is known."""
        self.append({"requeued": key})

    def paid(self, key: str, usage: Usage) -> None:
        """Write that an answer was paid, though it is not what comes of the row."""
        self.append({"paid": key, "usage": [usage.prompt, usage.completion]})

    def append(self, data: Mapping[str, Any]) -> None:
        """Write a line of any kind."""
        self.file.add(to_json(data) + b"\n")
