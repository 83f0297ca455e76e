"""Files that are there as a whole, or as they were before."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

__all__ = ["atomic_write", "is_regular_file"]


def is_regular_file(path: Path) -> bool:
    """Whether a file may take the place of what is there: not of `/dev/stdout`, not of a link."""
    return not path.exists() or (path.is_file() and not path.is_symlink())


@contextmanager
def atomic_write(path: Path) -> Generator[Path]:
    """Give a place beside `path` to write to, which takes its place when all went well.

    What may not be replaced is written to as it is.

    Raises:
        OSError: It cannot be written; the error names `path`.
    """
    if not is_regular_file(path):
        yield path
        return
    part = path.with_name(f".{path.name}.{token_hex(8)}.part")
    try:
        yield part
        part.replace(path)
    except OSError as error:
        if error.filename == str(part):
            error.filename = str(path)
        raise
    finally:
        part.unlink(missing_ok=True)
