"""Files that appear complete or not at all: written beside their place, then renamed."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

__all__ = ["atomic_write", "is_replaceable", "rename_exclusive", "temporary_path", "write_atomic"]

_MAX_NAME = 60
"""Longest part of a file's name that its temporary file repeats; names have a limit."""


def is_replaceable(path: Path) -> bool:
    """Return whether a file can be replaced by a rename: not a link or a device."""
    return not path.exists() or (path.is_file() and not path.is_symlink())


def temporary_path(path: Path) -> Path:
    """Return an unused hidden path beside `path`."""
    return path.with_name(f".{path.name[:_MAX_NAME]}.{token_hex(8)}.part")


@contextmanager
def atomic_write(path: Path) -> Generator[Path]:
    """Yield a temporary path; rename it to `path` at the end, or delete it after an error.

    The body may await, since renaming takes no time. Devices and links are written to directly.

    Raises:
        OSError: The file cannot be written; the error names `path`.

    Example:
        ```python
        from pathlib import Path

        with atomic_write(Path("settings.json")) as part:
            part.write_text("{}")
        ```
    """
    if not is_replaceable(path):
        yield path
        return
    part = temporary_path(path)
    try:
        yield part
        part.replace(path)
    except OSError as error:
        if error.filename == str(part):
            error.filename = str(path)
        raise
    finally:
        part.unlink(missing_ok=True)


def write_atomic(path: Path, content: str | bytes) -> None:
    """Write a file as a whole; text is written as UTF-8.

    Call it through `anyio.to_thread.run_sync` where the event loop must stay free.

    Raises:
        OSError: The file cannot be written; the error names `path`.
    """
    with atomic_write(path) as part:
        part.write_bytes(content.encode() if isinstance(content, str) else content)


def rename_exclusive(part: Path, path: Path) -> None:
    """Rename a file unless the new name is taken.

    Raises:
        FileExistsError: The name is taken.
    """
    try:
        os.link(part, path)
    except FileExistsError:
        raise
    except OSError:
        # The file system has no links.
        part.rename(path)
    else:
        part.unlink()
