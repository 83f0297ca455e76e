"""Which requests a script is for."""

import re
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any, TypeAlias, TypedDict, cast

from tunesmith.operations.chat import CreateChatCompletion
from tunesmith.operations.completions import CreateCompletion
from tunesmith.operations.embeddings import CreateEmbedding
from tunesmith.service.conversation import fields_of, text_of

__all__ = ["Asked", "AskedFields", "Match", "last_said", "matches", "require_match"]

Asked: TypeAlias = CreateCompletion | CreateChatCompletion | CreateEmbedding
"""What a script may answer."""


class AskedFields(TypedDict, total=False):
    """What a request must be like, field by field.

    Args:
        operation: The operation's name; `*` stands for any text.
        model: The model's name; `*` stands for any text.
        prompt: A text that the prompt holds, or a pattern that is found in it.
    """

    operation: str
    model: str
    prompt: str | re.Pattern[str]


Match: TypeAlias = str | re.Pattern[str] | AskedFields | Callable[[Any], bool]
"""Which requests: a text that the prompt holds, a pattern that is found in it, fields, or a
function of the operation. The prompt of a chat is its last message."""


def require_match(match: Match | None) -> None:
    """Look over what a script was given.

    Raises:
        ValueError: It names an unknown field.
    """
    if isinstance(match, dict):
        unknown = set(cast("dict[str, object]", match)) - set(AskedFields.__annotations__)
        if unknown:
            known = ", ".join(AskedFields.__annotations__)
            raise ValueError(f"match knows {known}, not {', '.join(sorted(unknown))}")


def matches(match: Match | None, asked: Asked, prompt: str) -> bool:
    """Tell whether a request is meant.

    Args:
        match: Which requests; None for all.
        asked: The request.
        prompt: Its prompt as text.
    """
    if match is None:
        return True
    if isinstance(match, str | re.Pattern):
        return _is_in(match, prompt)
    if callable(match):
        return bool(match(asked))
    return (
        fnmatchcase(asked.spec.name, match.get("operation", "*"))
        and fnmatchcase(asked.model, match.get("model", "*"))
        and _is_in(match.get("prompt", ""), prompt)
    )


def last_said(asked: CreateChatCompletion) -> str:
    """Give the text of a conversation's last message."""
    return text_of(fields_of(asked.messages[-1])) if asked.messages else ""


def _is_in(wanted: str | re.Pattern[str], prompt: str) -> bool:
    return wanted in prompt if isinstance(wanted, str) else wanted.search(prompt) is not None
