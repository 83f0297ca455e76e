"""Repeated requests with one `Idempotency-Key`: executed once, answered alike."""

import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from pydantic_core import to_json

from tunesmith.operations.base import Operation
from tunesmith.service.core.errors import ServiceError

__all__ = ["IdempotentResponses"]

_MAX_RESPONSES = 1000
_MAX_TOTAL_BYTES = 64 * 1024 * 1024


@dataclass(slots=True)
class _Entry:
    fingerprint: bytes
    body: bytes | None = None


class IdempotentResponses:
    """Responses of the latest requests with a key.

    Source: https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/
    """

    def __init__(self) -> None:
        self._entries: OrderedDict[tuple[str, str], _Entry] = OrderedDict()
        self._total_bytes = 0

    async def respond(
        self, key: str, operation: Operation[Any], execute: Callable[[], Awaitable[bytes]]
    ) -> bytes:
        """Return the body of the first response with this key, or of a new one.

        Args:
            key: The value of the header.
            operation: The request.
            execute: Executes the request; errors are not remembered.

        Raises:
            ServiceError: The key was used with other parameters, or the first request is still
                being executed.
        """
        place = operation.spec.name, key
        fingerprint = _fingerprint(operation)
        entry = self._entries.get(place)
        if entry is None:
            return await self._execute(place, fingerprint, execute)
        if entry.fingerprint != fingerprint:
            raise ServiceError(
                400,
                f"The Idempotency-Key '{key}' was used before with other parameters. Send another "
                "key for another request.",
                code="idempotency_key_reused",
            )
        if entry.body is None:
            raise ServiceError(
                409,
                f"A request with the Idempotency-Key '{key}' is still being processed.",
                code="idempotency_key_in_use",
            )
        return entry.body

    async def _execute(
        self,
        place: tuple[str, str],
        fingerprint: bytes,
        execute: Callable[[], Awaitable[bytes]],
    ) -> bytes:
        entry = self._entries[place] = _Entry(fingerprint)
        try:
            body = entry.body = await execute()
        except BaseException:
            del self._entries[place]
            raise
        self._total_bytes += len(body)
        self._discard_oldest()
        return body

    def _discard_oldest(self) -> None:
        while len(self._entries) > _MAX_RESPONSES or self._total_bytes > _MAX_TOTAL_BYTES:
            place = next((place for place, entry in self._entries.items() if entry.body), None)
            if place is None:
                return
            self._total_bytes -= len(self._entries.pop(place).body or b"")


def _fingerprint(operation: Operation[Any]) -> bytes:
    digest = hashlib.blake2b()
    for name, value in vars(operation).items():
        digest.update(name.encode())
        for part in value if isinstance(value, tuple) else (value,):  # pyright: ignore[reportUnknownVariableType]
            # The content of a file is far larger than everything else.
            digest.update(part if isinstance(part, bytes) else to_json(part, fallback=repr))
    return digest.digest()
