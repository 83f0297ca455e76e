"""Requests go out as they are, and whatever is answered comes back."""

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
    """Ask for a completion."""
    asked = {"model": "davinci-002", "prompt": "The sky is", "seed": 3, **parameters}
    headers = {"content-type": "application/json"}
    body = json.dumps(asked).encode()
    return Request("completions.create", "POST", "/completions", (), headers, body)


def stream_completion(**parameters: Any) -> Request:
    """Ask for a completion in pieces."""
    return completion(stream=True, **parameters)


class MessageContract(ContractBase):
    """Requests go out as they are, and whatever is answered comes back."""

    @on_each_event_loop
    async def test_an_answer_is_a_status_headers_and_a_body(self, target: BackendUnderTest) -> None:
        answer = await target.request(LIST_MODELS)
        assert answer.status == 200
        assert answer.headers["content-type"].startswith("application/json")
        assert "davinci-002" in [model["id"] for model in json.loads(answer.body)["data"]]

    @on_each_event_loop
    async def test_an_error_status_is_an_answer(self, target: BackendUnderTest) -> None:
        """Only where no answer came is an error raised."""
        unknown = Request("files.retrieve", "GET", "/files/file-none")
        nonsense = Request("completions.create", "POST", "/completions", (), {}, b"{nonsense")
        for request, status in ((unknown, 404), (nonsense, 400)):
            answer = await target.request(request)
            assert answer.status == status
            assert json.loads(answer.body)["error"]["message"]

    @on_each_event_loop
    async def test_names_of_headers_are_in_lower_case(self, target: BackendUnderTest) -> None:
        async with target.backend.send(LIST_MODELS) as response:
            assert [name for name in response.headers if name != name.lower()] == []
            assert response.headers["x-request-id"].startswith("req_")

    @on_each_event_loop
    async def test_a_path_arrives_as_it_was_written(self, target: BackendUnderTest) -> None:
        """It is percent-encoded already: encoding it twice, or not at all, would lose the model."""
        path = "/models/ft:a%20b%3Fc%23d%C3%B6:%25"
        answer = await target.request(Request("models.retrieve", "GET", path))
        assert answer.status == 404
        assert "ft:a b?c#dö:%" in json.loads(answer.body)["error"]["message"]

    @on_each_event_loop
    async def test_a_query_arrives_as_it_was_meant(self, target: BackendUnderTest) -> None:
        """It is not percent-encoded yet, and order and repetition are kept."""
        name = "ä b&c=d+e%20#"
        answer = await target.request(Request("files.list", "GET", "/files", ((name, "1"),)))
        assert answer.status == 400
        assert name in json.loads(answer.body)["error"]["message"]
        answer = await target.request(
            Request("files.list", "GET", "/files", (("limit", "1"), ("purpose", "batch")))
        )
        assert answer.status == 200

    @on_each_event_loop
    async def test_calls_side_by_side_get_each_their_own_answer(
        self, target: BackendUnderTest
    ) -> None:
        texts: dict[int, str] = {}

        async def ask(number: int) -> None:
            answer = await target.request(completion(prompt=f"Number {number}", echo=True))
            texts[number] = json.loads(answer.body)["choices"][0]["text"]

        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(ask, number)
        assert len(texts) == 20
        for number, text in texts.items():
            assert text.startswith(f"Number {number}")

    @on_each_event_loop
    async def test_a_call_may_end_in_another_scope_than_it_began_in(
        self, target: BackendUnderTest
    ) -> None:
        """Callers limit the time until an answer comes, and then that of each read.

        A cancel scope or a task group that the backend left open would be left out of order.
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
    async def test_whenever_a_call_is_cancelled_the_next_one_is_answered(
        self, target: BackendUnderTest
    ) -> None:
        for request in (completion(max_tokens=3), stream_completion(max_tokens=3)):
            for checkpoints in (*range(20), *range(20, 200, 9)):
                if await _ended_within(checkpoints, target, request):
                    break
            await target.wait_streams_closed()
            assert (await target.request(LIST_MODELS)).status == 200

    @on_each_event_loop
    async def test_after_closing_nothing_is_sent(self, target: BackendUnderTest) -> None:
        await target.request(LIST_MODELS)
        await target.backend.aclose()
        await target.backend.aclose()  # once more does no harm
        with pytest.raises(BackendError) as caught:
            await target.request(LIST_MODELS)
        assert caught.value.phase == "closed"


async def _ended_within(checkpoints: int, target: BackendUnderTest, request: Request) -> bool:
    """Cancel a call after so many checkpoints; tell whether it had ended before."""
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
