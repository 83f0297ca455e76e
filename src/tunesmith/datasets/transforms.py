"""Changes that fixes make to rows, a chunk at a time."""

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
"""Function that returns the rows of a chunk, changed, and without those that are dropped."""


class RowTransform(Protocol):
    """Idempotent change to rows."""

    stage: ClassVar[int]
    """Position among other transforms: lower numbers are applied first."""

    def fit(self, rows: ChunkSource, /) -> Callable[[], ChunkTransform]:
        """Compute whatever is needed from all rows; return the function that begins a pass."""
        ...


class _StatelessTransform:
    """Transform that needs nothing from other rows."""

    __slots__ = ()

    def fit(self, _: ChunkSource, /) -> Callable[[], ChunkTransform]:
        """Return the function that begins a pass."""
        return lambda: self.apply

    def apply(self, chunk: Chunk) -> Chunk:
        """Transform a chunk."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class DropRows(_StatelessTransform):
    """Removal of the rows for which a predicate is true."""

    predicate: Callable[[Row], bool]
    stage: ClassVar[int] = 30

    def apply(self, chunk: Chunk) -> Chunk:
        """Remove rows."""
        return [row for row in chunk if not self.predicate(row)]


@dataclass(frozen=True, slots=True)
class EditRows(_StatelessTransform):
    """Change of each row in place."""

    edit: Callable[[Row], None]
    stage: ClassVar[int] = 20

    def apply(self, chunk: Chunk) -> Chunk:
        """Change the rows."""
        for row in chunk:
            self.edit(row)
        return chunk


class _TextTransform(_StatelessTransform):
    """Change of one column of a prompt/completion table."""

    __slots__ = ()
    field: str

    def apply(self, chunk: Chunk) -> Chunk:
        """Change the texts."""
        field, change = self.field, self.change
        for _, data in chunk:
            data[field] = change(data[field])
        return chunk

    def change(self, text: str) -> str:
        """Return the changed text."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class RemovePrefix(_TextTransform):
    """Removal of a common beginning; the leading space of a completion stays."""

    field: str
    prefix: str
    stage: ClassVar[int] = 50

    def change(self, text: str) -> str:
        """Remove the prefix."""
        if not text.startswith(self.prefix):
            return text
        space = " " if self.prefix.startswith(" ") and self.field == "completion" else ""
        return space + text[len(self.prefix) :]


@dataclass(frozen=True, slots=True)
class LowerCase(_TextTransform):
    """Lower case, except for the suffix that another transform adds."""

    field: str
    suffix: str = ""
    stage: ClassVar[int] = 60

    def change(self, text: str) -> str:
        """Lower the case."""
        if self.suffix and text.endswith(self.suffix):
            return text[: -len(self.suffix)].lower() + self.suffix
        return text.lower()


@dataclass(frozen=True, slots=True)
class AddSuffix(_TextTransform):
    """Addition of a common ending."""

    field: str
    suffix: str
    stage: ClassVar[int] = 70

    def change(self, text: str) -> str:
        """Add the suffix where it is missing."""
        return text if text.endswith(self.suffix) else text + self.suffix


@dataclass(frozen=True, slots=True)
class AddLeadingSpace(_TextTransform):
    """Addition of a space at the beginning."""

    field: str
    stage: ClassVar[int] = 80

    def change(self, text: str) -> str:
        """Add the space where it is missing."""
        return text if text[:1] == " " else " " + text


@dataclass(frozen=True, slots=True)
class DropDuplicates:
    """Removal of rows that repeat an earlier one.

    It comes last, because other transforms can make rows equal, for example by lowering their case.
    """

    stage: ClassVar[int] = 90

    def fit(self, rows: ChunkSource, /) -> Callable[[], ChunkTransform]:
        """Find the rows that repeat."""
        fingerprints = Fingerprints()
        for chunk in rows():
            fingerprints.add(fingerprints_of(chunk))
        repeated = fingerprints.repeated()
        return lambda: _duplicate_remover(RepeatFilter(repeated))


def _duplicate_remover(repeats: RepeatFilter) -> ChunkTransform:
    def apply(chunk: Chunk) -> Chunk:
        return [
            row
            for row, fingerprint in zip(chunk, fingerprints_of(chunk), strict=True)
            if not repeats.is_repeat(fingerprint)
        ]

    return apply
