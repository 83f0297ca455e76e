"""Check of prompt/completion tables; findings come in the order in which fixes are offered."""

from collections.abc import Callable, Iterator

from tunesmith.datasets.checks.affixes import AffixStats
from tunesmith.datasets.checks.duplicates import DuplicatesCheck
from tunesmith.datasets.checks.labels import LabelStats
from tunesmith.datasets.checks.secrets import SecretsCheck
from tunesmith.datasets.checks.separators import (
    ENDINGS,
    SEPARATORS,
    ColumnStats,
    completion_findings,
    prompt_findings,
)
from tunesmith.datasets.checks.texts import CaseStats, pair_texts
from tunesmith.datasets.diagnosis import Task
from tunesmith.datasets.findings import Finding, FindingCounter, Fix
from tunesmith.datasets.fingerprints import pair_fingerprints
from tunesmith.datasets.rows import Chunk, ChunkSource, Row, columns
from tunesmith.datasets.transforms import AddLeadingSpace, DropRows, LowerCase

__all__ = ["CompletionsCheck", "is_blank"]

LONG_CHARACTERS = 10_000
"""Length above which models with a context of 2,048 tokens cut rows."""


class CompletionsCheck:
    """Check of rows with a prompt and a completion."""

    def __init__(self, file: str | None) -> None:
        self._file = file
        self._blank = FindingCounter()
        self._long = FindingCounter()
        self._unspaced = FindingCounter()
        self._prompt_characters = 0
        self._labels = LabelStats(file)
        self._duplicates = DuplicatesCheck(file)
        self._secrets = SecretsCheck(file)
        self._prompts = ColumnStats("prompt", AffixStats(SEPARATORS), CaseStats())
        self._completions = ColumnStats("completion", AffixStats(ENDINGS), CaseStats())

    def update(self, chunk: Chunk) -> None:
        """Inspect some rows."""
        prompts, completions = columns(chunk)
        if not all(map(str.strip, completions)):
            for row in filter(is_blank, chunk):
                self._blank.add(row.line, field="completion")
            self.update([row for row in chunk if not is_blank(row)])
            return
        texts = pair_texts(prompts, completions)
        if max(map(len, texts), default=0) > LONG_CHARACTERS:
            for row in filter(_is_long, chunk):
                self._long.add(row.line, excerpt=row.data["prompt"])
        if unspaced := [line for line, data in chunk if data["completion"][0] != " "]:
            self._unspaced.add(*unspaced, field="completion")
        self._labels.update(completions)
        self._duplicates.update(pair_fingerprints(prompts, completions), texts)
        self._secrets.update(chunk, texts)
        self._prompt_characters += self._prompts.update(prompts)
        self._completions.update(completions)

    @property
    def task(self) -> Task:
        """The task of the table."""
        if not self._prompt_characters:
            return "open-ended generation"
        if self._labels.is_classification:
            return "classification"
        return "conditional generation"

    def findings(self, rows: ChunkSource) -> Iterator[Finding]:
        """Yield the findings."""

        def filled() -> Iterator[Chunk]:
            for chunk in rows():
                yield [row for row in chunk if not is_blank(row)]

        if self._blank.count:
            yield self._blank.finding(
                "empty-completions",
                "error",
                f"{self._blank.rows}: the completion is empty, so that there is nothing to learn.",
                file=self._file,
                fix=Fix(
                    description=f"Remove {self._blank.rows} with empty completions",
                    transform=DropRows(is_blank),
                    required=True,
                ),
            )
        if self._blank.count and not self._labels.rows:
            yield self._all_empty()
            return
        task = self.task
        if task == "classification":
            yield from self._labels.findings(filled)
        yield from self._duplicates.findings(filled)
        if task != "open-ended generation" and self._long.count:
            yield self._long_rows()
        yield from self._upper_case()
        if task != "open-ended generation":
            yield from prompt_findings(self._prompts, filled, self._file)
        yield from completion_findings(
            self._completions,
            filled,
            self._file,
            with_ending=task == "conditional generation",
        )
        if self._unspaced.count:
            yield self._unspaced.finding(
                "no-leading-space",
                "warning",
                "Completions should start with a space, as word-initial tokens do.",
                file=self._file,
                fix=Fix(
                    description="Start completions with a space",
                    transform=AddLeadingSpace("completion"),
                ),
            )
        yield from self._secrets.findings()

    def _all_empty(self) -> Finding:
        return Finding(
            code="no-completions",
            severity="fatal",
            message="All completions are empty, so that nothing would be left. Fill them in.",
            file=self._file,
            field="completion",
            count=self._blank.count,
        )

    def _long_rows(self) -> Finding:
        return self._long.finding(
            "long-rows",
            "warning",
            f"{self._long.rows}: longer than {LONG_CHARACTERS:,} characters, which models with "
            "a short context cut.",
            file=self._file,
            fix=Fix(
                description=f"Remove {self._long.rows} that are too long",
                transform=DropRows(_without_additions(self._prompts, self._completions)),
            ),
        )

    def _upper_case(self) -> Iterator[Finding]:
        for column in (self._prompts, self._completions):
            if column.case.mostly_upper:
                yield Finding(
                    code="upper-case",
                    severity="warning",
                    message=f"More than a third of the letters in `{column.field}` are in upper "
                    "case, which models know less well.",
                    file=self._file,
                    field=column.field,
                    fix=Fix(
                        description=f"Put `{column.field}` in lower case",
                        transform=LowerCase(column.field, column.suggested_suffix),
                    ),
                )


def is_blank(row: Row) -> bool:
    """Return whether the completion of a row is empty."""
    completion: str = row.data["completion"]
    return not completion or completion.isspace()


def _is_long(row: Row) -> bool:
    prompt: str = row.data["prompt"]
    completion: str = row.data["completion"]
    return len(prompt) + len(completion.removeprefix(" ")) > LONG_CHARACTERS


def _without_additions(prompts: ColumnStats, completions: ColumnStats) -> Callable[[Row], bool]:
    # Suffixes that other fixes add do not count.
    separator, ending = prompts.suggested_suffix, completions.suggested_suffix

    def is_long(row: Row) -> bool:
        return _is_long(
            Row(
                row.line,
                {
                    "prompt": row.data["prompt"].removesuffix(separator),
                    "completion": row.data["completion"].removesuffix(ending),
                },
            )
        )

    return is_long
