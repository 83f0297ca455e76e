"""Reinforcement items: what the service would refuse, and what is unwise."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from tunesmith.datasets.checks.images import IMAGE_RULES, IMAGES_PER_EXAMPLE, count_images
from tunesmith.datasets.checks.messages import (
    MESSAGE_RULES,
    inspect_messages,
    is_message_list,
    without_unknown_keys,
)
from tunesmith.datasets.checks.row_check import RowCheck, unknown_key_rule
from tunesmith.datasets.checks.row_rules import Problem, Rule
from tunesmith.datasets.checks.tools import TOOL_RULES, inspect_tools, tool_names
from tunesmith.datasets.findings import Finding
from tunesmith.datasets.formats import TOOL_KEYS
from tunesmith.datasets.rows import Row

__all__ = ["ReinforcementCheck", "inspect_item"]


def _strip(data: dict[str, Any]) -> None:
    without_unknown_keys(data.get("messages"))


RULES = {
    **MESSAGE_RULES,
    "unknown-key": unknown_key_rule(_strip),
    "ends-with-assistant": Rule(
        "the last message is the assistant's: the answer is the model's to give, and references "
        "are fields of their own."
    ),
    "no-reference": Rule(
        "there is nothing but messages: the grader finds no reference answer.",
        severity="warning",
        drop=False,
    ),
    **TOOL_RULES,
    **IMAGE_RULES,
}


class ReinforcementCheck(RowCheck):
    """Looks at rows of `messages` and the fields that the grader reads."""

    def __init__(self, file: str | None) -> None:
        super().__init__(file, inspect_item, RULES)
        self._rows = 0
        self._fields: Counter[str] = Counter()

    def update_row(self, row: Row) -> None:
        """Count the fields beside the messages."""
        self._rows += 1
        self._fields.update(_references(row.data))

    def format_findings(self) -> Iterator[Finding]:
        """Say which fields some rows lack."""
        for field, count in self._fields.items():
            if count < self._rows:
                yield Finding(
                    code="uneven-fields",
                    severity="warning",
                    message=f"{self._rows - count} rows have no `{field}`, which others have: a "
                    "grader that reads it fails for them.",
                    file=self.file,
                    field=field,
                    count=self._rows - count,
                )


def inspect_item(data: dict[str, Any]) -> Iterator[Problem]:
    """Find what the service would refuse in a reinforcement item."""
    yield from inspect_tools(data)
    messages = data.get("messages")
    yield from inspect_messages(messages, "messages", tool_names(data), weights=False)
    if not _references(data):
        yield Problem("no-reference", "messages")
    if not is_message_list(messages) or not messages:
        return
    if messages[-1].get("role") == "assistant":
        yield Problem("ends-with-assistant", f"messages[{len(messages) - 1}]")
    if count_images(messages) > IMAGES_PER_EXAMPLE:
        yield Problem("too-many-images", "messages")


def _references(data: dict[str, Any]) -> list[str]:
    return [key for key in data if key != "messages" and key not in TOOL_KEYS]
