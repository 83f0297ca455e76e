"""Repeated requests with one `Idempotency-Key`: executed once, answered alike."""

import hashlib
from collections import OrderedDict
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pydantic_core import to_json

from tunesmith.backends.base import Clock
from tunesmith.operations.base import Operation
from tunesmith.service.core.errors import ServiceError
from tunesmith.service.core.store import Store

__all__ = ["IdempotentResponse", "IdempotentResponses"]

_MAX_RESPONSES = 1000
_MAX_TOTAL_BYTES = 64 * 1024 * 1024
_MAX_AGE_S = 24 * 3600.0


@dataclass(slots=True)
class IdempotentResponse:
    """Response to a request with a key.

    Args:
        id: Hash of the operation's name and the key.
        fingerprint: Hash of the request.
        created_at: The service's time of the request, in Unix seconds.
        body: The response; None while the request is being executed.
    """

    id: str
    fingerprint: str
    created_at: float
    body: bytes | None = None


class IdempotentResponses:
    """Responses of the latest requests with a key, for a day.

    Responses to requests that changed the store are stored with these changes: after a crash, a
    repeated create has its first response if and only if its object exists.

    Args:
        store: Storage of the responses.
        clock: The service's time.

    Source: https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._stored = store.collection("idempotent_responses", IdempotentResponse)
        stored = self._stored.get_page(newest_first=False).records
        self._responses = OrderedDict((response.id, response) for response in stored)
        self._total_bytes = sum(len(response.body or b"") for response in stored)

    @contextmanager
    def open(self, key: str, operation: Operation[Any]) -> Generator[IdempotentResponse]:
        """Find the response with this key, or reserve the key for a new one.

        A response without a body is new: the request is executed within the context, and its body
        passed to `record`. After an error the key is free again.

        Args:
            key: The value of the header.
            operation: The request.

        Raises:
            ServiceError: The key was used with other parameters, or the first request is still
                being executed.
        """
        response_id, fingerprint = _hash_key(operation.spec.name, key), _fingerprint(operation)
        response = self._responses.get(response_id)
        if response is not None and self._is_expired(response):
            self._discard(response)
            response = None
        if response is not None:
            _check(response, fingerprint, key)
            yield response
            return
        response = IdempotentResponse(response_id, fingerprint, self._clock.time())
        self._responses[response_id] = response
        try:
            yield response
        except BaseException:
            self._discard(response)
            raise

    def record(self, response: IdempotentResponse, body: bytes) -> None:
        """Set the body of a new response, before the changes of its request are committed."""
        response.body = body
        self._total_bytes += len(body)
        if self._store.has_changes:
            self._stored.put(response.id, response)
        self._discard_oldest()

    def _discard_oldest(self) -> None:
        while True:
            done = (response for response in self._responses.values() if response.body)
            oldest = next(done, None)
            is_full = len(self._responses) > _MAX_RESPONSES or self._total_bytes > _MAX_TOTAL_BYTES
            if oldest is None or not (is_full or self._is_expired(oldest)):
                return
            self._discard(oldest)

    def _discard(self, response: IdempotentResponse) -> None:
        if self._responses.pop(response.id, None) is not None:
            self._total_bytes -= len(response.body or b"")
            self._stored.delete(response.id)

    def _is_expired(self, response: IdempotentResponse) -> bool:
        age_s = self._clock.time() - response.created_at
        return response.body is not None and age_s >= _MAX_AGE_S


def _check(response: IdempotentResponse, fingerprint: str, key: str) -> None:
    if response.fingerprint != fingerprint:
        raise ServiceError(
            400,
            f"The Idempotency-Key '{key}' was used before with other parameters. Send another "
            "key for another request.",
            code="idempotency_key_reused",
        )
    if response.body is None:
        raise ServiceError(
            409,
            f"A request with the Idempotency-Key '{key}' is still being processed.",
            code="idempotency_key_in_use",
        )


def _hash_key(operation: str, key: str) -> str:
    return hashlib.blake2b(f"{operation} {key}".encode("utf-8", "surrogatepass")).hexdigest()


def _fingerprint(operation: Operation[Any]) -> str:
    digest = hashlib.blake2b()
    for name, value in vars(operation).items():
        digest.update(name.encode())
        for part in value if isinstance(value, tuple) else (value,):  # pyright: ignore[reportUnknownVariableType]
            # The content of a file is far larger than everything else.
            digest.update(part if isinstance(part, bytes) else to_json(part, fallback=repr))
    return digest.hexdigest()
