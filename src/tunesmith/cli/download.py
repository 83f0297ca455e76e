"""Downloads of training data by URL."""

from pathlib import Path

import anyio
import click
import httpx

from tunesmith.cli.connection import redact_url

__all__ = ["download"]

_TIMEOUT_S = 30.0


async def download(url: str, path: Path) -> None:
    """Save the content of a URL.

    Args:
        url: An http or https address; redirects are followed.
        path: The file to write.

    Raises:
        ClickException: The download failed.
    """
    shown = redact_url(url)
    try:
        async with (
            httpx.AsyncClient(follow_redirects=True, timeout=_TIMEOUT_S) as http,
            http.stream("GET", url) as response,
        ):
            if not response.is_success:
                raise click.ClickException(
                    f"Cannot download {shown}: HTTP {response.status_code} {response.reason_phrase}"
                )
            async with await anyio.open_file(path, "wb") as file:
                async for chunk in response.aiter_bytes():
                    await file.write(chunk)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise click.ClickException(
            f"Cannot download {shown}: {str(error) or type(error).__name__}"
        ) from None
