"""The door on a socket: uvicorn serves an app."""

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

_GRACE_S = 1
"""Answers that still go on when the server ends have so long."""


class _Protocol(H11Protocol):
    """HTTP/1.1 whose app can break the connection off, as a fault on the way would."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        app = self.app

        async def with_abort(scope: Message, receive: Receive, send: Send) -> None:
            extensions = {**scope.get("extensions", {}), ABORT: {"abort": transport.abort}}
            await app({**scope, "extensions": extensions}, receive, send)

        self.app = with_abort


def bind_socket(host: str = "127.0.0.1", port: int = 0) -> socket.socket:
    """Open a socket to serve on.

    Args:
        host: A name or an address; the default is reached from this machine only.
        port: The port; 0 takes a free one.

    Raises:
        OSError: It cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=2048)


def base_url_of(listener: socket.socket) -> str:
    """Tell the base URL of the API that is served on a socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}/v1" if ":" in host else f"http://{host}:{port}/v1"


def create_server(app: ASGIApp) -> uvicorn.Server:
    """Make a server for an app; `run(sockets=[bind_socket()])` runs it until `should_exit` is set.

    Args:
        app: Answers.

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
        lifespan="off",
        # What the service has to say of errors it logs itself, by the logger `tunesmith.service`.
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        date_header=False,  # the service's own has its time
        timeout_graceful_shutdown=_GRACE_S,
    )
    return uvicorn.Server(config)
