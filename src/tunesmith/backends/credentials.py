"""Keys: what may be one, and how it is had before an attempt."""

from collections.abc import Awaitable, Callable

from pydantic import SecretStr

from tunesmith.errors import BackendError, ConfigurationError

__all__ = ["BAD_HEADER", "ApiKey", "kept_key", "secret_of"]

ApiKey = str | SecretStr | Callable[[], Awaitable[str]]
"""A key, or an asynchronous function that is asked for one before each attempt."""

KeptKey = SecretStr | Callable[[], Awaitable[str]]

BAD_HEADER = (
    "nothing was sent: the key, the path or a header holds what none may, such as the end of a "
    "line or a letter beyond ASCII"
)
"""In place of the words of the HTTP libraries, which quote the header."""


def kept_key(key: ApiKey | None) -> KeptKey | None:
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


async def secret_of(key: KeptKey) -> str:
    """Give a key itself.

    Raises:
        BackendError: The function gave what no header can hold.
    """
    secret = key.get_secret_value() if isinstance(key, SecretStr) else await key()
    if not _fits(secret):
        raise BackendError(BAD_HEADER, phase="closed")
    return secret


def _is_key(key: object) -> bool:
    if isinstance(key, SecretStr):
        return _fits(key.get_secret_value())
    return key is None or callable(key)


def _fits(key: str) -> bool:
    # Found out here, since the HTTP libraries would quote the key, in logs too.
    return key.isascii() and key.isprintable()
