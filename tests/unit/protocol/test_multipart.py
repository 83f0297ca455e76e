"""Forms with files: what is written can be read, here and by others."""

import re
import tracemalloc
from email import policy
from email.parser import BytesParser

import anyio
import httpx
import pytest
from hypothesis import given, strategies as st

from tunesmith.errors import InvalidRequestError
from tunesmith.protocol.multipart import (
    MultipartBody,
    MultipartError,
    Part,
    ReceivedPart,
    SpooledFile,
    decode_multipart,
)

pytestmark = pytest.mark.anyio

FORM = "multipart/form-data; boundary=b"


async def chunks(*pieces):
    for piece in pieces:
        yield piece


async def sent(body):
    return b"".join([chunk async for chunk in body.chunks()])


async def received(*pieces, content_type=FORM, max_bytes=10**6):
    return await decode_multipart(content_type, chunks(*pieces), max_bytes=max_bytes)


async def test_a_form_is_written_as_the_standard_has_it():
    file = Part("file", b'{"a":1}\n', "train.jsonl", "application/jsonl")
    body = MultipartBody([Part("purpose", b"fine-tune"), file], boundary="b")
    assert body.content_type == FORM
    assert await sent(body) == (
        b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nfine-tune\r\n'
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="train.jsonl"\r\n'
        b'Content-Type: application/jsonl\r\n\r\n{"a":1}\n\r\n--b--\r\n'
    )


async def test_each_form_has_a_boundary_of_its_own():
    boundaries = {MultipartBody([]).content_type for _ in range(5)}
    assert len(boundaries) == 5


async def test_content_is_streamed_as_it_comes_and_opened_afresh_each_time():
    opened = []

    def content():
        opened.append(True)
        return chunks(b"one", b"two")

    body = MultipartBody([Part("file", content, "f")], boundary="b")
    assert opened == []
    first = [chunk async for chunk in body.chunks()]
    assert first[1:3] == [b"one", b"two"]
    assert [chunk async for chunk in body.chunks()] == first
    assert len(opened) == 2


async def test_the_length_is_known_if_that_of_each_part_is():
    parts = [Part("n", b"12"), Part("file", lambda: chunks(b"abc"), "f", length_bytes=3)]
    body = MultipartBody(parts)
    assert body.length_bytes == len(await sent(body))
    assert MultipartBody([*parts, Part("file", lambda: chunks(b"x"))]).length_bytes is None


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ('say "a"', b'"say %22a%22"'),
        ("a\r\nb", b'"a%0D%0Ab"'),
        ("B\u00fccher", b'"B\xc3\xbccher"'),
        ("a\\", b'"a\\\\"'),
        ("bad\udcff", b'"bad?"'),
    ],
)
async def test_names_are_quoted_as_browsers_do_it(name, written):
    """A backslash is doubled, which browsers leave out and most readers expect."""
    content = await sent(MultipartBody([Part("file", b"", filename=name)]))
    assert b"filename=" + written + b"\r\n" in content


@pytest.mark.parametrize("end", ["\r\n", "\r", "\n"])
def test_a_media_type_cannot_begin_a_header(end):
    with pytest.raises(InvalidRequestError, match="one line") as caught:
        MultipartBody([Part("file", b"", "f", f"text/plain{end}X-Forged: 1")])
    assert caught.value.param == "file"


@pytest.mark.parametrize("boundary", ["", "a b", "a\r\nb", 'a"', "a;b", "x" * 71])
def test_a_boundary_that_would_break_the_header_is_refused(boundary):
    with pytest.raises(ValueError, match="invalid boundary"):
        MultipartBody([], boundary=boundary)


# Browsers' quoting cannot tell `"` from `%22`: what looks like a percent escape comes back as
# the character that it stands for.
NAMES = st.text(st.characters(codec="utf-8"), max_size=12).filter(
    lambda text: not re.search("%(22|[01][0-9A-F])", text)
)
CONTENTS = st.binary(max_size=60) | st.lists(
    st.sampled_from([b"\r\n", b"\r", b"\n", b"--", b"b", b"--b", b"\r\n--bc", b" "]), max_size=12
).map(b"".join)
PARTS = st.lists(
    st.builds(
        ReceivedPart,
        name=NAMES,
        content=CONTENTS.filter(lambda text: not re.search(rb"(?:\A|\r\n)--b(--|\s|\Z)", text)),
        filename=st.none() | NAMES,
        content_type=st.sampled_from([None, "text/plain; charset=utf-8"]),
    ),
    max_size=4,
)


@pytest.mark.slow
@given(PARTS, st.lists(st.integers(min_value=0), max_size=10))
def test_any_form_is_read_as_it_was_written_wherever_it_is_cut(cut, parts, places):
    written = [Part(p.name, p.content, p.filename, p.content_type) for p in parts]

    async def there_and_back():
        body = MultipartBody(written, boundary="b")
        whole = await sent(body)
        assert body.length_bytes == len(whole)
        return [
            await received(whole),
            await received(*cut(whole, places)),
            await received(*[bytes([byte]) for byte in whole]),
        ]

    assert anyio.run(there_and_back) == [parts] * 3


@given(NAMES, st.binary(max_size=60))
def test_what_httpx_writes_is_read(name, content):
    request = httpx.Request(
        "POST", "http://x/", data={"purpose": "fine-tune"}, files={"file": (name or "f", content)}
    )
    content_type = request.headers["content-type"]
    purpose, file = anyio.run(lambda: received(request.read(), content_type=content_type))
    assert (purpose.name, purpose.content, purpose.filename) == ("purpose", b"fine-tune", None)
    assert (file.name, file.content, file.filename) == ("file", content, name or "f")


async def test_the_parser_of_the_standard_library_reads_what_is_written():
    content = bytes(range(256)).replace(b"\r", b"").replace(b"\n", b"")
    body = MultipartBody([Part("n", b"1"), Part("file", content, "a\\b c.bin", "image/png")])
    message = BytesParser(policy=policy.HTTP).parsebytes(
        f"Content-Type: {body.content_type}\r\n\r\n".encode() + await sent(body)
    )
    number, file = message.iter_parts()
    assert number.get_param("name", header="content-disposition") == "n"
    assert file.get_param("name", header="content-disposition") == "file"
    assert file.get_filename() == "a\\b c.bin"
    assert file.get_content_type() == "image/png"
    assert file.get_payload(decode=True) == content


PART = b'Content-Disposition: form-data; name="a"\r\n\r\n1'


@pytest.mark.parametrize(
    "body",
    [
        b"--b\r\n" + PART + b"\r\n--b--\r\n",
        b"--b\r\n" + PART + b"\r\n--b--",
        b"a preamble\r\n--b\r\n" + PART + b"\r\n--b--\r\nan epilogue\r\n--b\r\nof rubbish",
        b"--b \t\r\n" + PART + b"\r\n--b--\r\n",
        b"--b\r\n" + PART.lower() + b"\r\n--b--\r\n",
        b"--b\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--b--\r\n",
    ],
    ids=["plain", "no last line end", "preamble and epilogue", "padding", "lower case", "token"],
)
async def test_forms_may_vary_in_what_the_standard_leaves_open(body):
    assert await received(body) == [ReceivedPart("a", b"1")]


async def test_a_boundary_may_be_quoted():
    body = b"--b c\r\n" + PART + b"\r\n--b c--"
    quoted = 'Multipart/Form-Data; charset=utf-8; boundary="b c"'
    assert await received(body, content_type=quoted) == [ReceivedPart("a", b"1")]


@pytest.mark.parametrize(
    ("written", "filename"),
    [
        (rb'"a\"b"', 'a"b'),
        (rb'"C:\data\new.csv"', r"C:\data\new.csv"),
        (b'"a; name=x"', "a; name=x"),
        (b'""', ""),
        (b'"%22%0A"', '"\n'),
        (b'"\xff"', "\N{REPLACEMENT CHARACTER}"),
    ],
)
async def test_file_names_are_read_however_they_are_quoted(written, filename):
    head = b'Content-Disposition: form-data; name="file"; filename=' + written
    (part,) = await received(b"--b\r\n" + head + b"\r\n\r\n\r\n--b--")
    assert (part.name, part.filename) == ("file", filename)


ENDS_EARLY = "the last boundary is missing: the body ends early"
NO_BLANK_LINE = "a part has no blank line after its headers"
NO_COLON = "a part has a header without a colon: "
NO_NAME = "a part has no name"


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"", ENDS_EARLY),
        (b"no form at all", ENDS_EARLY),
        (b"--b\r\n" + PART, ENDS_EARLY),
        (b"--b\r\n" + PART + b"\r\n--b\r\n", ENDS_EARLY),
        (b"--b\r\n" + PART + b"\r\n--b-", ENDS_EARLY),
        (b"--b\r\n--b--", NO_BLANK_LINE),
        (b'--b\r\nContent-Disposition: form-data; name="a"\r\n--b--', NO_BLANK_LINE),
        (b"--b\r\nX: 1\r\n--b\r\n" + PART + b"\r\n--b--", NO_BLANK_LINE),
        (b"--b\r\nContent-Disposition: form-data\r\n\r\n1\r\n--b--", NO_NAME),
        (b"--b\r\nContent-Type: text/plain\r\n\r\n1\r\n--b--", NO_NAME),
        (b"--b\r\n\r\n1\r\n--b--", NO_NAME),
        (b"--b\r\n" + b"x" * 200 + b"\r\n\r\n1\r\n--b--", NO_COLON + repr("x" * 100)),
    ],
)
async def test_what_is_wrong_with_a_body_is_said_however_it_is_cut(body, complaint):
    for pieces in ([body], [bytes([byte]) for byte in body]):
        with pytest.raises(MultipartError) as caught:
            await received(*pieces)
        assert str(caught.value) == complaint


async def test_the_headers_of_a_part_have_a_longest_length():
    def body(length):
        head = b'\r\nContent-Disposition: form-data; name="a"\r\nX: '
        return b"--b" + head.ljust(length, b"x") + b"\r\n\r\n1\r\n--b--"

    assert await received(body(16_384)) == [ReceivedPart("a", b"1")]
    with pytest.raises(MultipartError, match=r"^the headers .* are longer than 16384 bytes$"):
        await received(body(16_385))


@pytest.mark.parametrize("padding", [0, 64])
async def test_a_boundary_may_be_padded_and_cut_anywhere(padding):
    first = b"--b" + b" " * padding + b"\r\n" + PART
    body = first + b"\r\n" + first + b"\r\n--b--"
    whole = await received(body)
    assert whole == [ReceivedPart("a", b"1")] * 2
    assert await received(*[bytes([byte]) for byte in body]) == whole
    for place in range(len(body)):
        assert await received(body[:place], body[place:]) == whole


async def test_a_body_may_be_as_long_as_the_limit():
    body = b"--b\r\n" + PART + b"\r\n--b--"
    assert await received(body, max_bytes=len(body)) == [ReceivedPart("a", b"1")]
    with pytest.raises(MultipartError, match="longer than"):
        await received(body, max_bytes=len(body) - 1)


@pytest.mark.parametrize(
    "content_type", ["", "application/json", "multipart/form-data", "text/plain; boundary=b"]
)
async def test_a_body_that_is_no_form_is_refused(content_type):
    with pytest.raises(MultipartError, match="multipart/form-data with a boundary"):
        await received(b"--b--", content_type=content_type)


class Watched:
    """Three chunks of 60 bytes; knows what was read and whether it was closed."""

    def __init__(self):
        self.read = 0
        self.closed = False

    async def chunks(self):
        try:
            for _ in range(3):
                self.read += 1
                yield b"x" * 60
        finally:
            self.closed = True


async def test_a_body_that_is_too_long_is_refused_and_closed_before_all_of_it_is_read():
    body = Watched()
    with pytest.raises(MultipartError, match="longer than 100 bytes"):
        await decode_multipart(FORM, body.chunks(), max_bytes=100)
    assert (body.read, body.closed) == (2, True)


async def test_a_form_that_is_left_early_closes_its_file_at_once():
    file = Watched()
    form = MultipartBody([Part("file", file.chunks, "f")]).chunks()
    await anext(form)
    await anext(form)
    await form.aclose()
    assert (file.read, file.closed) == (1, True)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_form_or_an_error(body):
    async def tried():
        with pytest.raises(MultipartError):
            await received(body)

    anyio.run(tried)


async def test_little_more_than_twice_the_largest_part_is_held():
    """What comes in, and the bytes that are handed over; not the whole body over and over."""
    size = 4 * 2**20
    pieces = [b"x" * 2**16] * (size // 2**16)
    body = MultipartBody([Part("file", lambda: chunks(*pieces), "f")])
    tracemalloc.start()
    try:
        (part,) = await decode_multipart(body.content_type, body.chunks(), max_bytes=2 * size)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(part.content) == size
    assert peak < 2.5 * size


@pytest.mark.parametrize("chunk_bytes", [997, 4096, 70_000, 10**6])
async def test_large_files_are_received_into_temporary_files(chunk_bytes):
    large = (b"x" * 1000 + b"\r\n\r\n--bx\r\n--b y") * 200
    parts = [
        Part("first", large, "1", "text/plain"),
        Part("text", large),
        Part("second", large + b"\r", "2"),
        Part("small", b"s", "3"),
    ]
    body = await sent(MultipartBody(parts, boundary="b"))
    pieces = [body[i : i + chunk_bytes] for i in range(0, len(body), chunk_bytes)]
    first, text, second, small = await decode_multipart(
        FORM, chunks(*pieces), max_bytes=10**7, spool_bytes=20_000
    )
    assert (text.content, small.content) == (large, b"s")
    if chunk_bytes < len(body):  # otherwise everything is in memory anyway
        assert first.content == second.content == b""
        assert b"".join(first.spooled.chunks()) == large
        assert b"".join(second.spooled.chunks()) == large + b"\r"
        assert (first.content_type, second.spooled.size_bytes) == ("text/plain", len(large) + 1)


def test_a_temporary_file_is_read_in_chunks():
    file = SpooledFile()
    file.write(b"a" * 300_000)
    assert list(file.chunks()) == [b"a" * 2**18, b"a" * (300_000 - 2**18)]
    assert b"".join(file.chunks()) == b"a" * 300_000
