"""Uploads from a path or URL; identical files are reused."""

import shlex
import sys
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote, urlsplit

import click

from tunesmith.cli.connection import redact_url
from tunesmith.cli.messages import clean
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
    label: str | None = None,
    ask: bool = True,
    force: bool = False,
) -> "FileObject":
    """Upload a file, or reuse an identical one that the service has.

    Args:
        client: The client.
        output: The output.
        path: The file.
        purpose: The purpose of the file.
        name: The file name at the service; default: that of the path.
        label: The source as the user named it; default: the path.
        ask: Whether to ask before an identical file is reused, if there is a user to ask.
        force: Whether to upload even if the service has an identical file.

    Raises:
        ClickException: The file does not exist.
    """
    _require_file(path)
    kind = cast("Any", purpose)  # click has checked it
    existing = None
    if not force:
        existing = await FileUpload(client.files.caller, path, purpose=kind).find_duplicate()
    if existing is not None and (not ask or _confirm_reuse(output, path, existing)):
        output.info(f"Reusing {existing.id} for {label or path} (identical content).")
        return existing
    with _progress(output, path) as progress:
        file = await client.files.upload(
            path, purpose=kind, filename=name, reuse=False, progress=progress
        )
    output.info(f"Uploaded {label or path} as {file.id}.")
    return file


async def resolve_file_id(
    client: "AsyncClient", output: Output, reference: str, *, ask: bool
) -> str:
    """Return the file id of an id, path or URL; upload the file if needed.

    Raises:
        ClickException: There is no such file.
    """
    if "://" in reference:
        async with _downloaded(output, reference) as path:
            return await _uploaded(client, output, path, redact_url(reference), ask=ask)
    path = Path(reference)
    if path.exists():
        return await _uploaded(client, output, path, reference, ask=ask)
    try:
        return (await client.files.retrieve(reference)).id
    except NotFoundError:
        raise click.ClickException(
            f"{reference} is neither a local file nor the id of an uploaded one. "
            f"List the files: {output.connection.command('files', 'list')}"
        ) from None


async def _uploaded(
    client: "AsyncClient", output: Output, path: Path, reference: str, *, ask: bool
) -> str:
    _require_file(path)
    _require_jsonl(path, reference)
    return (await upload_file(client, output, path, "fine-tune", label=reference, ask=ask)).id


def _require_file(path: Path) -> None:
    if path.is_dir():
        raise click.ClickException(f"{path} is a folder. Name a file.")
    if not path.exists():
        raise click.ClickException(f"{path} does not exist. Check the path.")


def _require_jsonl(path: Path, reference: str) -> None:
    if path.suffix.lower() != ".jsonl":
        action, source = (
            ("Download and convert", path.name) if "://" in reference else ("Convert", reference)
        )
        raise click.ClickException(
            f"{reference} is not a .jsonl file. {action} it first: "
            f"tunesmith prepare {shlex.quote(source)}"
        )


@asynccontextmanager
async def _downloaded(output: Output, url: str) -> AsyncGenerator[Path]:
    from tunesmith.cli.download import download

    shown = redact_url(url)
    name = Path(unquote(urlsplit(url).path)).name.replace("\0", "")
    if not Path(name).suffix:
        name = f"{name or 'training'}.jsonl"
    _require_jsonl(Path(name), shown)
    with TemporaryDirectory(prefix="tunesmith-") as folder:
        path = Path(folder) / name
        await download(url, path)
        output.info(f"Downloaded: {shown} ({path.stat().st_size:,} bytes)")
        yield path


def _confirm_reuse(output: Output, path: Path, existing: "FileObject") -> bool:
    if not _is_interactive(output):
        return True
    from tunesmith.cli.prompts import default_sigint

    created = format_time(existing.created_datetime)
    prompt = f"{path} is identical to {existing.id} ({existing.filename}, {created}). Reuse it"
    with default_sigint():
        return click.confirm(clean(prompt), default=True, err=True)


def _is_interactive(output: Output) -> bool:
    return not output.as_json and sys.stdin.isatty()


@contextmanager
def _progress(output: Output, path: Path) -> Generator[Callable[[int, int], None] | None]:
    large = path.is_file() and path.stat().st_size >= _PROGRESS_FROM_BYTES
    if not large or output.as_json or not sys.stderr.isatty():
        yield None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    from tunesmith.cli.console import CleanConsole

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn())
    with Progress(
        *columns, TransferSpeedColumn(), console=CleanConsole(stderr=True), transient=True
    ) as bar:
        task = bar.add_task(path.name, total=None)
        yield lambda sent, total: bar.update(task, completed=sent, total=total)
