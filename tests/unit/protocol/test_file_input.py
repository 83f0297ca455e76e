"""Files in all the ways in which they can be passed."""

import io
import os
from pathlib import Path

import pytest

from tunesmith.errors import InvalidRequestError
from tunesmith.operations.files import FileSource
from tunesmith.protocol.file_input import to_file_source

pytestmark = pytest.mark.anyio

BINARY = "application/octet-stream"


async def content_of(source):
    if isinstance(source.content, bytes):
        return source.content
    return b"".join([chunk async for chunk in source.content()])


def facts_of(source):
    return (source.filename, source.content_type, source.length_bytes, source.replayable)


@pytest.mark.parametrize("kind", [str, Path])
async def test_a_path_is_read_again_each_time(tmp_path, kind):
    path = tmp_path / "train.jsonl"
    path.write_bytes(b"{}" * 200_000)
    source = to_file_source(kind(path))
    assert facts_of(source) == ("train.jsonl", "application/jsonl", 400_000, True)
    for _ in range(2):
        chunks = [chunk async for chunk in source.content()]
        assert list(map(len, chunks)) == [2**18, 400_000 - 2**18]
        assert b"".join(chunks) == path.read_bytes()


@pytest.mark.parametrize(
    ("name", "content_type"),
    [("a.jsonl", "application/jsonl"), ("a.json", "application/json"), ("a.zzz", BINARY)],
)
async def test_the_media_type_follows_from_the_name(tmp_path, name, content_type):
    (tmp_path / name).write_bytes(b"")
    assert to_file_source(tmp_path / name).content_type == content_type
    assert to_file_source((name, b"")).content_type == content_type


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
async def test_bytes_are_a_file_without_a_name(kind):
    source = to_file_source(kind(b"abc"))
    assert source == FileSource("upload", b"abc", BINARY, 3)
    assert type(source.content) is bytes


async def test_a_file_is_read_from_its_position_each_time(tmp_path):
    path = tmp_path / "train.jsonl"
    path.write_bytes(b"0123" * 100_000)
    with path.open("rb") as file:
        file.seek(4)
        source = to_file_source(file)
        assert facts_of(source) == ("train.jsonl", "application/jsonl", 399_996, True)
        assert file.tell() == 4
        for _ in range(2):
            chunks = [chunk async for chunk in source.content()]
            assert list(map(len, chunks)) == [2**18, 399_996 - 2**18]
            assert b"".join(chunks) == b"0123" * 99_999


class Pipe(io.BytesIO):
    name = 3  # of a pipe: its descriptor

    def seekable(self):
        return False

    def tell(self):
        raise OSError("Illegal seek")


async def test_a_file_that_cannot_be_sought_is_read_once():
    source = to_file_source(Pipe(b"abc"))
    assert facts_of(source) == ("upload", BINARY, None, False)
    assert await content_of(source) == b"abc"


async def test_an_iterator_is_sent_once_and_an_iterable_again():
    class Iterable:
        async def __aiter__(self):
            yield b"a"
            yield b"b"

    iterable, iterator = to_file_source(Iterable()), to_file_source(aiter(Iterable()))
    assert facts_of(iterable) == ("upload", BINARY, None, True)
    assert facts_of(iterator) == ("upload", BINARY, None, False)
    assert [await content_of(iterable) for _ in range(2)] == [b"ab", b"ab"]
    assert [await content_of(iterator) for _ in range(2)] == [b"ab", b""]


async def test_a_source_is_taken_as_it_is():
    source = FileSource("a", b"", BINARY, 0)
    assert to_file_source(source) is source


@pytest.mark.parametrize(
    ("given", "filename", "content_type"),
    [
        (("a.json", b"abc"), "a.json", "application/json"),
        (("a.json", b"abc", None), "a.json", "application/json"),
        (("a.json", b"abc", "text/plain"), "a.json", "text/plain"),
        ((None, b"abc", "text/plain"), "upload", "text/plain"),
        ((None, b"abc"), "upload", BINARY),
    ],
)
async def test_a_tuple_names_the_file_and_its_media_type(given, filename, content_type):
    assert to_file_source(given) == FileSource(filename, b"abc", content_type, 3)


async def test_a_tuple_keeps_what_its_content_cannot():
    source = to_file_source(("a.json", Pipe(b"abc")))
    assert facts_of(source) == ("a.json", "application/json", None, False)
    assert await content_of(source) == b"abc"


async def test_what_is_no_file_is_an_error_that_says_what_may_be_passed(tmp_path):
    with pytest.raises(InvalidRequestError) as caught:
        to_file_source(5)
    assert str(caught.value) == (
        "file must be a path, bytes, a file opened with 'rb', an asynchronous iterable of bytes, "
        "or (filename, content), not int"
    )
    assert caught.value.param == "file"


async def test_a_file_that_cannot_be_read_is_an_error_before_it_is_sent(tmp_path):
    missing = tmp_path / "missing.jsonl"
    for path, problem in (
        (tmp_path, f"{tmp_path} is a directory, not a file"),
        (missing, f"{missing} cannot be read: No such file or directory"),
    ):
        with pytest.raises(InvalidRequestError) as caught:
            to_file_source(path)
        assert (str(caught.value), caught.value.param) == (problem, "file")


@pytest.mark.parametrize("text", ["abc", ""])
async def test_a_file_that_is_opened_as_text_is_an_error(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_text(text)
    with path.open() as file:
        source = to_file_source(file)
        if not text:
            assert await content_of(source) == b""
            return
        with pytest.raises(InvalidRequestError) as caught:
            await content_of(source)
    assert str(caught.value) == "a.json is opened as text: open it with 'rb'"
    assert caught.value.param == "file"


def touch(path):
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 10**9))


def grow(path):
    status = path.stat()
    with path.open("ab") as file:
        file.write(b"more")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize("change", [touch, grow])
async def test_a_file_that_changes_is_an_error_before_its_last_chunk(tmp_path, change):
    path = tmp_path / "a.json"
    path.write_bytes(b"x" * (2**18 + 1))
    chunks = to_file_source(path).content()
    assert len(await anext(chunks)) == 2**18
    change(path)
    with pytest.raises(InvalidRequestError) as caught:
        await anext(chunks)
    assert (str(caught.value), caught.value.param) == (f"{path} changed while it was sent", "file")
