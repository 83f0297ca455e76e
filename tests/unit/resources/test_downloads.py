"""Downloads are resumed only while the service has the same file."""

import pytest
from tests.unit.calls.conftest import Script, answer, refusal

from tunesmith import errors
from tunesmith.errors import BackendError

pytestmark = pytest.mark.anyio

BROKEN = BackendError("reset", phase="read")


def whole(*chunks, length=8, **headers):
    return answer(list(chunks), content_length=str(length), **headers)


def part(content_range, *chunks):
    return answer(list(chunks), status=206, content_range=f"bytes {content_range}")


async def download(backend, tmp_path, **options):
    path = tmp_path / "file"
    await backend.client(**options).files.content("file-1").write_to(path)
    return path.read_bytes()


async def test_an_interrupted_download_is_resumed(tmp_path):
    backend = Script(
        whole(b"1234", BROKEN, etag='"v1"'), part("4-7/8", b"56", BROKEN), part("6-7/8", b"78")
    )
    assert await download(backend, tmp_path) == b"12345678"
    ranges = [request.headers.get("range") for request in backend.requests]
    assert ranges == [None, "bytes=4-", "bytes=6-"]
    assert [request.headers.get("if-range") for request in backend.requests] == [
        None,
        *['"v1"'] * 2,
    ]
    assert {request.headers["accept-encoding"] for request in backend.requests} == {"identity"}


@pytest.mark.parametrize(
    ("headers", "validator"),
    [
        ({"etag": 'W/"weak"', "last_modified": "Tue"}, "Tue"),
        ({"etag": 'W/"weak"'}, None),
        ({"last_modified": "Tue"}, "Tue"),
        ({}, None),
    ],
)
async def test_only_strong_validators_are_sent(headers, validator, tmp_path):
    backend = Script(whole(b"1234", BROKEN, **headers), part("4-7/8", b"5678"))
    assert await download(backend, tmp_path) == b"12345678"
    assert backend.requests[1].headers.get("if-range") == validator


async def test_a_range_may_be_shorter_than_requested(tmp_path):
    backend = Script(whole(b"12", BROKEN), part("2-4/8", b"345"), part("5-7/8", b"678"))
    assert await download(backend, tmp_path) == b"12345678"


async def test_a_body_that_is_shorter_than_announced_is_resumed(tmp_path):
    backend = Script(whole(b"1234"), part("4-7/8", b"5678"))
    assert await download(backend, tmp_path) == b"12345678"


async def test_a_server_that_sends_the_whole_again_starts_over(tmp_path):
    backend = Script(whole(b"1234", BROKEN), whole(b"abcdef", length=6))
    assert await download(backend, tmp_path) == b"abcdef"


@pytest.mark.parametrize("content_range", ["4-6/7", "0-7/8", "5-7/8", "*/8"])
async def test_another_file_or_another_range_starts_over(content_range, tmp_path):
    backend = Script(whole(b"1234", BROKEN), part(content_range, b"x"), whole(b"abcdefg", length=7))
    assert await download(backend, tmp_path) == b"abcdefg"


@pytest.mark.parametrize("name", ["etag", "last_modified"])
async def test_a_range_of_another_version_starts_over(name, tmp_path):
    old, new = {name: '"1"'}, {name: '"2"'}
    backend = Script(
        answer([b"1234", BROKEN], content_length="8", **old),
        answer(b"efgh", 206, content_range="bytes 4-7/8", **new),
        answer(b"abcdefgh", content_length="8", **new),
    )
    assert await download(backend, tmp_path) == b"abcdefgh"


async def test_a_range_that_is_longer_than_the_file_starts_over(tmp_path):
    longer = part("4-7/8", b"5678999")
    backend = Script(whole(b"1234", BROKEN, length=8), longer, whole(b"12345678", length=8))
    assert await download(backend, tmp_path) == b"12345678"


async def test_a_file_that_keeps_changing_is_an_error_and_leaves_nothing(tmp_path):
    steps = [whole(b"1234", BROKEN), part("4-8/9", b"x")]
    with pytest.raises(errors.StreamInterruptedError, match="has changed"):
        await download(Script(*steps * 3), tmp_path)
    assert list(tmp_path.iterdir()) == []


async def test_a_refused_range_at_the_end_completes_a_download(tmp_path):
    lost_end = answer([b"12345678", BROKEN])
    backend = Script(lost_end, refusal(416, content_range="bytes */8"))
    assert await download(backend, tmp_path) == b"12345678"


async def test_a_refused_range_elsewhere_is_an_error(tmp_path):
    backend = Script(whole(b"1234", BROKEN), refusal(416, content_range="bytes */4"))
    with pytest.raises(errors.APIStatusError):
        await download(backend, tmp_path)


async def test_a_version_may_be_named_only_with_a_part(tmp_path):
    backend = Script(
        whole(b"1234", BROKEN), answer(b"5678", 206, content_range="bytes 4-7/8", etag='"1"')
    )
    assert await download(backend, tmp_path) == b"12345678"


async def test_the_length_of_encoded_content_is_not_that_of_the_file(tmp_path):
    backend = Script(whole(b"12345678", length=3, content_encoding="gzip"))
    assert await download(backend, tmp_path) == b"12345678"


async def test_progress_allows_any_number_of_interruptions(tmp_path):
    parts = [part(f"{at}-7/8", b"%d" % at, BROKEN) for at in range(1, 7)]
    backend = Script(whole(b"0", BROKEN), *parts, part("7-7/8", b"7"))
    assert await download(backend, tmp_path) == b"01234567"


async def test_without_progress_there_are_as_many_attempts_as_of_a_call(tmp_path):
    backend = Script(whole(b"0", BROKEN), *[part("1-7/8", BROKEN)] * 9)
    client = backend.client(max_retries=2)
    with pytest.raises(errors.StreamInterruptedError):
        await client.files.content("file-1").write_to(tmp_path / "file")
    assert len(backend.requests) == 3


async def test_a_deadline_ends_a_download_whatever_it_waits_for(tmp_path):
    slow = answer([b"1", 100.0, b"2"], content_length="8")
    with pytest.raises(errors.DeadlineExceededError):
        await Script(slow).client(deadline=50).files.content("f").write_to(tmp_path / "file")
    backend = Script(whole(b"0", BROKEN))
    with pytest.raises(errors.DeadlineExceededError, match="while waiting to resume"):
        await backend.client(deadline=0.1).files.content("f").write_to(tmp_path / "file")


async def test_a_download_sends_the_options_of_its_call(tmp_path):
    backend = Script(answer(b"1"))
    content = backend.client().files.content(
        "file-1", extra_headers={"X-Team": "a"}, extra_query={"region": "eu"}, timeout=7
    )
    assert await content.text("ascii") == "1"
    [request] = backend.requests
    assert request.headers["x-team"] == "a"
    assert dict(request.query) == {"region": "eu"}
    assert request.timeout == 7


async def test_text_is_decoded_as_the_caller_says():
    backend = Script(*[answer("Kritik für alle".encode(name)) for name in ("utf-8", "latin-1")])
    content = backend.client().files.content("file-1")
    assert await content.text() == await content.text("latin-1") == "Kritik für alle"


@pytest.mark.parametrize("content_range", ["bytes 0-3/8", "bytes 4-7/8", "bytes 0-3/*", "none"])
async def test_a_part_that_was_not_requested_is_an_error(content_range, tmp_path):
    def content():
        reply = answer([b"1234"], status=206, content_range=content_range)
        return Script(reply).client().files.content("file-1")

    with pytest.raises(errors.InvalidResponseError, match="part of the content"):
        await content().read()
    with pytest.raises(errors.InvalidResponseError, match="part of the content"):
        async with content().stream():
            pass
    with pytest.raises(errors.InvalidResponseError, match="part of the content"):
        await content().write_to(tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


async def test_a_part_that_is_the_whole_is_accepted():
    backend = Script(part("0-3/4", b"1234"))
    assert await backend.client().files.content("file-1").read() == b"1234"
