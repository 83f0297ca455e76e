"""Keys: what may be one, and how it is had before an attempt."""

from collections.abc import Awaitable, Callable

from pydantic import SecretStr

from tunesmith.errors import BackendError, ConfigurationError

__all__ = ["INVALID_HEADER_MESSAGE", "ApiKey", "resolve_api_key", "wrap_api_key"]

ApiKey = str | SecretStr | Callable[[], Awaitable[str]]
"""A key, or an asynchronous function that is asked for one before each attempt."""

ResolvedKey = SecretStr | Callable[[], Awaitable[str]]

INVALID_HEADER_MESSAGE = (
    "nothing was sent: the key, the path or a header holds what none may, such as the end of a "
    "line or a letter beyond ASCII"
)
"""In place of the words of the HTTP libraries, which quote the header."""


def wrap_api_key(key: ApiKey | None) -> ResolvedKey | None:
    """Take a key, so that no report of an error shows it.

    Raises:
        ConfigurationError: It is no key.
    """
    kept = SecretStr(key) if isinstance(key, str) else key
    if not _is_key(kept):
        raise ConfigurationError(
            "api_key must be one line of ASCII text, or an asynchronous function that gives it"
        )
    return kept


async def resolve_api_key(key: ResolvedKey) -> str:
    """Give a key itself.

    Raises:
        BackendError: The function gave what no header can hold.
    """
    secret = key.get_secret_value() if isinstance(key, SecretStr) else await key()
    if not _is_header_safe(secret):
        raise BackendError(INVALID_HEADER_MESSAGE, phase="closed")
    return secret


def _is_key(key: object) -> bool:
    if isinstance(key, SecretStr):
        return _is_header_safe(key.get_secret_value())
    return key is None or callable(key)


def _is_header_safe(key: str) -> bool:
    # Found out here, since the HTTP libraries would quote the key, in logs too.
    return key.isascii() and key.isprintable()
