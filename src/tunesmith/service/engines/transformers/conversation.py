"""Conversations whose beginnings are rendered, without control tokens in their contents."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from tunesmith._json_types import is_list, is_object
from tunesmith.service.engines.transformers.chat_template import ChatTemplate, ChatTemplateError

__all__ = ["SENTINELS", "ControlSplitter", "Conversation"]

SENTINELS = tuple(map(chr, range(0xFDD0, 0xFDF0)))
"""Characters that Unicode reserves for use inside of programs."""


class Conversation:
    """Conversation whose beginnings can be rendered.

    Args:
        template: Chat template.
        messages: Messages, with control tokens split.
        tools: Tools, with control tokens split.
    """

    def __init__(
        self,
        template: ChatTemplate,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]],
    ) -> None:
        self._template = template
        self._messages = messages
        self._tools = tools

    def render(self, n: int, *, prompt: bool = False, user_next: bool = False) -> str:
        """Render the first messages.

        Args:
            n: Number of messages.
            prompt: Whether to begin a turn of the assistant after them.
            user_next: Whether to add a message of the user.

        Raises:
            ChatTemplateError: The template does not support the messages.
        """
        messages = list(self._messages[:n])
        if user_next:
            messages.append({"role": "user", "content": "?"})
        return self._template.render(messages, self._tools, add_generation_prompt=prompt)


class ControlSplitter:
    """Function that puts a sentinel into each control token that a text spells.

    Args:
        control: Pattern of control tokens.
    """

    def __init__(self, control: re.Pattern[str]) -> None:
        self._control = control

    def __call__(self, value: Any) -> Any:
        """Return JSON with all of its texts split."""
        if isinstance(value, str):
            return self._split(value)
        if is_object(value):
            return {self(key): self(item) for key, item in value.items()}
        return [self(item) for item in value] if is_list(value) else value

    def _split(self, text: str) -> str:
        if not self._control.search(text):
            return text
        sentinel = next((char for char in SENTINELS if char not in text), None)
        if sentinel is None:
            raise ChatTemplateError("a message contains too many noncharacters of Unicode")
        return self._control.sub(lambda match: f"{match[0][0]}{sentinel}{match[0][1:]}", text)
