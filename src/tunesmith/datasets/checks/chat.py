"""Conversations: what the service would refuse, and what is unwise."""

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
from tunesmith.datasets.checks.system import SystemMessageCheck
from tunesmith.datasets.checks.tools import (
    TOOL_RULES,
    inspect_tools,
    tool_names,
)
from tunesmith.datasets.findings import Finding
from tunesmith.datasets.formats import TOOL_KEYS
from tunesmith.datasets.rows import Row

__all__ = ["ChatCheck", "inspect_chat"]

IMAGE_EXAMPLES = 50_000
_ROW_KEYS = {"messages", *TOOL_KEYS}


def _remove_unknown_keys(data: dict[str, Any]) -> None:
    for key in data.keys() - _ROW_KEYS:
        del data[key]
    without_unknown_keys(data.get("messages"))


RULES = {
    **MESSAGE_RULES,
    "unknown-key": unknown_key_rule(_remove_unknown_keys),
    "last-not-assistant": Rule("the last message is not the assistant's: there is no answer."),
    "nothing-to-learn": Rule("no message of the assistant has a weight other than 0."),
    **TOOL_RULES,
    **IMAGE_RULES,
}


class ChatCheck(RowCheck):
    """Looks at rows of `messages`."""

    def __init__(self, file: str | None) -> None:
        super().__init__(file, inspect_chat, RULES)
        self._system = SystemMessageCheck(file)
        self._with_images = 0

    def update_row(self, row: Row) -> None:
        """Look at the system message and for images."""
        messages = row.data.get("messages")
        self._system.see(row.line, messages)
        self._with_images += count_images(messages) > 0

    def format_findings(self) -> Iterator[Finding]:
        """Say what was found of system messages and images."""
        if self._with_images > IMAGE_EXAMPLES:
            yield Finding(
                code="too-many-image-rows",
                severity="error",
                message=f"{self._with_images} rows have images; the service takes "
                f"{IMAGE_EXAMPLES:,} of them in a file.",
                file=self.file,
                count=self._with_images,
            )
        yield from self._system.findings()


def inspect_chat(data: dict[str, Any]) -> Iterator[Problem]:
    """Find what the service would refuse in a conversation."""
    for key in data.keys() - _ROW_KEYS:
        yield Problem("unknown-key", key, key)
    yield from inspect_tools(data)
    messages = data.get("messages")
    yield from inspect_messages(messages, "messages", tool_names(data))
    if not is_message_list(messages) or not messages:
        return
    last = len(messages) - 1
    if messages[last].get("role") != "assistant":
        yield Problem("last-not-assistant", f"messages[{last}].role", messages[last].get("role"))
    elif all(m.get("weight") == 0 for m in messages if m.get("role") == "assistant"):
        yield Problem("nothing-to-learn", "messages")
    if count_images(messages) > IMAGES_PER_EXAMPLE:
        yield Problem("too-many-images", "messages")
