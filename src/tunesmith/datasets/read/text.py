"""Text from bytes: which encoding, lines that are not too long, and bytes that are no text."""

import codecs
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import partial
from io import BufferedReader, TextIOWrapper

from tunesmith.datasets.read.log import ReadIssues
from tunesmith.errors import DatasetError

__all__ = ["TextLines", "detect_encoding", "open_text", "text_problem"]

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def detect_encoding(stream: BufferedReader, encoding: str | None, file: str | None) -> str:
    """The encoding to read with: the one named, the byte-order mark's, or UTF-8.

    Raises:
        DatasetError: There is no encoding of that name.
    """
    if encoding is not None:
        try:
            name = codecs.lookup(encoding).name
        except LookupError:
            raise DatasetError(
                f"There is no encoding called {encoding!r}.",
                file=file,
                remedy="Name one that Python knows, such as 'utf-8', 'cp1252' or 'shift_jis'.",
            ) from None
        return "utf-8-sig" if name == "utf-8" else name
    head = stream.peek(4)[:4]
    return next((name for mark, name in _BOMS if head.startswith(mark)), "utf-8-sig")


@contextmanager
def open_text(
    stream: BufferedReader, log: ReadIssues, encoding: str | None
) -> Generator[TextIOWrapper, None, None]:
    """The text in `stream`; what is not in its encoding comes as lone surrogates."""
    text = TextIOWrapper(
        stream,
        encoding=detect_encoding(stream, encoding, log.file),
        errors="surrogateescape",
        newline="",
    )
    try:
        yield text
    finally:
        # The stream is closed by who opened it.
        text.detach()


def text_problem(text: str, encoding: str) -> tuple[str, str] | None:
    """What keeps `text` from being text, and the way out."""
    if "\0" in text:
        return (
            "This line holds a NUL byte.",
            "The file may be damaged, or be UTF-16 without a mark (encoding='utf-16-le').",
        )
    if text.isascii():
        return None
    try:
        text.encode()
    except UnicodeEncodeError as error:
        byte = ord(text[error.start]) & 0xFF
        name = "UTF-8" if encoding == "utf-8-sig" else encoding
        return (f"The byte 0x{byte:02x} is not {name}.", _guess_encoding(text))
    return None


def _guess_encoding(text: str) -> str:
    raw = text.encode(errors="surrogateescape")
    for encoding in ("cp1252", "latin-1"):
        try:
            read = raw.decode(encoding)
        except UnicodeDecodeError:
            continue
        at = next(
            i for i, (a, b) in enumerate(zip(read, text + "\0" * len(read), strict=False)) if a != b
        )
        shown = read[max(at - 15, 0) : at + 15]
        return (
            f"As {encoding} it would read {shown!r}: if that is right, name encoding={encoding!r}."
        )
    return "Name the file's encoding."


class TextLines:
    """The lines of a text with their line breaks; ones that are too long are left out and logged.

    Attributes:
        line: The number of the line read last, counted from 1.
        left_out: The number of the line left out last; 0 if there was none.
        ended: Whether a line was asked for when there was none left.
    """

    def __init__(self, text: TextIOWrapper, log: ReadIssues) -> None:
        self._text = text
        self._log = log
        self.line = 0
        self.left_out = 0
        self.ended = False

    def __iter__(self) -> Iterator[str]:
        limit = self._log.max_line_bytes
        readline = partial(self._text.readline, limit)
        for line in iter(readline, ""):
            self.line += 1
            if len(line) < limit or line[-1] in "\r\n":
                yield line
                continue
            rest = line
            while rest and rest[-1] not in "\r\n":
                rest = readline()
            self.left_out = self.line
            self._log.too_long(self.line)
        self.ended = True
