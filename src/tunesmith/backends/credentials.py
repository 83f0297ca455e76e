"""API keys and header values, hidden from tracebacks before they are validated.

Error reports may print the variables of every frame. Constructors therefore replace their secret
arguments by concealed ones before anything can raise.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from pydantic import SecretBytes, SecretStr

from tunesmith.errors import BackendError, ConfigurationError
from tunesmith.protocol.message import SecretHeaders, find_header_problem, is_header_safe

__all__ = [
    "INVALID_HEADER_MESSAGE",
    "ApiKey",
    "conceal",
    "conceal_headers",
    "resolve_api_key",
    "validate_api_key",
    "validate_headers",
]

ApiKey = str | SecretStr | Callable[[], Awaitable[str] | str]
"""An API key, or a function, usually asynchronous, that returns it and is called before each
attempt.
"""

INVALID_HEADER_MESSAGE = (
    "nothing was sent: the API key, the path or a header contains a line break or a character "
    "outside ASCII"
)
"""Replaces the messages of the HTTP libraries, which quote the header."""

T = TypeVar("T")


def conceal(value: T) -> T | SecretStr:
    """Return a secret text in a wrapper whose repr hides it; other values unchanged."""
    if isinstance(value, bytes):
        return SecretBytes(value)  # type: ignore[return-value] # pyright: ignore[reportReturnType]
    return SecretStr(value) if isinstance(value, str) else value


def conceal_headers(headers: Mapping[str, str] | None) -> SecretHeaders:
    """Return headers with lower-case names in a dictionary whose repr hides the values.

    Raises:
        ConfigurationError: They are not a mapping.
    """
    if headers is not None and not isinstance(headers, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance] - users pass anything
        headers = None  # type: ignore[unreachable] # hidden from tracebacks
        raise ConfigurationError("default_headers must be a mapping of names and values")
    return SecretHeaders((str(name).lower(), value) for name, value in (headers or {}).items())


def validate_headers(headers: SecretHeaders) -> None:
    """Check headers when they are configured.

    Raises:
        ConfigurationError: A name or a value cannot be sent.
    """
    problem = find_header_problem(headers)
    if problem is not None:
        raise ConfigurationError(problem)


def validate_api_key(key: ApiKey | None) -> None:
    """Check a concealed API key.

    Raises:
        ConfigurationError: The key is neither one line of ASCII text nor a function.
    """
    if isinstance(key, SecretStr):
        valid = is_header_safe(key.get_secret_value())
    else:
        valid = key is None or callable(key)
    if not valid:
        raise ConfigurationError(
            "api_key must be one line of ASCII text, or a function that returns it"
        )


async def resolve_api_key(key: ApiKey) -> str:
    """Return the current key.

    Raises:
        BackendError: The function did not return a key. Errors raised by the function are re-raised
            unchanged.
    """
    secret = conceal(key() if callable(key) else key)
    if not isinstance(secret, SecretStr) and isinstance(secret, Awaitable):
        secret = conceal(await secret)
    if not isinstance(secret, SecretStr) or not secret.get_secret_value().strip():
        raise BackendError("nothing was sent: api_key must return a key as text", phase="closed")
    return secret.get_secret_value()
