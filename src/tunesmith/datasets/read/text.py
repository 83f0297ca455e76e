"""Text from bytes: its encoding, lines of limited length, and bytes that are not text."""

import codecs
import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import partial
from io import BufferedReader, TextIOWrapper

from tunesmith.datasets.read.issues import ReadIssues
from tunesmith.datasets.rows import Row
from tunesmith.errors import DatasetError

__all__ = ["TextLines", "detect_encoding", "open_text", "peek_text", "read_txt", "text_problem"]

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_UTF16: dict[tuple[bool, ...], str] = {
    (True, False, True, False): "utf-16-le",
    (False, True, False, True): "utf-16-be",
}
"""Encodings by which of the first bytes are not zero: two characters of ASCII without a mark."""

_SCRIPTS = (
    ("shift_jis", "[\u3040-\u30ff]", "[\u3040-\u30ff\u4e00-\u9fff]"),
    ("euc_jp", "[\u3040-\u30ff]", "[\u3040-\u30ff\u4e00-\u9fff]"),
    ("euc_kr", "[\uac00-\ud7a3]", "[\uac00-\ud7a3]"),
    ("gb2312", "[\u4e00-\u9fff]", "[\u4e00-\u9fff]"),
    ("big5", "[\u4e00-\u9fff]", "[\u4e00-\u9fff]"),
    ("cp1251", "[\u0430-\u044f]", "[\u0401\u0410-\u044f\u0451]"),
    ("koi8-r", "[\u0430-\u044f]", "[\u0401\u0410-\u044f\u0451]"),
)
"""Encodings, letters that a text in them has, and all letters that it may have besides ASCII."""

_CONTEXT_CHARACTERS = 15


def detect_encoding(stream: BufferedReader, encoding: str | None, issues: ReadIssues) -> str:
    """Return the encoding to read with: the one given, the byte-order mark's, or UTF-8.

    Everything but plain UTF-8 is noted as a conversion.

    Raises:
        DatasetError: The encoding does not exist.
    """
    head = stream.peek(4)[:4]
    name = next((name for mark, name in _BOMS if head.startswith(mark)), None)
    name = name or _UTF16.get(tuple(byte > 0 for byte in head), "utf-8")
    if encoding is not None:
        try:
            name = codecs.lookup(encoding).name
        except LookupError:
            raise DatasetError(
                f"The encoding {encoding!r} does not exist.",
                file=issues.file,
                remedy="Use one that Python has, such as 'utf-8', 'cp1252' or 'shift_jis'.",
            ) from None
    if name == "utf-8-sig" or (name == "utf-8" and head.startswith(codecs.BOM_UTF8)):
        issues.conversions.append("UTF-8 with a byte-order mark to UTF-8")
    elif name not in {"utf-8", "ascii"}:
        issues.conversions.append(f"{name} to UTF-8")
    return "utf-8-sig" if name == "utf-8" else name


@contextmanager
def open_text(
    stream: BufferedReader, issues: ReadIssues, encoding: str | None
) -> Generator[TextIOWrapper, None, None]:
    """Open the text in a stream; bytes that are not in its encoding become lone surrogates."""
    text = TextIOWrapper(
        stream,
        encoding=detect_encoding(stream, encoding, issues),
        errors="surrogateescape",
        newline="",
    )
    try:
        yield text
    finally:
        # The stream is closed by the caller.
        text.detach()


def peek_text(stream: BufferedReader, encoding: str) -> str:
    """Return the beginning of a stream as text, without surrounding space, and read nothing."""
    return stream.peek(1 << 16).decode(encoding, errors="ignore").lstrip("\ufeff \t\r\n")


def text_problem(text: str, encoding: str) -> tuple[str, str] | None:
    """Return why a text is not valid, and a hint; None if it is valid."""
    if "\0" in text:
        return (
            "This line has a NUL byte.",
            "The file may be damaged, or be UTF-16 without a mark (encoding='utf-16-le').",
        )
    if text.isascii():
        return None
    try:
        text.encode()
    except UnicodeEncodeError as error:
        byte = ord(text[error.start]) & 0xFF
        name = "UTF-8" if encoding == "utf-8-sig" else encoding
        return f"The byte 0x{byte:02x} is not {name}.", _encoding_hint(text)
    return None


def _encoding_hint(text: str) -> str:
    raw = text.encode(errors="surrogateescape")
    for encoding in (*_script_encodings(raw), "cp1252", "latin-1"):
        try:
            decoded = raw.decode(encoding)
        except UnicodeDecodeError:
            continue
        padded = text + "\0" * len(decoded)
        first = next(i for i, (a, b) in enumerate(zip(decoded, padded, strict=False)) if a != b)
        shown = decoded[max(first - _CONTEXT_CHARACTERS, 0) : first + _CONTEXT_CHARACTERS]
        return f"In {encoding} it reads {shown!r}; if that is right, use encoding={encoding!r}."
    return "Name the file's encoding."


def _script_encodings(raw: bytes) -> Iterator[str]:
    """Yield the encodings in which bytes are text of one script throughout."""
    for encoding, needed, allowed in _SCRIPTS:
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError:
            continue
        letters = "".join(char for char in text if char.isalpha() and not char.isascii())
        is_latin = _is_inside_words(text)
        if len(letters) < 2 or is_latin or not re.search(needed, letters):  # noqa: PLR2004 — chance
            continue
        # Another encoding of Cyrillic exchanges its cases, and one of Latin mixes the alphabets.
        is_mixed = re.search("[A-Za-z][\u0400-\u04ff]|[\u0400-\u04ff][A-Za-z]", text)
        has_case = sum(map(str.isupper, letters)) <= sum(map(str.islower, letters))
        if re.fullmatch(f"{allowed}+", letters) and has_case and not is_mixed:
            # Other lines may have characters that only its successor has.
            yield "gb18030" if encoding == "gb2312" else encoding


def _is_inside_words(text: str) -> bool:
    """Return whether most letters besides ASCII touch ASCII letters, as in `Größe`."""
    runs = re.findall(r"[^\x00-\x7f]+", text)
    touching = re.findall(r"(?i)[a-z][^\x00-\x7f]+|[^\x00-\x7f]+[a-z]", text)
    return len("".join(runs)) < 2 * len(runs) and len(touching) * 2 > len(runs)


class TextLines:
    """Lines of a text with their line breaks; lines that are too long are skipped and reported.

    Attributes:
        line: The number of the last line read, counted from 1.
        skipped: The number of the last line skipped; 0 if there is none.
        ended: Whether the text is at its end.
    """

    def __init__(self, text: TextIOWrapper, issues: ReadIssues) -> None:
        self._text = text
        self._issues = issues
        self.line = 0
        self.skipped = 0
        self.ended = False

    def __iter__(self) -> Iterator[str]:
        limit = self._issues.max_line_bytes
        readline = partial(self._text.readline, limit)
        for line in iter(readline, ""):
            self.line += 1
            self._issues.characters += len(line)
            if len(line) < limit or line[-1] in "\r\n":
                yield line
                continue
            self._issues.too_long(self.line)  # before its rest is read, which can be endless
            rest = line
            while rest and rest[-1] not in "\r\n":
                rest = readline()
            self.skipped = self.line
        self.ended = True


def read_txt(stream: BufferedReader, issues: ReadIssues, encoding: str | None) -> Iterator[Row]:
    """Read each line as a completion with an empty prompt."""
    with open_text(stream, issues, encoding) as text:
        lines = TextLines(text, issues)
        for line in lines:
            if problem := text_problem(line, text.encoding):
                issues.broken_line(lines.line, problem[0], excerpt=line, hint=problem[1])
            else:
                yield Row(lines.line, {"prompt": "", "completion": line.rstrip("\r\n")})
