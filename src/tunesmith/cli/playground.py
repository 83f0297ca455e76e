"""`tunesmith playground`: the playground in front of any server."""

from dataclasses import replace

import anyio
import click

from tunesmith.cli.connection import ServiceOptions, redact_url
from tunesmith.cli.messages import click_errors

__all__ = ["command"]

_PORT = 8080


@click.command("playground", short_help="Open a page to try and fine-tune models of a server.")
@click.option("--base-url", metavar="URL", help="Base URL of the server, such as that of vLLM.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=_PORT,
    show_default=True,
    help="Port to listen on; 0 for a free one.",
)
@click.pass_obj
def command(connection: ServiceOptions, *, base_url: str | None, port: int) -> None:
    """Serve a page on this machine to try and fine-tune the models of a server, until Ctrl-C.

    The page calls that server through this program, which adds your key from OPENAI_API_KEY. The
    key never reaches the browser; the printed address contains a key of its own, for this run.
    Needs the extra `server`.
    """
    if connection.in_memory and base_url is None:
        raise click.UsageError("A service in memory has its page at `tunesmith serve`.")
    with click_errors():
        from secrets import token_urlsafe

        from tunesmith.playground.pages import Playground
        from tunesmith.playground.proxy import ProxyBackend
        from tunesmith.service.http.asgi import ASGIApp
        from tunesmith.service.http.uvicorn_server import base_url_of, bind_socket, create_server

        base_url = base_url or connection.base_url
        client = replace(connection, base_url=base_url, in_memory=False).client()
    try:
        listener = bind_socket(port=port)
    except OSError as error:
        raise click.ClickException(
            f"cannot listen on port {port}: {error.strerror or error}; choose another --port"
        ) from error
    with listener:
        key = token_urlsafe()
        server_url = redact_url(str(getattr(client.backend, "base_url", "")))
        backend = ProxyBackend(client.backend, server_url)
        pages = Playground(backend, api_key=key, base_url=server_url)
        app = ASGIApp(backend, api_key=key, pages=pages)
        address = base_url_of(listener).removesuffix("v1")
        click.echo(f"The playground of {server_url} is at this address until Ctrl-C:\n")
        click.echo(f"  {address}#key={key}\n")
        try:
            create_server(app).run(sockets=[listener])
        except KeyboardInterrupt:
            click.echo("Stopped.")
        finally:
            anyio.run(client.aclose)
