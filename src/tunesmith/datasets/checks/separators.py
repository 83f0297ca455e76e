"""Separators, endings and common beginnings of prompts and completions."""

from collections.abc import Iterator
from dataclasses import dataclass

from tunesmith.datasets.checks.affixes import AffixStats, would_repeat
from tunesmith.datasets.checks.letter_case import CaseStats
from tunesmith.datasets.findings import Finding, Fix
from tunesmith.datasets.rows import ChunkSource
from tunesmith.datasets.transforms import AddSuffix, RemovePrefix

__all__ = ["ENDINGS", "SEPARATORS", "ColumnStats", "completion_findings", "prompt_findings"]

SEPARATORS = (
    "\n",
    " ->",
    "\n\n###\n\n",
    "\n\n===\n\n",
    "\n\n---\n\n",
    "\n\n===>\n\n",
    "\n\n--->\n\n",
)
"""What may show where a prompt ends: the first that is in no prompt is taken."""

LAST_SEPARATOR = "\n\n### =>\n\n"
ENDINGS = ("\n", ".", " END", "***", "+++", "&&&", "$$$", "@@@", "%%%")
LAST_ENDING = " [END]"

LONG_ENDING = 10
LONG_PROMPT_PREFIX = 12
LONG_COMPLETION_PREFIX = 5


@dataclass(slots=True)
class ColumnStats:
    """What was seen of a column."""

    field: str
    affixes: AffixStats
    case: CaseStats

    def see(self, texts: list[str]) -> int:
        """Look at some texts; returns how many characters they have."""
        joined = "\x1e".join(texts)
        self.affixes.see(texts, joined)
        self.case.see(joined)
        return len(joined) - len(texts) + 1 if texts else 0

    @property
    def suggested_suffix(self) -> str:
        """What an accepted remedy would end each text with."""
        unused = self.affixes.unused
        if self.field == "completion":
            return unused[0] if unused else LAST_ENDING
        # An arrow on the line's end is lost among prompts of several lines.
        several_lines = "\n" not in unused
        suitable = [s for s in unused if s != "\n" and not (several_lines and s == " ->")]
        return suitable[0] if suitable else LAST_SEPARATOR


def prompt_findings(column: ColumnStats, rows: ChunkSource, file: str | None) -> Iterator[Finding]:
    """Say whether prompts have a separator, and what they all begin with."""
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
        "the model sees where the prompt ends and the completion is to begin",
    )
    prefix = column.affixes.prefix
    if prefix:
        long = len(prefix) > LONG_PROMPT_PREFIX
        why = ": a fine-tuned model needs no instructions" if long else ""
        yield _prefix(column, rows, file, why, removable=long)


def completion_findings(
    column: ColumnStats, rows: ChunkSource, file: str | None, *, with_ending: bool
) -> Iterator[Finding]:
    """Say what completions all begin with, and (`with_ending`) whether they end alike."""
    if column.affixes.identical:
        if with_ending:
            yield _identical(column, file, "The model would learn to repeat it: make them differ.")
        return
    if len(column.affixes.prefix) >= LONG_COMPLETION_PREFIX:
        yield _prefix(column, rows, file, ": the model need not learn it", removable=True)
    if with_ending:
        yield _ending(column, rows, file, "ending", "the model learns where to stop")


def _identical(column: ColumnStats, file: str | None, advice: str) -> Finding:
    return Finding(
        code=f"identical-{column.field}s",
        severity="fatal",
        message=f"All {column.field}s are the same. {advice}",
        file=file,
        field=column.field,
    )


def _ending(
    column: ColumnStats, rows: ChunkSource, file: str | None, name: str, why: str
) -> Finding:
    field, suffix, addition = column.field, column.affixes.suffix, column.suggested_suffix
    shown = _escape_newlines(addition)
    if not suffix:
        return Finding(
            code=f"no-{name}",
            severity="warning",
            message=f"The {field}s do not end alike. With a common {name}, {why}.",
            file=file,
            field=field,
            remedy=Fix(
                description=f"Add the {name} `{shown}` to the end of all {field}s",
                transform=AddSuffix(field, addition),
            ),
        )
    message = f"All {field}s end with `{_escape_newlines(suffix)}`."
    if len(suffix) > LONG_ENDING:
        message += f" That is long; `{shown}` would do."
    inside = column.affixes.suffix_is_inside(rows, field)
    if inside:
        message += f" Some hold it elsewhere too: a {name} should be nowhere else."
    return Finding(
        code=f"{name}-inside" if inside else name,
        severity="warning" if inside else "info",
        message=message,
        file=file,
        field=field,
    )


def _prefix(
    column: ColumnStats, rows: ChunkSource, file: str | None, why: str, *, removable: bool
) -> Finding:
    field, prefix = column.field, column.affixes.prefix
    # To remove what would leave a text empty, or what would be found again, is no repair.
    removable = (
        removable
        and column.affixes.shortest > len(prefix)
        and not would_repeat(rows, field, prefix, column.suggested_suffix)
    )
    return Finding(
        code=f"{field}-prefix",
        severity="warning" if removable else "info",
        message=f"All {field}s begin with `{_escape_newlines(prefix)}`{why}.",
        file=file,
        field=field,
        remedy=Fix(
            description=f"Remove the prefix `{_escape_newlines(prefix)}` from all {field}s",
            transform=RemovePrefix(field, prefix),
        )
        if removable
        else None,
    )


def _escape_newlines(text: str) -> str:
    return text.replace("\n", "\\n")
