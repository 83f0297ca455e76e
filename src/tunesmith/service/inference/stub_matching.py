"""Matching of requests to stubs."""

import re
from collections.abc import Callable, Generator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Any, TypeAlias, TypedDict, cast

from tunesmith.operations.chat import CreateChatCompletion
from tunesmith.operations.completions import CreateCompletion
from tunesmith.operations.embeddings import CreateEmbedding
from tunesmith.operations.registry import validate_operation_name
from tunesmith.operations.responses import CreateResponse
from tunesmith.service.core.errors import ServiceError, StubError

__all__ = [
    "InferenceOperation",
    "RequestMatcher",
    "RequestPattern",
    "matches",
    "stub_errors",
    "validate_matcher",
]

InferenceOperation: TypeAlias = (
    CreateCompletion | CreateChatCompletion | CreateEmbedding | CreateResponse
)
"""An operation that can be stubbed."""


@contextmanager
def stub_errors(operation: InferenceOperation) -> Generator[None]:
    """Raise errors of a stub's function as `StubError`; a `ServiceError` stays as it is."""
    try:
        yield
    except ServiceError:
        raise
    except Exception as error:
        raise StubError(
            f"the stub for {operation.spec.name} raised {type(error).__name__}: {error}"
        ) from error


class RequestPattern(TypedDict, total=False):
    """Conditions on the fields of a request.

    Args:
        operation: The operation's name; `*` matches any text.
        model: The model's name; `*` matches any text.
        prompt: A text that the prompt contains, or a regular expression that is found in it.
    """

    operation: str
    model: str
    prompt: str | re.Pattern[str]


RequestMatcher: TypeAlias = str | re.Pattern[str] | RequestPattern | Callable[[Any], bool]
"""A text that the prompt contains, a regular expression that is found in it, conditions on fields,
or a predicate of the operation. The prompt of a chat is its last message."""


def validate_matcher(match: RequestMatcher | None) -> None:
    """Check a matcher before it is used.

    Raises:
        TypeError: It has a wrong type.
        ValueError: It has an unknown field, or names an unknown operation.
    """
    if match is not None and not (isinstance(match, str | re.Pattern | dict) or callable(match)):
        raise TypeError(
            "match must be a text, a regular expression, a mapping of fields or a function, "
            f"not {type(match).__name__}"
        )
    if isinstance(match, dict):
        fields = cast("dict[str, object]", match)
        unknown = set(fields) - set(RequestPattern.__annotations__)
        if unknown:
            known = ", ".join(RequestPattern.__annotations__)
            raise ValueError(f"unknown fields {', '.join(sorted(unknown))} in match; use {known}")
        validate_operation_name(str(fields.get("operation", "*")))


def matches(match: RequestMatcher | None, operation: InferenceOperation, prompt: str) -> bool:
    """Return whether a request matches.

    Args:
        match: The matcher; None matches all requests.
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


def _contains(pattern: str | re.Pattern[str], prompt: str) -> bool:
    return pattern in prompt if isinstance(pattern, str) else pattern.search(prompt) is not None
