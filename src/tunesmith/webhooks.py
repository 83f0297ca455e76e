"""Webhooks: who sent them, and what they say.

A service signs what it sends by the scheme of Standard Webhooks: HMAC-SHA256 over its id, the
time and the body.
Source: https://www.standardwebhooks.com and https://platform.openai.com/docs/guides/webhooks
"""

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Mapping

from pydantic import ValidationError

from tunesmith.errors import ConfigurationError, TunesmithError
from tunesmith.types.webhooks import WebhookEvent

__all__ = ["TOLERANCE_S", "InvalidWebhookSignatureError", "sign", "unwrap", "verify"]

TOLERANCE_S = 300
"""How old, or how early, a webhook may be: who catches one cannot send it again later."""

_PREFIX = "whsec_"


class InvalidWebhookSignatureError(TunesmithError):
    """A webhook is not to be believed, or cannot be understood: answer it with 400."""


def unwrap(
    body: bytes | str,
    headers: Mapping[str, str],
    *,
    secret: str,
    tolerance_s: float = TOLERANCE_S,
    now: float | None = None,
) -> WebhookEvent:
    """Make sure who sent a webhook, and read it.

    Args:
        body: The request's body as it came: not JSON that was read and written again.
        headers: The request's headers; names in any case.
        secret: The endpoint's signing secret, `whsec_…`.
        tolerance_s: How many seconds old, or early, it may be.
        now: The time, in Unix seconds; the machine's by default.

    Raises:
        InvalidWebhookSignatureError: It is not signed, signed by somebody else, too old, or no
            event.
        ConfigurationError: The secret is none.

    Example:
        ```python
        from tunesmith.webhooks import sign, unwrap

        secret = "whsec_" + "c2VjcmV0LXNlY3JldC1zZWNyZXQ="
        body = '{"id":"evt_1","type":"batch.completed","created_at":1,"data":{"id":"batch_1"}}'
        headers = sign(body, "wh_1", secret=secret)  # what the service does
        assert unwrap(body, headers, secret=secret).data.id == "batch_1"
        ```
    """
    verify(body, headers, secret=secret, tolerance_s=tolerance_s, now=now)
    try:
        return WebhookEvent.model_validate_json(body)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, problem["loc"])) or "the body"
        raise InvalidWebhookSignatureError(
            f"the webhook is no event: {where}: {problem['msg']}"
        ) from None


def verify(
    body: bytes | str,
    headers: Mapping[str, str],
    *,
    secret: str,
    tolerance_s: float = TOLERANCE_S,
    now: float | None = None,
) -> None:
    """Make sure who sent a webhook; see `unwrap`.

    Raises:
        InvalidWebhookSignatureError: It is not signed, signed by somebody else, or too old.
        ConfigurationError: The secret is none.
    """
    lower = {name.lower(): value for name, value in headers.items()}
    try:
        webhook_id, sent, signatures = (
            lower[f"webhook-{part}"] for part in ("id", "timestamp", "signature")
        )
    except KeyError as missing:
        raise InvalidWebhookSignatureError(
            f"the webhook has no header {missing.args[0]!r}"
        ) from None
    # The signature comes first: nothing is believed, not even the time, before it is right.
    right = _signature(_bytes(body), webhook_id, sent, _key(secret))
    given = [part.partition(",") for part in signatures.split()]
    if not any(
        version == "v1" and hmac.compare_digest(value.encode(), right)
        for version, _, value in given
    ):
        raise InvalidWebhookSignatureError(
            "the webhook's signature is wrong: is this the endpoint's secret, and the body as it "
            "came?"
        )
    try:
        age_s = (time.time() if now is None else now) - int(sent)
    except ValueError:
        raise InvalidWebhookSignatureError(
            "the webhook's timestamp is no number of seconds"
        ) from None
    if abs(age_s) > tolerance_s:
        raise InvalidWebhookSignatureError(
            f"the webhook is {abs(age_s):.0f} s {'old' if age_s > 0 else 'early'}, "
            f"and {tolerance_s:.0f} s are allowed: is the clock right?"
        )


def sign(
    body: bytes | str, webhook_id: str, *, secret: str, now: float | None = None
) -> dict[str, str]:
    """Sign a webhook as a service does; for tests, and for services of your own.

    Args:
        body: The body that is sent.
        webhook_id: The webhook's id, the same when it is sent again.
        secret: The endpoint's signing secret, `whsec_…`.
        now: The time, in Unix seconds; the machine's by default.

    Returns:
        The headers.
    """
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


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (AttributeError, binascii.Error, ValueError):  # None: a variable that is not set
        key = b""
    if not key:
        # Without the secret itself, which might end up in a log.
        raise ConfigurationError(f"the webhook secret is {_PREFIX!r} and base64, and this is not")
    return key


def _bytes(body: bytes | str) -> bytes:
    return body.encode() if isinstance(body, str) else body
