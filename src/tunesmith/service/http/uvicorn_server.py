"""Server of an ASGI app on a socket, by uvicorn."""

import socket
from typing import Any

from tunesmith.errors import ConfigurationError
from tunesmith.service.http.asgi import ABORT, ASGIApp, Message, Receive, Send

try:
    import uvicorn
    from uvicorn.protocols.http.h11_impl import H11Protocol
except ImportError:
    raise ConfigurationError("A server needs a package: pip install 'tunesmith[server]'") from None

__all__ = ["base_url_of", "bind_socket", "create_server"]

_SHUTDOWN_TIMEOUT_S = 1
# Longer than clients keep idle connections: the side that closes first must be the client, or it
# may send a request on a connection that the server is closing.
_KEEP_ALIVE_S = 75


class _Protocol(H11Protocol):
    """HTTP/1.1 whose app can close the connection abruptly, as a network fault would."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        app = self.app

        async def with_abort(scope: Message, receive: Receive, send: Send) -> None:
            extensions = {**scope.get("extensions", {}), ABORT: {"abort": transport.abort}}
            await app({**scope, "extensions": extensions}, receive, send)

        self.app = with_abort


def bind_socket(host: str = "127.0.0.1", port: int = 0) -> socket.socket:
    """Bind a socket to serve on.

    Args:
        host: A name or an address; the default is reachable from this machine only.
        port: The port; 0 for a free one.

    Raises:
        OSError: The address is in use or not available.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=2048)


def base_url_of(listener: socket.socket) -> str:
    """Return the base URL of the API that is served on a socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}/v1" if ":" in host else f"http://{host}:{port}/v1"


def create_server(app: ASGIApp) -> uvicorn.Server:
    """Create a server; `run(sockets=[bind_socket()])` runs it until `should_exit` is set.

    Args:
        app: The app to serve.

    Raises:
        ConfigurationError: The extra `server` is not installed.

    Example:
        ```python
        from tunesmith.service.http.asgi import ASGIApp
        from tunesmith.service.http.uvicorn_server import create_server

        server = create_server(ASGIApp(MemoryBackend()))
        ```
    """
    config = uvicorn.Config(
        app,
        http=_Protocol,
        ws="none",
        lifespan="on",
        # The service logs its errors itself, by the logger `tunesmith.service`.
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        date_header=False,  # the service sends its own, by its clock
        timeout_graceful_shutdown=_SHUTDOWN_TIMEOUT_S,
        timeout_keep_alive=_KEEP_ALIVE_S,
    )
    return uvicorn.Server(config)
