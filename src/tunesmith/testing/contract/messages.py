"""Tests that requests and responses pass unchanged."""

import json
from contextlib import AsyncExitStack
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from tunesmith.errors import BackendError
from tunesmith.protocol.message import Request
from tunesmith.testing.contract.base import BackendUnderTest, ContractBase, on_each_event_loop

__all__ = ["LIST_MODELS", "MessageContract", "completion", "stream_completion"]

LIST_MODELS = Request("models.list", "GET", "/models", headers={"accept": "application/json"})


def completion(**parameters: Any) -> Request:
    """Return a request for a completion."""
    fields = {"model": "davinci-002", "prompt": "The sky is", "seed": 3, **parameters}
    headers = {"content-type": "application/json"}
    body = json.dumps(fields).encode()
    return Request("completions.create", "POST", "/completions", (), headers, body)


def stream_completion(**parameters: Any) -> Request:
    """Return a request for a streamed completion."""
    return completion(stream=True, **parameters)


class MessageContract(ContractBase):
    """Tests that requests and responses pass unchanged."""

    @on_each_event_loop
    async def test_a_response_has_a_status_headers_and_a_body(
        self, target: BackendUnderTest
    ) -> None:
        response = await target.request(LIST_MODELS)
        assert response.status == 200
        assert response.headers["content-type"].startswith("application/json")
        assert "davinci-002" in [model["id"] for model in json.loads(response.body)["data"]]

    @on_each_event_loop
    async def test_an_error_status_is_a_response(self, target: BackendUnderTest) -> None:
        """`BackendError` is raised only without a response."""
        unknown = Request("files.retrieve", "GET", "/files/file-none")
        malformed = Request("completions.create", "POST", "/completions", (), {}, b"{nonsense")
        for request, status in ((unknown, 404), (malformed, 400)):
            response = await target.request(request)
            assert response.status == status
            assert json.loads(response.body)["error"]["message"]

    @on_each_event_loop
    async def test_header_names_are_lower_case(self, target: BackendUnderTest) -> None:
        async with target.backend.send(LIST_MODELS) as response:
            assert [name for name in response.headers if name != name.lower()] == []
            assert response.headers["x-request-id"].startswith("req_")

    @on_each_event_loop
    async def test_a_path_is_sent_unchanged(self, target: BackendUnderTest) -> None:
        """The path is percent-encoded already."""
        path = "/models/ft:a%20b%3Fc%23d%C3%B6:%25"
        response = await target.request(Request("models.retrieve", "GET", path))
        assert response.status == 404
        assert "ft:a b?c#dö:%" in json.loads(response.body)["error"]["message"]

    @on_each_event_loop
    async def test_a_query_is_encoded(self, target: BackendUnderTest) -> None:
        """The query is not percent-encoded yet; its order and duplicates are kept."""
        name = "ä b&c=d+e%20#"
        response = await target.request(Request("files.list", "GET", "/files", ((name, "1"),)))
        assert response.status == 400
        assert name in json.loads(response.body)["error"]["message"]
        response = await target.request(
            Request("files.list", "GET", "/files", (("limit", "1"), ("purpose", "batch")))
        )
        assert response.status == 200

    @on_each_event_loop
    async def test_concurrent_calls_get_their_own_responses(self, target: BackendUnderTest) -> None:
        texts: dict[int, str] = {}

        async def call(number: int) -> None:
            response = await target.request(completion(prompt=f"Number {number}", echo=True))
            texts[number] = json.loads(response.body)["choices"][0]["text"]

        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(call, number)
        assert len(texts) == 20
        for number, text in texts.items():
            assert text.startswith(f"Number {number}")

    @on_each_event_loop
    async def test_a_call_may_end_in_another_cancel_scope(self, target: BackendUnderTest) -> None:
        """Callers use one timeout for the response and another for each read.

        Cancel scopes and task groups that the backend keeps open would be left out of order.
        """
        async with AsyncExitStack() as stack:
            with anyio.fail_after(30):
                sending = target.backend.send(stream_completion(max_tokens=20))
                response = await stack.enter_async_context(sending)
            with anyio.fail_after(30):
                await anext(response.stream)
            scope = stack.enter_context(anyio.CancelScope())
            await anext(response.stream)
        assert not scope.cancelled_caught

    @on_each_event_loop
    async def test_a_cancelled_call_does_not_affect_the_next(
        self, target: BackendUnderTest
    ) -> None:
        for request in (completion(max_tokens=3), stream_completion(max_tokens=3)):
            for checkpoints in (*range(20), *range(20, 200, 9)):
                if await _ended_within(checkpoints, target, request):
                    break
            await target.wait_streams_closed()
            assert (await target.request(LIST_MODELS)).status == 200

    @on_each_event_loop
    async def test_a_closed_backend_sends_nothing(self, target: BackendUnderTest) -> None:
        await target.request(LIST_MODELS)
        await target.backend.aclose()
        await target.backend.aclose()  # closing twice is allowed
        with pytest.raises(BackendError) as caught:
            await target.request(LIST_MODELS)
        assert caught.value.phase == "closed"


async def _ended_within(checkpoints: int, target: BackendUnderTest, request: Request) -> bool:
    """Cancel a call after a number of checkpoints; return whether it ended before."""
    ended = False

    async def call() -> None:
        nonlocal ended
        await target.request(request)
        ended = True

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        for _ in range(checkpoints):
            await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
    return ended
