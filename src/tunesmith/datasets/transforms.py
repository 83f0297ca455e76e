"""Repairs: the changes that remedies make to rows, a chunk at a time."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol

from tunesmith.datasets.fingerprints import Fingerprints, Seen, fingerprints_of
from tunesmith.datasets.rows import Chunk, ChunkSource, Row

__all__ = [
    "AddEnding",
    "AddLeadingSpace",
    "DropDuplicates",
    "DropRows",
    "EditRows",
    "LowerCase",
    "Pass",
    "RemovePrefix",
    "Repair",
]

Pass = Callable[[Chunk], Chunk]
"""Changes the rows of one chunk, leaves some out, and hands on the rest."""


class Repair(Protocol):
    """A change to rows that, made twice, changes nothing the second time."""

    stage: ClassVar[int]
    """When it is made: repairs with lower numbers come first."""

    def learn(self, rows: ChunkSource, /) -> Callable[[], Pass]:
        """Learn what is needed from the rows that will come; returns what begins a pass."""
        ...


class _Simple:
    """A repair that need not know the rows beforehand."""

    __slots__ = ()

    def learn(self, _: ChunkSource, /) -> Callable[[], Pass]:
        """Learn nothing."""
        return self.start

    def start(self) -> Pass:
        """Begin a pass."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class DropRows(_Simple):
    """Removes the rows that a test finds at fault."""

    at_fault: Callable[[Row], bool]
    stage: ClassVar[int] = 30

    def start(self) -> Pass:
        """Begin a pass."""
        at_fault = self.at_fault
        return lambda chunk: [row for row in chunk if not at_fault(row)]


@dataclass(frozen=True, slots=True)
class EditRows(_Simple):
    """Changes each row in place."""

    edit: Callable[[Row], None]
    stage: ClassVar[int] = 20

    def start(self) -> Pass:
        """Begin a pass."""
        edit = self.edit

        def run(chunk: Chunk) -> Chunk:
            for row in chunk:
                edit(row)
            return chunk

        return run


@dataclass(frozen=True, slots=True)
class RemovePrefix(_Simple):
    """Removes what all texts begin with."""

    field: str
    prefix: str
    stage: ClassVar[int] = 50

    def start(self) -> Pass:
        """Begin a pass."""
        field, prefix = self.field, self.prefix
        # One leading space stays: completions are to begin with it.
        rest = len(prefix) - 1 if prefix.startswith(" ") and field == "completion" else len(prefix)
        kept = prefix[: len(prefix) - rest]

        def run(chunk: Chunk) -> Chunk:
            for _, data in chunk:
                text = data[field]
                if text.startswith(prefix):
                    data[field] = kept + text[len(prefix) :]
            return chunk

        return run


@dataclass(frozen=True, slots=True)
class LowerCase(_Simple):
    """Puts texts in lower case, but for the ending that another repair adds to them."""

    field: str
    ending: str = ""
    stage: ClassVar[int] = 60

    def start(self) -> Pass:
        """Begin a pass."""
        field, ending = self.field, self.ending

        def run(chunk: Chunk) -> Chunk:
            for _, data in chunk:
                text = data[field]
                if ending and text.endswith(ending):
                    data[field] = text[: -len(ending)].lower() + ending
                else:
                    data[field] = text.lower()
            return chunk

        return run


@dataclass(frozen=True, slots=True)
class AddEnding(_Simple):
    """Ends every text with the same characters."""

    field: str
    ending: str
    stage: ClassVar[int] = 70

    def start(self) -> Pass:
        """Begin a pass."""
        field, ending = self.field, self.ending

        def run(chunk: Chunk) -> Chunk:
            for _, data in chunk:
                text = data[field]
                if not text.endswith(ending):
                    data[field] = text + ending
            return chunk

        return run


@dataclass(frozen=True, slots=True)
class AddLeadingSpace(_Simple):
    """Begins every text with a space."""

    field: str
    stage: ClassVar[int] = 80

    def start(self) -> Pass:
        """Begin a pass."""
        field = self.field

        def run(chunk: Chunk) -> Chunk:
            for _, data in chunk:
                text = data[field]
                if text[:1] != " ":
                    data[field] = " " + text
            return chunk

        return run


@dataclass(frozen=True, slots=True)
class DropDuplicates:
    """Removes the rows that were there before.

    It comes last, because other repairs can make rows equal, such as by putting them in lower case.
    """

    stage: ClassVar[int] = 90

    def learn(self, rows: ChunkSource, /) -> Callable[[], Pass]:
        """Find the rows that repeat."""
        fingerprints = Fingerprints()
        for chunk in rows():
            fingerprints.add(fingerprints_of(chunk))
        repeated = fingerprints.repeated()
        return lambda: _first_of(Seen(repeated))


def _first_of(seen: Seen) -> Pass:
    def run(chunk: Chunk) -> Chunk:
        return [
            row
            for row, fingerprint in zip(chunk, fingerprints_of(chunk), strict=True)
            if not seen.before(fingerprint)
        ]

    return run
