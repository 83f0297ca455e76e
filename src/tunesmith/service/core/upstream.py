"""Inference by another server: requests that are passed on, in the words of that server."""

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any, Final

from pydantic_core import from_json

from tunesmith._json_types import is_object
from tunesmith.backends.base import Backend
from tunesmith.clock import VirtualClock
from tunesmith.errors import BackendError
from tunesmith.protocol.message import Request, Response
from tunesmith.service.core.errors import ServiceError, invalid

__all__ = ["Upstream"]

_OPERATIONS: Final = frozenset(
    {
        "completions.create",
        "chat.completions.create",
        "embeddings.create",
        "responses.create",
        "models.list",
        "models.retrieve",
    }
)
_REQUEST_HEADERS = frozenset({"accept", "content-type", "idempotency-key"})
_RESPONSE_HEADERS = frozenset({"content-type", "retry-after", "retry-after-ms", "x-should-retry"})


class Upstream:
    """Server that completes, chats, embeds and responds in place of the engine.

    Models that were tuned here are still served by the engine.

    Args:
        backend: Access to the server.
        clock: The service's clock, which is held while the server works.
        is_local: Function that returns whether a model was tuned here.
    """

    def __init__(
        self, backend: Backend, clock: VirtualClock, is_local: Callable[[str], bool]
    ) -> None:
        self._backend = backend
        self._clock = clock
        self._is_local = is_local

    def handles(self, operation: str, request: Request, body: bytes | None) -> bool:
        """Return whether the server answers a request.

        Args:
            operation: Name of the operation.
            request: The request.
            body: Its body.

        Raises:
            ServiceError: The request asks for what is stored here, which is not possible.
        """
        if operation not in _OPERATIONS:
            return False
        fields = _fields(body)
        model = fields.get("model", request.path.removeprefix("/models/"))
        if isinstance(model, str) and self._is_local(model):
            return False
        if operation == "chat.completions.create" and fields.get("store"):
            raise invalid(
                "Chat completions of the server behind this one cannot be stored. Leave out "
                "'store'.",
                "store",
            )
        return True

    async def respond(
        self, request: Request, body: bytes | None, stack: AsyncExitStack
    ) -> Response:
        """Pass a request on.

        Args:
            request: The request.
            body: Its body.
            stack: Closes the response.

        Raises:
            ServiceError: The server cannot be reached (502).
        """
        headers = {
            name: value for name, value in request.headers.items() if name in _REQUEST_HEADERS
        }
        if body is not None:
            headers["content-length"] = str(len(body))
        passed_on = replace(request, headers=headers, body=body, replayable=True)
        try:
            with self._clock.hold():
                response = await stack.enter_async_context(self._backend.send(passed_on))
        except BackendError as error:
            raise ServiceError(
                502,
                f"The server behind this one cannot be reached: {error}",
                type="server_error",
                code="upstream_unavailable",
            ) from error
        passed_back = {
            name: value
            for name, value in response.headers.items()
            if name in _RESPONSE_HEADERS or name.startswith("x-ratelimit-")
        }
        return Response(response.status, passed_back, response.stream)

    async def aclose(self) -> None:
        """Close the access to the server."""
        await self._backend.aclose()


def _fields(body: bytes | None) -> Mapping[str, Any]:
    try:
        value = from_json(body or b"{}")
    except ValueError:
        return {}
    return value if is_object(value) else {}
