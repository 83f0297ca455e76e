"""Files that are there as a whole, or as they were before."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

__all__ = ["replacing"]


@contextmanager
def replacing(path: Path) -> Generator[Path]:
    """Give a place beside `path` to write to, which takes its place when all went well.

    What is no file, such as `/dev/stdout`, is written to as it is.

    Raises:
        OSError: It cannot be written; the error names `path`.
    """
    if path.exists() and not path.is_file():
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
