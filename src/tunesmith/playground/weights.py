"""Weights of a model as a tar archive, streamed file by file."""

import tarfile
from collections.abc import AsyncGenerator
from pathlib import Path

import anyio

from tunesmith.protocol.message import Response

__all__ = ["weights_response"]

_CHUNK_BYTES = 1024 * 1024


def weights_response(folder: Path, name: str) -> Response:
    """Return the files of a folder as a tar archive.

    Args:
        folder: The folder of the weights.
        name: Name of the folder in the archive.
    """
    headers = {"content-type": "application/x-tar", "x-content-type-options": "nosniff"}
    return Response(200, headers, _archive(_list_members(folder, name)))


def _list_members(folder: Path, name: str) -> dict[Path, tarfile.TarInfo]:
    members: dict[Path, tarfile.TarInfo] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        member = members[path] = tarfile.TarInfo(f"{name}/{path.relative_to(folder).as_posix()}")
        member.size, member.mtime = path.stat().st_size, int(path.stat().st_mtime)
    return members


async def _archive(members: dict[Path, tarfile.TarInfo]) -> AsyncGenerator[bytes]:
    for path, member in members.items():
        yield member.tobuf()
        async with await anyio.open_file(path, "rb") as file:
            while chunk := await file.read(_CHUNK_BYTES):
                yield chunk
        yield bytes(-member.size % tarfile.BLOCKSIZE)
    yield bytes(2 * tarfile.BLOCKSIZE)  # the end of an archive
