"""Answers given by hand, in front of the engine."""

from collections.abc import Callable
from typing import TypeAlias

from tunesmith.operations.chat import CreateChatCompletion
from tunesmith.operations.completions import CreateCompletion

__all__ = ["Asked", "Replies", "Reply"]

Asked: TypeAlias = CreateCompletion | CreateChatCompletion
"""What a reply is an answer to."""

Reply: TypeAlias = str | Callable[[Asked], str | None]
"""The text to answer, or a function that tells it; None leaves the answer to the next."""


class Replies:
    """The replies a service was given; the last one that has an answer gives it.

    Example:
        ```python
        replies = Replies()
        replies.add("I only know that I know nothing.")
        replies.add(lambda asked: "Kant" if asked.model == "davinci-002" else None)
        ```
    """

    def __init__(self) -> None:
        self._replies: list[Reply] = []

    def add(self, reply: Reply) -> None:
        """Answer so from now on."""
        self._replies.append(reply)

    def clear(self) -> None:
        """Leave all answers to the engine again."""
        self._replies.clear()

    def find(self, asked: Asked) -> str | None:
        """Tell the text to answer; None leaves the answer to the engine."""
        for reply in reversed(self._replies):
            text = reply if isinstance(reply, str) else reply(asked)
            if text is not None:
                return text
        return None
