"""Which requests a script is for."""

import re
from collections.abc import Callable, Generator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Any, TypeAlias, TypedDict, cast

from tunesmith.operations.chat import CreateChatCompletion
from tunesmith.operations.completions import CreateCompletion
from tunesmith.operations.embeddings import CreateEmbedding
from tunesmith.operations.registry import validate_operation_name
from tunesmith.service.core.errors import ServiceError
from tunesmith.service.inference.messages import as_mapping, message_text

__all__ = [
    "InferenceOperation",
    "RequestMatcher",
    "RequestPattern",
    "StubError",
    "last_message_text",
    "matches",
    "stub_errors",
    "validate_matcher",
]

InferenceOperation: TypeAlias = CreateCompletion | CreateChatCompletion | CreateEmbedding
"""What a script may answer."""


class StubError(AssertionError):
    """A function of a script raised, or gave what is no answer; its cause tells what went wrong.

    It is no error of the service, so the client neither retries it nor takes it for one. Behind a
    socket it is a 500, and the log tells of it.
    """


@contextmanager
def stub_errors(operation: InferenceOperation) -> Generator[None]:
    """Tell what goes wrong in a function that somebody gave from what the service answers."""
    try:
        yield
    except ServiceError:
        raise  # it is how the service refuses
    except Exception as error:
        raise StubError(
            f"the script that was to answer {operation.spec.name} raised {type(error).__name__}: "
            f"{error}"
        ) from error


class RequestPattern(TypedDict, total=False):
    """What a request must be like, field by field.

    Args:
        operation: The operation's name; `*` stands for any text.
        model: The model's name; `*` stands for any text.
        prompt: A text that the prompt holds, or a pattern that is found in it.
    """

    operation: str
    model: str
    prompt: str | re.Pattern[str]


RequestMatcher: TypeAlias = str | re.Pattern[str] | RequestPattern | Callable[[Any], bool]
"""Which requests: a text that the prompt holds, a pattern that is found in it, fields, or a
function of the operation. The prompt of a chat is its last message."""


def validate_matcher(match: RequestMatcher | None) -> None:
    """Look over what a script was given.

    Raises:
        TypeError: It is nothing that a request can be like.
        ValueError: It names an unknown field, or an operation that there is not.
    """
    if match is not None and not (isinstance(match, str | re.Pattern | dict) or callable(match)):
        raise TypeError(
            "match is a text, a pattern, a mapping of fields or a function, "
            f"not {type(match).__name__}"
        )
    if isinstance(match, dict):
        fields = cast("dict[str, object]", match)
        unknown = set(fields) - set(RequestPattern.__annotations__)
        if unknown:
            known = ", ".join(RequestPattern.__annotations__)
            raise ValueError(f"match knows {known}, not {', '.join(sorted(unknown))}")
        validate_operation_name(str(fields.get("operation", "*")))


def matches(match: RequestMatcher | None, operation: InferenceOperation, prompt: str) -> bool:
    """Tell whether a request is meant.

    Args:
        match: Which requests; None for all.
        operation: The request.
        prompt: Its prompt as text.
    """
    if match is None:
        return True
    if isinstance(match, str | re.Pattern):
        return _contains(match, prompt)
    if callable(match):
        return bool(match(operation))
    return (
        fnmatchcase(operation.spec.name, match.get("operation", "*"))
        and fnmatchcase(operation.model, match.get("model", "*"))
        and _contains(match.get("prompt", ""), prompt)
    )


def last_message_text(operation: CreateChatCompletion) -> str:
    """Give the text of a conversation's last message."""
    return message_text(as_mapping(operation.messages[-1])) if operation.messages else ""


def _contains(wanted: str | re.Pattern[str], prompt: str) -> bool:
    return wanted in prompt if isinstance(wanted, str) else wanted.search(prompt) is not None
