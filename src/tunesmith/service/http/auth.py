"""Who may come in: the check of API keys."""

from collections.abc import Mapping
from secrets import compare_digest

from pydantic import SecretStr

from tunesmith.service.core.errors import ServiceError

__all__ = ["authenticate"]

_SHOWN_CHARS = 4
_HIDDEN_FROM_CHARS = 12


def authenticate(headers: Mapping[str, str], key: SecretStr | None) -> None:
    """Check the `authorization` header.

    Args:
        headers: Names in lower case.
        key: The key to ask for; with None any key will do, but one must be there.

    Raises:
        ServiceError: 401, as the real service says it.
    """
    scheme, _, given = headers.get("authorization", "").partition(" ")
    given = given.strip()
    if scheme.lower() != "bearer" or not given:
        raise ServiceError(
            401,
            "You didn't provide an API key. You need to provide your API key in an Authorization "
            "header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY). You can obtain an API "
            "key from https://platform.openai.com/account/api-keys.",
        )
    if key is not None and not compare_digest(given.encode(), key.get_secret_value().encode()):
        raise ServiceError(
            401,
            f"Incorrect API key provided: {_mask_key(given)}. You can find your API key at "
            "https://platform.openai.com/account/api-keys.",
            code="invalid_api_key",
        )


def _mask_key(key: str) -> str:
    if len(key) < _HIDDEN_FROM_CHARS:
        return "*" * len(key)
    hidden = "*" * (len(key) - 2 * _SHOWN_CHARS)
    return f"{key[:_SHOWN_CHARS]}{hidden}{key[-_SHOWN_CHARS:]}"
