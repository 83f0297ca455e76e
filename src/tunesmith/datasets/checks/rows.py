"""Check of rows that hold messages: conversations, preference pairs and reinforcement items."""

from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from tunesmith.datasets.checks.duplicates import DuplicatesCheck
from tunesmith.datasets.checks.edits import EDITS, refined_code
from tunesmith.datasets.checks.secrets import SecretsCheck
from tunesmith.datasets.checks.system import SystemMessageCheck
from tunesmith.datasets.checks.texts import row_texts
from tunesmith.datasets.findings import Finding, FindingCounter, Fix
from tunesmith.datasets.fingerprints import fingerprints_of
from tunesmith.datasets.rows import Chunk, ChunkSource, Row
from tunesmith.datasets.transforms import DropRows, EditRows
from tunesmith.training_rules import (
    MAX_IMAGE_EXAMPLES,
    PAIR_KEYS,
    RULES,
    Format,
    Problem,
    count_images,
    inspect_row,
)

__all__ = ["FINDINGS", "RowCheck"]

_MAX_KEYS = 1000
_NO_REFERENCE_KEYS = {"messages", "tools", "functions", "parallel_tool_calls"}


@dataclass(frozen=True, slots=True)
class _Advice:
    """Finding about a row that the service accepts."""

    message: str
    can_drop: bool = True


_ADVICE = {
    "same-outputs": _Advice("both outputs are the same, so that there is nothing to prefer."),
    "no-reference": _Advice("there are only messages; a grader finds no reference.", False),
}


class RowCheck:
    """Check of rows that hold messages, by the rules for training files.

    Args:
        file: The file.
        format: The format of the rows.
    """

    def __init__(self, file: str | None, format: Format) -> None:
        self._file = file
        self._format: Format = format
        # Edits come first: they can make it possible to check more of a message.
        self._counters = {code: FindingCounter() for code in (*_EXTRA_CODES, *RULES, *_ADVICE)}
        self._unknown_keys: Counter[str] = Counter()
        self._references: Counter[str] = Counter()
        self._rows = 0
        self._with_images = 0
        self._system = SystemMessageCheck(file)
        self._duplicates = DuplicatesCheck(file)
        self._secrets = SecretsCheck(file)

    def update(self, chunk: Chunk) -> None:
        """Inspect some rows."""
        texts = row_texts(chunk)
        self._duplicates.update(fingerprints_of(chunk), texts)
        self._secrets.update(chunk, texts)
        self._rows += len(chunk)
        for line, data in chunk:
            problems = self._problems(data)
            for code, problem in {p.code: p for p in reversed(problems)}.items():
                self._counters[code].add(line, field=problem.path, excerpt=problem.value)
            self._count_unknown_keys(problems)
            if self._format == "chat":
                self._system.update(line, data.get("messages"))
                self._with_images += count_images(data.get("messages")) > 0
            elif self._format == "reinforcement":
                self._references.update(data.keys() - _NO_REFERENCE_KEYS)

    def findings(self, rows: ChunkSource) -> Iterator[Finding]:
        """Yield the findings."""
        for code, counter in self._counters.items():
            if counter.count:
                yield self._finding(code, counter)
        if self._with_images > MAX_IMAGE_EXAMPLES:
            yield Finding(
                code="too-many-image-rows",
                severity="error",
                message=f"{self._with_images:,} rows have images; the service takes at most "
                f"{MAX_IMAGE_EXAMPLES:,} in a file.",
                file=self._file,
                count=self._with_images,
            )
        for field, count in self._references.items():
            if lacking := self._rows - count:
                rows_lack = "1 row has" if lacking == 1 else f"{lacking} rows have"
                yield Finding(
                    code="uneven-fields",
                    severity="warning",
                    message=f"{rows_lack} no `{field}`, which others have; a "
                    "grader that reads it fails for them.",
                    file=self._file,
                    field=field,
                    count=lacking,
                )
        yield from self._system.findings()
        yield from self._duplicates.findings(rows)
        yield from self._secrets.findings()

    def _inspect(self, data: dict[str, Any]) -> Iterator[Problem]:
        for problem in inspect_row(data, self._format):
            yield problem._replace(code=refined_code(problem, data))
        if self._format == "dpo":
            better, worse = (data.get(key) for key in PAIR_KEYS[1:])
            if better is not None and better == worse:
                yield Problem("same-outputs", PAIR_KEYS[2], worse)
        elif self._format == "reinforcement" and not data.keys() - _NO_REFERENCE_KEYS:
            yield Problem("no-reference", "messages")

    def _problems(self, data: dict[str, Any]) -> list[Problem]:
        """Return the problems that edits fix, and those that remain after the edits."""
        problems: list[Problem] = []
        remaining = [*self._inspect(data)]
        fixed = Row(0, data)
        # An edit can reveal a problem with another edit.
        for _ in EDITS:
            editable = [problem for problem in remaining if problem.code in EDITS]
            if not editable:
                break
            fixed = fixed if problems else Row(0, deepcopy(data))
            for problem in editable:
                EDITS[problem.code].apply(fixed)
            problems += editable
            remaining = [*self._inspect(fixed.data)]
        return [*problems, *remaining]

    def _count_unknown_keys(self, problems: list[Problem]) -> None:
        # A dict keeps the order of the keys, so that equal counts are named in one order.
        keys = dict.fromkeys(
            str(problem.value) for problem in problems if problem.code == "unknown-key"
        )
        self._unknown_keys.update(
            key for key in keys if key in self._unknown_keys or len(self._unknown_keys) < _MAX_KEYS
        )

    def _finding(self, code: str, counter: FindingCounter) -> Finding:
        if advice := _ADVICE.get(code):
            message = advice.message
        elif code == "unknown-key":
            message = f"the service does not accept {self._key_names()}."
        else:
            message = _EXTRA_CODES.get(code) or RULES[code].message
        return counter.finding(
            code,
            "warning" if advice else "error",
            f"{counter.rows}: {message}",
            file=self._file,
            fix=self._fix(code, counter.rows) if not advice or advice.can_drop else None,
        )

    def _fix(self, code: str, rows: str) -> Fix:
        if code == "unknown-key":
            description = f"Remove {self._key_names()}"
            return Fix(description=description, transform=EditRows(self._remove_unknown_keys))
        if edit := EDITS.get(code):
            return Fix(description=f"{edit.description} ({rows})", transform=EditRows(edit.apply))

        def has_problem(row: Row) -> bool:
            return any(problem.code == code for problem in self._inspect(row.data))

        return Fix(description=f"Remove {rows} ({code})", transform=DropRows(has_problem))

    def _key_names(self) -> str:
        return ", ".join(f"`{key}` ({count})" for key, count in self._unknown_keys.most_common())

    def _remove_unknown_keys(self, row: Row) -> None:
        for problem in [*inspect_row(row.data, self._format)]:
            code = refined_code(problem, row.data)
            if code == "unknown-key" and problem.parent is not None:
                del problem.parent[str(problem.value)]


_EXTRA_CODES = {
    "meaningful-key": "a key changes the meaning of the row, and the service ignores it: "
    "`label` marks bad answers, `images` belong into the messages as `image_url` parts with URLs.",
    **{code: edit.problem for code, edit in EDITS.items()},
}


FINDINGS = frozenset({*RULES, *_EXTRA_CODES, *_ADVICE} - {"not-text", "empty-completions"})
"""Codes of the findings that this check can have."""
