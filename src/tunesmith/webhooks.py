"""Verification and parsing of webhooks.

Webhooks are signed as in Standard Webhooks: HMAC-SHA256 over ID, timestamp and body.
Source: https://www.standardwebhooks.com and https://platform.openai.com/docs/guides/webhooks
"""

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Iterable, Mapping
from typing import cast

from pydantic import SecretStr, ValidationError

from tunesmith.errors import ConfigurationError, InvalidRequestError, TunesmithError
from tunesmith.types.webhooks import WebhookEvent

__all__ = ["DEFAULT_TOLERANCE", "InvalidWebhookSignatureError", "sign", "unwrap", "verify"]

DEFAULT_TOLERANCE = 300
"""Maximum age of a webhook in seconds, which prevents replay of captured ones."""

_PREFIX = "whsec_"


WebhookHeaders = Mapping[str, str] | Iterable[tuple[str | bytes, str | bytes]]
"""Headers as web frameworks have them: a mapping, or pairs of names and values."""


class InvalidWebhookSignatureError(TunesmithError):
    """Webhook that is not authentic, or cannot be parsed. Respond with status 400."""


def unwrap(
    body: bytes | str,
    headers: WebhookHeaders,
    *,
    secret: str | SecretStr,
    tolerance: float = DEFAULT_TOLERANCE,
    now: float | None = None,
) -> WebhookEvent:
    """Verify a webhook and parse its event.

    Args:
        body: The request body, exactly as received.
        headers: The request headers, as a mapping or as pairs; names in any case.
        secret: The endpoint's signing secret, `whsec_…`.
        tolerance: Maximum age, or clock difference, in seconds.
        now: Current Unix time; the system clock by default.

    Raises:
        InvalidWebhookSignatureError: The signature is missing, wrong or too old, or the body is
            not an event.
        ConfigurationError: The secret is malformed.
        InvalidRequestError: The headers are neither a mapping nor pairs.

    Example:
        ```python
        from tunesmith.webhooks import sign, unwrap

        secret = "whsec_" + "c2VjcmV0LXNlY3JldC1zZWNyZXQ="
        body = '{"id":"evt_1","type":"batch.completed","created_at":1,"data":{"id":"batch_1"}}'
        headers = sign(body, "wh_1", secret=secret)  # done by the service
        assert unwrap(body, headers, secret=secret).data.id == "batch_1"
        ```
    """
    secret = _conceal(secret)
    verify(body, headers, secret=secret, tolerance=tolerance, now=now)
    try:
        return WebhookEvent.model_validate_json(body)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        location = ".".join(map(str, problem["loc"])) or "the body"
        raise InvalidWebhookSignatureError(
            f"the webhook body is not an event: {location}: {problem['msg']}"
        ) from None


def verify(
    body: bytes | str,
    headers: WebhookHeaders,
    *,
    secret: str | SecretStr,
    tolerance: float = DEFAULT_TOLERANCE,
    now: float | None = None,
) -> None:
    """Verify a webhook without parsing it; see `unwrap`.

    Raises:
        InvalidWebhookSignatureError: The signature is missing, wrong or too old.
        ConfigurationError: The secret is malformed.
        InvalidRequestError: The headers are neither a mapping nor pairs.
    """
    secret = _conceal(secret)
    lower = _lower(headers)
    try:
        webhook_id, sent, signatures = (
            lower[f"webhook-{part}"] for part in ("id", "timestamp", "signature")
        )
    except KeyError as missing:
        raise InvalidWebhookSignatureError(
            f"the webhook lacks the header {missing.args[0]!r}"
        ) from None
    # The signature is checked first: until then the timestamp cannot be trusted either.
    expected = _signature(_bytes(body), webhook_id, sent, _key(secret))
    if not any(
        version == "v1" and hmac.compare_digest(value.encode(), expected)
        for version, _, value in (part.partition(",") for part in signatures.split())
    ):
        raise InvalidWebhookSignatureError(
            "the webhook's signature is wrong: check the endpoint's secret, and pass the body "
            "exactly as received"
        )
    try:
        age_s = (time.time() if now is None else now) - int(sent)
    except ValueError:
        raise InvalidWebhookSignatureError(
            "the webhook's timestamp must be a number of seconds"
        ) from None
    if abs(age_s) > tolerance:
        raise InvalidWebhookSignatureError(
            f"the webhook is {abs(age_s):.0f} s {'old' if age_s > 0 else 'early'}, "
            f"and {tolerance:.0f} s are allowed: check the system clock"
        )


def sign(
    body: bytes | str, webhook_id: str, *, secret: str | SecretStr, now: float | None = None
) -> dict[str, str]:
    """Sign a webhook as the service does, for tests and for your own services.

    Args:
        body: The body to send.
        webhook_id: ID of the webhook, the same for repeated deliveries.
        secret: The endpoint's signing secret, `whsec_…`.
        now: Current Unix time; the system clock by default.

    Returns:
        The headers.
    """
    secret = _conceal(secret)
    sent = str(int(time.time() if now is None else now))
    signature = _signature(_bytes(body), webhook_id, sent, _key(secret)).decode()
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": sent,
        "webhook-signature": f"v1,{signature}",
    }


def _signature(body: bytes, webhook_id: str, sent: str, key: bytes) -> bytes:
    signed = f"{webhook_id}.{sent}.".encode() + body
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest())


def _lower(headers: WebhookHeaders) -> dict[str, str]:
    try:
        pairs: Iterable[tuple[str | bytes, str | bytes]] = (
            cast("Mapping[str, str]", headers).items() if isinstance(headers, Mapping) else headers
        )
        return {_text(name).lower(): _text(value) for name, value in pairs}
    except (TypeError, ValueError):
        raise InvalidRequestError(
            "headers must be a mapping, or pairs of names and values",
            param="headers",
        ) from None


def _conceal(secret: str | SecretStr) -> SecretStr:
    # First of all, because error reports may print the variables of every frame.
    return SecretStr(secret) if isinstance(secret, str) else secret


def _key(secret: SecretStr) -> bytes:
    try:
        key = base64.b64decode(secret.get_secret_value().removeprefix(_PREFIX), validate=True)
    except (AttributeError, binascii.Error, ValueError):  # None if a variable is not set
        key = b""
    if not key:
        # Not quoted: the message may be logged.
        raise ConfigurationError(f"the webhook secret must be {_PREFIX!r} followed by base64")
    return key


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _bytes(body: bytes | str) -> bytes:
    return body.encode() if isinstance(body, str) else body
