"""Files on their way to the service: from a path or a URL, and not twice."""

import shlex
import sys
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote, urlsplit

import click

from tunesmith.cli.interrupting import default_sigint
from tunesmith.cli.messages import strip_url_secrets
from tunesmith.cli.output import Output, format_time
from tunesmith.errors import NotFoundError
from tunesmith.resources.file_upload import FileUpload

if TYPE_CHECKING:
    from tunesmith import AsyncClient
    from tunesmith.types import FileObject

__all__ = ["resolve_file_id", "upload_file"]

_PROGRESS_FROM_BYTES = 1_000_000


async def upload_file(
    client: "AsyncClient",
    output: Output,
    path: Path,
    purpose: str,
    *,
    name: str | None = None,
    ask: bool = True,
    force: bool = False,
) -> "FileObject":
    """Send a file, or use an identical one that the service has.

    Args:
        client: Makes the calls.
        output: Where to say so.
        path: The file.
        purpose: What it is for.
        name: The name that the service shall keep; the file's own by default.
        ask: Whether to ask before an identical file is used; where nobody can answer, it is.
        force: Whether to send it even so.

    Raises:
        ClickException: There is no such file.
    """
    _require_file(path)
    kind = cast("Any", purpose)  # click has checked it
    found = None
    if not force:
        found = await FileUpload(client.files.caller, path, purpose=kind).find_duplicate()
    if found is not None and (not ask or _confirm_reuse(output, path, found)):
        output.info(f"The service has {path} already, as {found.id}.")
        return found
    with _progress(output, path) as progress:
        return await client.files.upload(
            path, purpose=kind, filename=name, reuse=False, progress=progress
        )


async def resolve_file_id(
    client: "AsyncClient", output: Output, reference: str, *, ask: bool
) -> str:
    """Find the file that is meant by an id, a path or a URL; upload it if need be.

    Raises:
        ClickException: There is nothing of this name anywhere.
    """
    if "://" in reference:
        async with _downloaded(output, reference) as path:
            return await _uploaded(client, output, path, strip_url_secrets(reference), ask=ask)
    path = Path(reference)
    if path.exists():
        return await _uploaded(client, output, path, reference, ask=ask)
    try:
        return (await client.files.retrieve(reference)).id
    except NotFoundError:
        raise click.ClickException(
            f"{reference} is neither a file here nor the id of an uploaded one: "
            f"see {output.connection.command('files', 'list')}"
        ) from None


async def _uploaded(
    client: "AsyncClient", output: Output, path: Path, reference: str, *, ask: bool
) -> str:
    _require_file(path)
    _require_jsonl(path, reference)
    file = await upload_file(client, output, path, "fine-tune", ask=ask)
    output.info(f"File: {file.id} ({reference})")
    return file.id


def _require_file(path: Path) -> None:
    if path.is_dir():
        raise click.ClickException(f"{path} is a folder: name a file.")
    if not path.exists():
        raise click.ClickException(f"{path}: There is no such file. Check the path.")


def _require_jsonl(path: Path, reference: str) -> None:
    if path.suffix.lower() != ".jsonl":
        first, here = (
            ("Download it, and make", path.name) if "://" in reference else ("Make", reference)
        )
        raise click.ClickException(
            f"{reference} is no .jsonl file. {first} one of it first: "
            f"tunesmith prepare {shlex.quote(here)}"
        )


@asynccontextmanager
async def _downloaded(output: Output, url: str) -> AsyncGenerator[Path]:
    from tunesmith.cli.download import download

    shown = strip_url_secrets(url)
    name = Path(unquote(urlsplit(url).path)).name.replace("\0", "")
    if not Path(name).suffix:
        name = f"{name or 'training'}.jsonl"
    _require_jsonl(Path(name), shown)
    with TemporaryDirectory(prefix="tunesmith-") as folder:
        path = Path(folder) / name
        await download(url, path)
        output.info(f"Downloaded: {shown} ({path.stat().st_size:,} bytes)")
        yield path


def _confirm_reuse(output: Output, path: Path, found: "FileObject") -> bool:
    if not _is_interactive(output):
        return True
    made = format_time(found.created_datetime)
    question = f"The service has {path} already, as {found.id} ({found.filename}, {made})."
    with default_sigint():
        return click.confirm(f"{question} Use that one", default=True, err=True)


def _is_interactive(output: Output) -> bool:
    return not output.as_json and sys.stdin.isatty()


@contextmanager
def _progress(output: Output, path: Path) -> Generator[Callable[[int, int], None] | None]:
    large = path.is_file() and path.stat().st_size >= _PROGRESS_FROM_BYTES
    if not large or output.as_json or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn())
    with Progress(
        *columns, TransferSpeedColumn(), console=Console(stderr=True), transient=True
    ) as bar:
        task = bar.add_task(path.name, total=None)
        yield lambda sent, total: bar.update(task, completed=sent, total=total)
