"""Webhooks, with the secret of the client."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from tunesmith._lazy import explains_parameters, missing_attribute
from tunesmith.errors import ConfigurationError
from tunesmith.types.webhooks import WebhookEvent
from tunesmith.webhooks import DEFAULT_TOLERANCE, unwrap, verify

__all__ = ["Webhooks"]


class Webhooks:
    """Verification and parsing of webhooks; see `tunesmith.webhooks`.

    Args:
        secret: The endpoint's signing secret, `whsec_…`; by default the environment variable
            `OPENAI_WEBHOOK_SECRET`.

    Example:
        ```python
        from tunesmith.webhooks import sign

        secret = "whsec_" + "c2VjcmV0LXNlY3JldC1zZWNyZXQ="
        body = '{"id":"evt_1","type":"batch.completed","created_at":1,"data":{"id":"batch_1"}}'
        headers = sign(body, "wh_1", secret=secret)  # done by the service
        assert client.webhooks.unwrap(body, headers, secret=secret).data.id == "batch_1"
        ```
    """

    def __init__(self, secret: SecretStr | None) -> None:
        self._secret = secret

    if not TYPE_CHECKING:  # type checkers report unknown names themselves

        def __getattr__(self, name: str) -> Any:
            raise missing_attribute(self, ("webhooks",), name)

    @explains_parameters
    def unwrap(
        self,
        payload: bytes | str,
        headers: Mapping[str, str],
        *,
        secret: str | SecretStr | None = None,
    ) -> WebhookEvent:
        """Verify a webhook and parse its event.

        Args:
            payload: The request body, exactly as received.
            headers: The request headers; names in any case.
            secret: The endpoint's signing secret; that of the client by default.

        Raises:
            InvalidWebhookSignatureError: The signature is missing, wrong or too old, or the body is
                not an event.
            ConfigurationError: The secret is missing or malformed.
        """
        return unwrap(payload, headers, secret=self._find_secret(secret))

    @explains_parameters
    def verify_signature(
        self,
        payload: bytes | str,
        headers: Mapping[str, str],
        *,
        secret: str | SecretStr | None = None,
        tolerance: float = DEFAULT_TOLERANCE,
    ) -> None:
        """Verify a webhook without parsing it.

        Args:
            payload: The request body, exactly as received.
            headers: The request headers; names in any case.
            secret: The endpoint's signing secret; that of the client by default.
            tolerance: Maximum age, or clock difference, in seconds.

        Raises:
            InvalidWebhookSignatureError: The signature is missing, wrong or too old.
            ConfigurationError: The secret is missing or malformed.
        """
        verify(payload, headers, secret=self._find_secret(secret), tolerance=tolerance)

    def _find_secret(self, secret: str | SecretStr | None) -> str | SecretStr:
        secret = secret or self._secret or os.environ.get("OPENAI_WEBHOOK_SECRET")
        if not secret:
            raise ConfigurationError(
                "no webhook secret: pass secret=, or AsyncClient(webhook_secret=…), or set the "
                "environment variable OPENAI_WEBHOOK_SECRET"
            )
        return secret
