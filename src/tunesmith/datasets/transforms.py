"""Repairs: the changes that remedies make to rows, a chunk at a time."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol

from tunesmith.datasets.fingerprints import Fingerprints, RepeatFilter, fingerprints_of
from tunesmith.datasets.rows import Chunk, ChunkSource, Row

__all__ = [
    "AddLeadingSpace",
    "AddSuffix",
    "ChunkTransform",
    "DropDuplicates",
    "DropRows",
    "EditRows",
    "LowerCase",
    "RemovePrefix",
    "RowTransform",
]

ChunkTransform = Callable[[Chunk], Chunk]
"""Changes the rows of one chunk, leaves some out, and hands on the rest."""


class RowTransform(Protocol):
    """A change to rows that, made twice, changes nothing the second time."""

    stage: ClassVar[int]
    """When it is made: repairs with lower numbers come first."""

    def fit(self, rows: ChunkSource, /) -> Callable[[], ChunkTransform]:
        """Learn what is needed from the rows that will come; returns what begins a pass."""
        ...


class _StatelessTransform:
    """A repair that need not know the rows beforehand."""

    __slots__ = ()

    def fit(self, _: ChunkSource, /) -> Callable[[], ChunkTransform]:
        """Learn nothing."""
        return self.start

    def start(self) -> ChunkTransform:
        """Begin a pass."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class DropRows(_StatelessTransform):
    """Removes the rows that a test finds at fault."""

    predicate: Callable[[Row], bool]
    stage: ClassVar[int] = 30

    def start(self) -> ChunkTransform:
        """Begin a pass."""
        at_fault = self.predicate
        return lambda chunk: [row for row in chunk if not at_fault(row)]


@dataclass(frozen=True, slots=True)
class EditRows(_StatelessTransform):
    """Changes each row in place."""

    edit: Callable[[Row], None]
    stage: ClassVar[int] = 20

    def start(self) -> ChunkTransform:
        """Begin a pass."""
        edit = self.edit

        def run(chunk: Chunk) -> Chunk:
            for row in chunk:
                edit(row)
            return chunk

        return run


@dataclass(frozen=True, slots=True)
class RemovePrefix(_StatelessTransform):
    """Removes what all texts begin with."""

    field: str
    prefix: str
    stage: ClassVar[int] = 50

    def start(self) -> ChunkTransform:
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
class LowerCase(_StatelessTransform):
    """Puts texts in lower case, but for the ending that another repair adds to them."""

    field: str
    suffix: str = ""
    stage: ClassVar[int] = 60

    def start(self) -> ChunkTransform:
        """Begin a pass."""
        field, ending = self.field, self.suffix

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
class AddSuffix(_StatelessTransform):
    """Ends every text with the same characters."""

    field: str
    suffix: str
    stage: ClassVar[int] = 70

    def start(self) -> ChunkTransform:
        """Begin a pass."""
        field, ending = self.field, self.suffix

        def run(chunk: Chunk) -> Chunk:
            for _, data in chunk:
                text = data[field]
                if not text.endswith(ending):
                    data[field] = text + ending
            return chunk

        return run


@dataclass(frozen=True, slots=True)
class AddLeadingSpace(_StatelessTransform):
    """Begins every text with a space."""

    field: str
    stage: ClassVar[int] = 80

    def start(self) -> ChunkTransform:
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

    def fit(self, rows: ChunkSource, /) -> Callable[[], ChunkTransform]:
        """Find the rows that repeat."""
        fingerprints = Fingerprints()
        for chunk in rows():
            fingerprints.add(fingerprints_of(chunk))
        repeated = fingerprints.repeated()
        return lambda: _drop_repeated(RepeatFilter(repeated))


def _drop_repeated(seen: RepeatFilter) -> ChunkTransform:
    def run(chunk: Chunk) -> Chunk:
        return [
            row
            for row, fingerprint in zip(chunk, fingerprints_of(chunk), strict=True)
            if not seen.is_repeat(fingerprint)
        ]

    return run
