"""API key authentication."""

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
        headers: Headers with lower-case names.
        key: The required key; None accepts any key, but not its absence.

    Raises:
        ServiceError: 401, in the API's words.
    """
    scheme, _, token = headers.get("authorization", "").partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise ServiceError(
            401,
            "You didn't provide an API key. You need to provide your API key in an Authorization "
            "header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY). You can obtain an API "
            "key from https://platform.openai.com/account/api-keys.",
        )
    if key is not None and not compare_digest(token.encode(), key.get_secret_value().encode()):
        raise ServiceError(
            401,
            f"Incorrect API key provided: {_mask_key(token)}. You can find your API key at "
            "https://platform.openai.com/account/api-keys.",
            code="invalid_api_key",
        )


def _mask_key(key: str) -> str:
    if len(key) < _HIDDEN_FROM_CHARS:
        return "*" * len(key)
    hidden = "*" * (len(key) - 2 * _SHOWN_CHARS)
    return f"{key[:_SHOWN_CHARS]}{hidden}{key[-_SHOWN_CHARS:]}"
