"""Training data from anywhere on the web."""

from pathlib import Path

import anyio
import click
import httpx

from tunesmith.cli.messages import strip_url_secrets

__all__ = ["download"]

_TIMEOUT_S = 30.0


async def download(url: str, path: Path) -> None:
    """Save what is at a URL.

    Args:
        url: An http or https address; redirects are followed.
        path: Where to save it.

    Raises:
        ClickException: It cannot be had.
    """
    shown = strip_url_secrets(url)
    try:
        async with (
            httpx.AsyncClient(follow_redirects=True, timeout=_TIMEOUT_S) as http,
            http.stream("GET", url) as response,
        ):
            if not response.is_success:
                raise click.ClickException(
                    f"{shown} cannot be downloaded: the server answers {response.status_code} "
                    f"{response.reason_phrase}"
                )
            async with await anyio.open_file(path, "wb") as file:
                async for chunk in response.aiter_bytes():
                    await file.write(chunk)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise click.ClickException(
            f"{shown} cannot be downloaded: {str(error) or type(error).__name__}"
        ) from None
