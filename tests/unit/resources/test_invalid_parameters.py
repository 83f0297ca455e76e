"""Parameters that a resource checks itself, before anything is sent."""

import pytest
from tests.unit.calls.conftest import Script, answer

from tunesmith import errors

pytestmark = pytest.mark.anyio

LARGEST = 64_000_000


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "train.jsonl"
    path.write_bytes(b"{}\n")
    return path


async def refuse(call, param, words):
    """Check that a call is refused, and that nothing was sent."""
    with pytest.raises(errors.InvalidRequestError, match=words) as caught:
        await call
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"part_bytes": 0}, f"part_bytes must be from 1 to {LARGEST}, not 0"),
        ({"part_bytes": LARGEST + 1}, f"part_bytes must be from 1 to {LARGEST}, not {LARGEST + 1}"),
        ({"concurrency": 0}, "concurrency must be 1 or more, not 0"),
    ],
)
async def test_of_an_upload(options, words, path):
    await refuse(Script().client().files.upload(path, **options), next(iter(options)), words)


async def test_a_path_to_upload(tmp_path):
    files = Script().client().files
    missing = f"{tmp_path / 'missing'} cannot be read: No such file or directory"
    await refuse(files.upload(tmp_path / "missing"), "path", missing)
    await refuse(files.upload(tmp_path), "path", f"{tmp_path} is a directory, not a file")


@pytest.mark.parametrize(
    ("file", "options", "param", "words"),
    [
        (b"1", {"part_size": 0}, "part_size", f"must be from 1 to {LARGEST}, not 0"),
        (b"1", {"part_size": LARGEST + 1}, "part_size", f"from 1 to {LARGEST}"),
        (b"1", {}, "filename", "^filename is required for bytes"),
        ("/missing/file", {}, "file", "'/missing/file' cannot be read: No such file or directory"),
    ],
)
async def test_of_an_upload_in_the_official_sdks_way(file, options, param, words):
    uploads = Script().client().uploads
    call = uploads.upload_file_chunked(file, mime_type="t", purpose="batch", **options)
    await refuse(call, param, words)


async def test_the_smallest_part_is_a_byte(path):
    backend = Script(
        answer(b'{"id": "upload_1", "status": "pending"}'),
        *[answer(b'{"id": "part_%d"}' % number) for number in range(2)],
        answer(b'{"id": "upload_1", "status": "completed", "file": {"id": "file-1"}}'),
    )
    uploads = backend.client().uploads
    upload = await uploads.upload_file_chunked(
        b"12", filename="a", mime_type="t", purpose="batch", part_size=1, bytes=3, md5="abc"
    )
    assert upload.file.id == "file-1"
    assert b'"bytes":3' in backend.bodies[0].replace(b" ", b"")
    assert b'"md5":"abc"' in backend.bodies[-1].replace(b" ", b"")


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
async def test_a_poll_interval(seconds):
    client = Script().client()
    words = f"poll_interval must be more than 0 seconds, not {seconds}"
    wait = client.fine_tuning.jobs.wait("ftjob-1", poll_interval=seconds)
    await refuse(wait, "poll_interval", words)


async def test_an_unknown_parameter_is_named():
    parse = Script().client().chat.completions.parse
    call = parse(model="m", messages=[], response_format=dict, colour="red")
    await refuse(call, "colour", "^chat.completions.parse: colour: unknown parameter$")


async def test_a_parameter_of_the_operation_is_named():
    client = Script().client()
    with pytest.raises(errors.InvalidRequestError) as caught:
        await client.completions.create(model="m", prompt="a", n="many")
    assert caught.value.operation == "completions.create"
    assert caught.value.param == "n"
    assert "https://" not in str(caught.value)


@pytest.mark.parametrize(
    ("message", "param", "words"),
    [
        ({"role": "user"}, "messages.0.content", "Field required"),
        ({"content": "Hi"}, "messages.0.role", "Field required"),
        ({"role": "user", "content": 5}, "messages.0.content", "valid string"),
    ],
)
async def test_a_part_of_a_parameter_is_named_by_its_path(message, param, words):
    create = Script().client().chat.completions.create
    with pytest.raises(errors.InvalidRequestError, match=words) as caught:
        await create(model="m", messages=[message])
    assert caught.value.param == param
