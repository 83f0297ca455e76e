"""Separators, endings and common prefixes of prompts and completions."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tunesmith.datasets.checks.affixes import AffixStats, would_repeat
from tunesmith.datasets.checks.texts import CaseStats
from tunesmith.datasets.findings import Finding, Fix
from tunesmith.datasets.rows import ChunkSource
from tunesmith.datasets.transforms import AddSuffix, RemovePrefix

__all__ = [
    "ENDINGS",
    "SEPARATORS",
    "ColumnStats",
    "completion_findings",
    "is_label",
    "prompt_findings",
]

SEPARATORS = (
    "\n",
    " ->",
    "\n\n###\n\n",
    "\n\n===\n\n",
    "\n\n---\n\n",
    "\n\n===>\n\n",
    "\n\n--->\n\n",
)
"""Endings of a prompt, in order of preference; one must be in no prompt."""

LAST_SEPARATOR = "\n\n### =>\n\n"
ENDINGS = ("\n", ".", " END", "***", "+++", "&&&", "$$$", "@@@", "%%%")
LAST_ENDING = " [END]"

_LABEL = re.compile(
    r"""[^\d{}\[\]()<>"@/\\`]*(?:[:\uff1a]\s*|[.!?…。\uff01\uff1f|]\s+|[-=]>?\s+)"""
)
_JOINED_COLON = re.compile(r":\S")

LONG_ENDING = 10
LONG_PROMPT_PREFIX = 12
LONG_COMPLETION_PREFIX = 5


@dataclass(slots=True)
class ColumnStats:
    """Statistics of a column."""

    field: str
    affixes: AffixStats
    case: CaseStats

    def update(self, texts: list[str]) -> int:
        """Inspect some texts; return their number of characters."""
        joined = "\x1e".join(texts)
        self.affixes.update(texts, joined)
        self.case.update(joined)
        return len(joined) - len(texts) + 1 if texts else 0

    @property
    def suggested_suffix(self) -> str:
        """The suffix that an accepted fix adds to each text."""
        unused = self.affixes.unused
        if self.field == "completion":
            return unused[0] if unused else LAST_ENDING
        # An arrow at the end of a line does not stand out in prompts of several lines.
        several_lines = "\n" not in unused
        suitable = [s for s in unused if s != "\n" and not (several_lines and s == " ->")]
        return suitable[0] if suitable else LAST_SEPARATOR


def prompt_findings(column: ColumnStats, rows: ChunkSource, file: str | None) -> Iterator[Finding]:
    """Find the separator of prompts and their common prefix."""
    if column.affixes.identical:
        yield _identical(
            column, file, "Leave prompts empty to teach open-ended generation, or make them differ."
        )
        return
    yield _ending(
        column,
        rows,
        file,
        "separator",
        "the model sees where the prompt ends",
    )
    prefix = column.affixes.prefix
    if prefix:
        is_instruction = len(prefix) > LONG_PROMPT_PREFIX and is_label(prefix)
        reason = ": a fine-tuned model needs no instructions" if is_instruction else ""
        yield _prefix(column, rows, file, reason, removable=is_instruction)


def completion_findings(
    column: ColumnStats, rows: ChunkSource, file: str | None, *, with_ending: bool
) -> Iterator[Finding]:
    """Find the common prefix of completions and, if `with_ending`, their common ending."""
    if column.affixes.identical:
        if with_ending:
            yield _identical(column, file, "The model would learn to repeat it: make them differ.")
        return
    if len(column.affixes.prefix) >= LONG_COMPLETION_PREFIX:
        removable = is_label(column.affixes.prefix)
        reason = ": the model does not need to learn it" if removable else ""
        yield _prefix(column, rows, file, reason, removable=removable)
    if with_ending:
        yield _ending(column, rows, file, "ending", "the model learns where to stop")


def is_label(prefix: str) -> bool:
    """Return whether a prefix is a label or an instruction, such as `Answer:`.

    Beginnings of sentences, dates, ids, paths, code and markup are data.
    """
    return _LABEL.fullmatch(prefix) is not None and not _JOINED_COLON.search(prefix)


def _identical(column: ColumnStats, file: str | None, advice: str) -> Finding:
    return Finding(
        code=f"identical-{column.field}s",
        severity="fatal",
        message=f"All {column.field}s are the same. {advice}",
        file=file,
        field=column.field,
    )


def _ending(
    column: ColumnStats, rows: ChunkSource, file: str | None, name: str, reason: str
) -> Finding:
    field, suffix, addition = column.field, column.affixes.suffix, column.suggested_suffix
    shown = _escape_newlines(addition)
    article = "an" if name == "ending" else "a"
    if not suffix:
        return Finding(
            code=f"no-{name}",
            severity="warning",
            message=f"The {field}s have no common ending. With {article} {name}, {reason}.",
            file=file,
            field=field,
            fix=Fix(
                description=f"Add the {name} `{shown}` to the end of all {field}s",
                transform=AddSuffix(field, addition),
            ),
        )
    message = f"All {field}s end with `{_escape_newlines(suffix)}`."
    if len(suffix) > LONG_ENDING:
        message += f" That is long; `{shown}` would do."
    inside = column.affixes.suffix_is_inside(rows, field)
    if inside:
        message += f" Some contain it elsewhere too; {article} {name} should only be at the end."
    return Finding(
        code=f"{name}-inside" if inside else name,
        severity="warning" if inside else "info",
        message=message,
        file=file,
        field=field,
    )


def _prefix(
    column: ColumnStats, rows: ChunkSource, file: str | None, reason: str, *, removable: bool
) -> Finding:
    field, prefix = column.field, column.affixes.prefix
    # A removal must not leave a text empty, or a prefix that is found again.
    removable = (
        removable
        and column.affixes.shortest > len(prefix)
        and not would_repeat(rows, field, prefix, column.suggested_suffix)
    )
    return Finding(
        code=f"{field}-prefix",
        severity="warning" if removable else "info",
        message=f"All {field}s begin with `{_escape_newlines(prefix)}`{reason}.",
        file=file,
        field=field,
        fix=Fix(
            description=f"Remove the prefix `{_escape_newlines(prefix)}` from all {field}s",
            transform=RemovePrefix(field, prefix),
        )
        if removable
        else None,
    )


def _escape_newlines(text: str) -> str:
    return text.replace("\n", "\\n")
