"""Backend of a page for another server: one that does not respond is an error in words."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

from pydantic_core import to_json

from tunesmith.backends.base import Backend
from tunesmith.errors import BackendError
from tunesmith.protocol.error_body import error_body
from tunesmith.protocol.message import Request, Response

__all__ = ["ProxyBackend"]

_BAD_GATEWAY = 502


class ProxyBackend:
    """Backend that responds with status 502 if another one does not respond.

    An app closes the connection of a request whose backend fails, so the page would take itself for
    disconnected.

    Args:
        backend: The backend of the server.
        url: Address of the server for the message, without secrets.
    """

    def __init__(self, backend: Backend, url: str) -> None:
        self._backend = backend
        self._url = url

    @asynccontextmanager
    async def send(self, request: Request, /) -> AsyncGenerator[Response]:
        """Send a request; see `Backend.send`."""
        async with AsyncExitStack() as stack:
            try:
                response = await stack.enter_async_context(self._backend.send(request))
            except BackendError as error:
                message = f"{self._url} does not respond: {error}"
                body = to_json(error_body(message, type="server_error"))
                headers = {"content-type": "application/json", "content-length": str(len(body))}
                response = Response.from_bytes(_BAD_GATEWAY, headers, body)
            yield response

    async def aclose(self) -> None:
        """Close the backend."""
        await self._backend.aclose()
