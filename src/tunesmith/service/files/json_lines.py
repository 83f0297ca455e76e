"""Lines of JSON Lines files, without reading a file as a whole."""

from collections.abc import Iterable, Iterator

from pydantic_core import from_json

from tunesmith.service.core.errors import invalid

__all__ = ["lines_with_ends", "split_lines", "validate_json_lines"]

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def split_lines(chunks: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of a file that are not empty, with their numbers from 1.

    Args:
        chunks: The content.
    """
    for number, line in enumerate(_lines(chunks), 1):
        text = line.removeprefix(_BYTE_ORDER_MARK) if number == 1 else line
        if text.strip():
            yield number, text


def lines_with_ends(chunks: Iterable[bytes], offset: int = 0) -> Iterator[tuple[bytes, int]]:
    """Yield the lines of a file that are not empty, with the offset of the next line.

    Args:
        chunks: The content from the offset.
        offset: Offset of the first line, in bytes.
    """
    for line in _lines(chunks):
        text = line if offset else line.removeprefix(_BYTE_ORDER_MARK)
        offset += len(line) + 1
        if text.strip():
            yield text, offset


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    parts: list[bytes] = []
    for chunk in chunks:
        first, *others = chunk.split(b"\n")
        parts.append(first)
        if others:
            yield b"".join(parts)
            yield from others[:-1]
            parts = [others[-1]]
    yield b"".join(parts)


def validate_json_lines(chunks: Iterable[bytes]) -> None:
    """Validate that every line of a file is a JSON object.

    Args:
        chunks: The content.

    Raises:
        ServiceError: A line is not, or there is none.
    """
    is_empty = True
    for number, line in split_lines(chunks):
        is_empty = False
        try:
            # Unlike `json`, this rejects lone surrogates, which no response can contain.
            is_object = isinstance(from_json(line), dict)
        except ValueError:
            is_object = False
        if not is_object:
            hint = line[:20].decode("utf-8", "replace").strip()
            raise invalid(
                "Expected file to have JSONL format, where every line is a valid JSON dictionary. "
                f'Line {number} is not a dictionary (HINT: line starts with: "{hint}...").'
            )
    if is_empty:
        raise invalid("File is empty.", "file")
