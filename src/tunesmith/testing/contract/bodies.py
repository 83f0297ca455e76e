"""Tests of request bodies and file contents."""

import json
from collections.abc import AsyncGenerator

import pytest

from tunesmith.operations.files import CreateFile
from tunesmith.protocol.encode import encode
from tunesmith.protocol.message import Body, Request
from tunesmith.testing.contract.base import BackendUnderTest, ContractBase, on_each_event_loop
from tunesmith.testing.contract.messages import LIST_MODELS

__all__ = ["BodyContract"]

_BODY = json.dumps({"model": "davinci-002", "prompt": "Größe", "max_tokens": 4}).encode()
_CONTENT = bytes(range(256)) * 1200
"""Binary content of several chunks."""


def _completion(body: Body) -> Request:
    headers = {"content-type": "application/json"}
    return Request("completions.create", "POST", "/completions", (), headers, body)


class _ChunkedBody:
    """A body that is opened afresh each time and counts how often it was opened and is open."""

    def __init__(self, content: bytes, error: Exception | None = None) -> None:
        self._content = content
        self._error = error
        self.opened = 0
        self.open = 0

    async def __call__(self) -> AsyncGenerator[bytes]:
        self.opened += 1
        self.open += 1
        try:
            for start in range(0, len(self._content), 10):
                yield self._content[start : start + 10]
            if self._error is not None:
                raise self._error
        finally:
            self.open -= 1


class BodyContract(ContractBase):
    """Tests of request bodies and file contents."""

    @on_each_event_loop
    async def test_a_body_may_be_bytes_or_chunks(self, target: BackendUnderTest) -> None:
        whole = await target.request(_completion(_BODY))
        chunked = await target.request(_completion(_ChunkedBody(_BODY)))
        assert whole.status == chunked.status == 200
        assert json.loads(whole.body)["usage"] == json.loads(chunked.body)["usage"]

    @on_each_event_loop
    async def test_a_body_is_opened_afresh_for_each_attempt(self, target: BackendUnderTest) -> None:
        chunked = _ChunkedBody(_BODY)
        request = _completion(chunked)
        for attempt in (1, 2):
            assert (await target.request(request)).status == 200
            assert (chunked.opened, chunked.open) == (attempt, 0)

    @on_each_event_loop
    async def test_errors_of_a_body_are_reraised_and_the_body_is_closed(
        self, target: BackendUnderTest
    ) -> None:
        """Errors raised by the request body are re-raised unchanged and not retried."""
        chunked = _ChunkedBody(_BODY[:-1], error=KeyError("the disk is gone"))
        with pytest.raises(KeyError, match="the disk is gone"):
            await target.request(_completion(chunked))
        assert chunked.open == 0
        assert (await target.request(LIST_MODELS)).status == 200

    @on_each_event_loop
    async def test_a_form_is_sent_with_its_file_unchanged(self, target: BackendUnderTest) -> None:
        name = 'Über "Vernunft".bin'
        sent = encode(CreateFile(file=(name, _CONTENT), purpose="user_data"))
        file = json.loads((await target.request(sent)).body)
        assert (file["filename"], file["purpose"]) == (name, "user_data")
        assert file["bytes"] == len(_CONTENT)
        assert (await target.request(_content_of(file["id"]))).body == _CONTENT

    @on_each_event_loop
    async def test_a_long_file_is_received_in_chunks(self, target: BackendUnderTest) -> None:
        """Files may be larger than memory."""
        file_id = await _upload(target)
        async with target.backend.send(_content_of(file_id)) as response:
            chunks = [chunk async for chunk in response.stream]
        assert len(chunks) > 1
        assert b"".join(chunks) == _CONTENT

    @on_each_event_loop
    async def test_a_range_of_a_file_is_received(self, target: BackendUnderTest) -> None:
        """Interrupted downloads are resumed by range."""
        file_id = await _upload(target)
        part = await target.request(_content_of(file_id, span="100000-"))
        assert part.status == 206
        assert part.headers["content-range"] == f"bytes 100000-{len(_CONTENT) - 1}/{len(_CONTENT)}"
        assert part.body == _CONTENT[100_000:]
        assert (await target.request(_content_of(file_id, span="999999-"))).status == 416


def _content_of(file_id: str, *, span: str | None = None) -> Request:
    headers = {} if span is None else {"range": f"bytes={span}"}
    return Request("files.content", "GET", f"/files/{file_id}/content", (), headers)


async def _upload(target: BackendUnderTest) -> str:
    sent = encode(CreateFile(file=("kant.bin", _CONTENT), purpose="user_data"))
    return str(json.loads((await target.request(sent)).body)["id"])
