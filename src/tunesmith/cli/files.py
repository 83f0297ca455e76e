"""`tunesmith files`: files stored by the service."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tunesmith._atomic import is_replaceable
from tunesmith.cli.command import client_command
from tunesmith.cli.legacy_commands import LegacyCommand
from tunesmith.cli.output import Output, format_time, take

if TYPE_CHECKING:
    from tunesmith import AsyncClient
    from tunesmith.types import FileObject

__all__ = ["command", "show_file"]


@click.group("files")
def command() -> None:
    """Upload, list, show and delete files."""


@command.command(
    "upload", cls=LegacyCommand, legacy={"-f": "", "-p": "--purpose"}, short_help="Upload a file."
)
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--purpose",
    type=click.Choice(["fine-tune", "batch", "assistants", "vision"]),
    default="fine-tune",
    help="Purpose of the file.",
)
@click.option("--name", help="File name at the service; default: the name of PATH.")
@click.option("-y", "--yes", is_flag=True, help="Reuse an identical file without asking.")
@click.option("--force", is_flag=True, help="Upload even if the service has an identical file.")
@client_command
async def upload(
    client: "AsyncClient",
    output: Output,
    path: Path,
    purpose: str,
    name: str | None,
    yes: bool,
    force: bool,
) -> None:
    """Upload the file at PATH, in parts if it is large.

    If the service has an identical file, you are asked whether to reuse it; scripts reuse it.
    """
    from tunesmith.cli.upload import upload_file

    file = await upload_file(client, output, path, purpose, name=name, ask=not yes, force=force)
    show_file(output, file)
    if purpose == "fine-tune":
        output.suggest_command("fine-tunes", "create", "-t", file.id, "-m", "MODEL", "--follow")


@command.command("list", short_help="List the files.")
@click.option("--purpose", help="Only files with this purpose.")
@click.option("--limit", type=click.IntRange(min=1), default=100, help="Maximum number of files.")
@client_command
async def list_files(
    client: "AsyncClient", output: Output, purpose: str | None, limit: int
) -> None:
    """List the files, newest first."""
    files = await take(limit, client.files.list(purpose=purpose, limit=min(limit, 10_000)))
    output.show_table(
        files,
        ("id", "bytes", "created", "purpose", "name"),
        ((f.id, f.bytes, format_time(f.created_datetime), f.purpose, f.filename) for f in files),
    )


@command.command("get", cls=LegacyCommand, legacy={"-i": ""}, short_help="Show a file's record.")
@click.argument("file_id")
@client_command
async def get(client: "AsyncClient", output: Output, file_id: str) -> None:
    """Show a file's record."""
    show_file(output, await client.files.retrieve(file_id))


@command.command(
    "content", cls=LegacyCommand, legacy={"-i": ""}, short_help="Print or save a file's content."
)
@click.argument("file_id")
@click.option(
    "-o", "--output", "target", type=click.Path(path_type=Path), help="Path to save it to."
)
@client_command
async def content(client: "AsyncClient", output: Output, file_id: str, target: Path | None) -> None:
    """Print a file's content, or save it; broken downloads are resumed."""
    if target is not None and is_replaceable(target):
        await client.files.content(file_id).write_to(target)
        output.saved(target)
    elif target is not None:
        async with client.files.content(file_id).stream() as chunks:
            with target.open("wb") as file:
                async for chunk in chunks:
                    file.write(chunk)
        output.saved(target)
    elif output.as_json:
        output.json({"id": file_id, "content": await client.files.content(file_id).text()})
    else:
        async with client.files.content(file_id).stream() as chunks:
            async for chunk in chunks:
                output.data(chunk)


@command.command("delete", cls=LegacyCommand, legacy={"-i": ""}, short_help="Delete files.")
@click.argument("file_ids", nargs=-1, required=True)
@client_command
async def delete(client: "AsyncClient", output: Output, file_ids: tuple[str, ...]) -> None:
    """Delete files; models trained on them are kept."""
    for file_id in file_ids:
        deleted = await client.files.delete(file_id)
        output.show_object(deleted, [("deleted", deleted.id)])


def show_file(output: Output, file: "FileObject") -> None:
    """Print a file's record."""
    output.show_object(
        file,
        [
            ("id", file.id),
            ("name", file.filename),
            ("bytes", file.bytes),
            ("purpose", file.purpose),
            ("created", format_time(file.created_datetime)),
            ("expires", format_time(file.expires_datetime)),
            ("status", file.status),
        ],
    )
