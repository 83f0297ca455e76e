"""Faults by position: which call goes wrong, where, and how, is said beforehand."""

import json
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from http import HTTPStatus
from math import ceil, inf
from typing import Any

from anyio.lowlevel import checkpoint

from tunesmith.backends.base import Backend, get_clock
from tunesmith.operations.registry import validate_operation_name
from tunesmith.protocol.error_body import error_body
from tunesmith.protocol.message import Request, Response
from tunesmith.testing.faults.base import Fault, FaultInvocation, Send
from tunesmith.testing.faults.positions import BodyPosition
from tunesmith.testing.faults.request_faults import (
    Delay,
    DisconnectUpload,
    DropResponse,
    ErrorStatus,
    RefuseConnection,
)
from tunesmith.testing.faults.response_faults import (
    ContentType,
    Disconnect,
    EditJson,
    ErrorEvent,
    RepeatPage,
    Stall,
    Truncate,
    reversed_page,
)

__all__ = ["FaultRule", "Faults"]


@dataclass(slots=True)
class _PlannedFault:
    """A fault at some calls."""

    calls: "FaultRule"
    fault: Fault
    strikes: dict[int, FaultInvocation] = field(default_factory=dict[int, FaultInvocation])

    def unfired(self) -> list[str]:
        """Say which calls it should have struck, and did not."""
        wanted = self.calls.numbers
        if wanted is None:
            if any(strike.fired for strike in self.strikes.values()):
                return []
            reasons = {strike.reason for strike in self.strikes.values()}
            why = " and ".join(sorted(reasons)) or "it was never called"
            return [f"{self.calls.pattern}, every call: {self.fault} - {why}"]
        came = self.calls.came
        times = "never called" if not came else f"called {'once' if came == 1 else f'{came} times'}"
        return [
            f"{self.calls.pattern}, call {number}: {self.fault} - "
            + (self.strikes[number].reason if number in self.strikes else f"it was {times}")
            for number in wanted
            if number not in self.strikes or not self.strikes[number].fired
        ]


class FaultRule:
    """Calls for which faults are being declared; see `Faults.on`. Each method adds a fault.

    Args:
        pattern: The operation's name; `*` stands for any text.
        numbers: Which of its calls; None for all.
        plan: Takes a fault.
    """

    def __init__(
        self,
        pattern: str,
        numbers: tuple[int, ...] | None,
        plan: Callable[["FaultRule", Fault], None],
    ) -> None:
        self.pattern = pattern
        self.numbers = numbers
        self.came = 0
        self._plan = plan

    def status(
        self,
        status: int,
        message: str | None = None,
        *,
        type: str | None = None,
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        after_work: bool = False,
    ) -> "FaultRule":
        """Answer with an error status; the service is not asked.

        Args:
            status: The HTTP status.
            message: The text of the error; by default the name of the status.
            type: The API's class of error.
            code: The API's code of the error.
            param: The parameter that is to blame.
            headers: Headers to send, names in lower case.
            body: Bytes to send instead of the error as JSON, such as a proxy's page.
            after_work: Whether the service is asked, and does it, and its answer is replaced.

        Example:
            ```python
            from tunesmith.testing import Faults

            faults = Faults(MemoryBackend())
            faults.on("files.create", nth=2).status(502, body=b"<html>Bad gateway</html>")
            ```
        """
        if body is None:
            kind = type or ("server_error" if status >= _SERVER_ERROR else "invalid_request_error")
            text = message or HTTPStatus(status).phrase
            body = json.dumps(error_body(text, type=kind, param=param, code=code)).encode()
            headers = {"content-type": "application/json", **(headers or {})}
        return self._add(ErrorStatus(status, body, headers or {}, after_work))

    def rate_limited(self, retry_after_s: float | None = None) -> "FaultRule":
        """Answer 429: too many requests.

        Args:
            retry_after_s: How many seconds the service asks to wait; None if it does not say.
        """
        return self.status(
            429,
            "Rate limit reached for requests. Please try again later.",
            type="requests",
            code="rate_limit_exceeded",
            headers=_retry_after(retry_after_s),
        )

    def quota_exhausted(self) -> "FaultRule":
        """Answer 429 with the code `insufficient_quota`, which must not be retried."""
        return self.status(
            429,
            "You exceeded your current quota, please check your plan and billing details.",
            type="insufficient_quota",
            code="insufficient_quota",
        )

    def overloaded(self, retry_after_s: float | None = None) -> "FaultRule":
        """Answer 503; several calls, as in `call=range(1, 4)`, make a burst.

        Args:
            retry_after_s: How many seconds the service asks to wait; None if it does not say.
        """
        return self.status(
            503,
            "The server is currently overloaded with other requests. Please try again later.",
            headers=_retry_after(retry_after_s),
        )

    def refuse_connection(self) -> "FaultRule":
        """Let the connection not come about: the service sees nothing."""
        return self._add(RefuseConnection("connect", "the connection was refused"))

    def drop_response(self) -> "FaultRule":
        """Let the service do what it is asked, and its answer be lost."""
        return self._add(DropResponse())

    def delay(self, seconds: float) -> "FaultRule":
        """Let the answer begin late; the service has done its work by then.

        Args:
            seconds: So many seconds later, by the backend's clock.
        """
        return self._add(Delay(seconds))

    def disconnect(
        self, *, after_bytes: int | None = None, after_events: int | None = None
    ) -> "FaultRule":
        """Break the connection in the answer's body; half-way if nothing else is said.

        Args:
            after_bytes: So many bytes come first.
            after_events: So many events of a stream come first.
        """
        return self._add(Disconnect(BodyPosition(after_bytes, after_events)))

    def stall(
        self,
        *,
        after_bytes: int | None = None,
        after_events: int | None = None,
        for_s: float = inf,
    ) -> "FaultRule":
        """Let nothing come for a while; half-way in the body if nothing else is said.

        Args:
            after_bytes: So many bytes come first.
            after_events: So many events of a stream come first.
            for_s: So many seconds by the backend's clock; for ever if not said.
        """
        return self._add(Stall(BodyPosition(after_bytes, after_events), for_s))

    def truncate(
        self, *, after_bytes: int | None = None, after_events: int | None = None
    ) -> "FaultRule":
        """End the body early, as if that were all; half-way if nothing else is said.

        Args:
            after_bytes: So many bytes come first.
            after_events: So many events of a stream come first.
        """
        return self._add(Truncate(BodyPosition(after_bytes, after_events)))

    def error_event(
        self, *, after_events: int, message: str = "The server had an error.", code: str = ""
    ) -> "FaultRule":
        """Let a stream report an error, and end.

        Args:
            after_events: So many events come first.
            message: The text of the error.
            code: The API's code of the error.
        """
        body = error_body(message, type="server_error", code=code or None)
        return self._add(ErrorEvent(BodyPosition(after_events=after_events), body))

    def content_type(self, content_type: str) -> "FaultRule":
        """Let the answer say that it is something else.

        Args:
            content_type: What it says it is, such as `text/html`.
        """
        return self._add(ContentType(content_type))

    def edit(self, change: Callable[[Any], Any], name: str = "JSON edited") -> "FaultRule":
        """Change the JSON of good answers.

        Args:
            change: Is given the JSON, and gives another; the same one is no fault.
            name: What to call the fault.
        """
        return self._add(EditJson(change, name))

    def repeat_page(self) -> "FaultRule":
        """Answer the page before again; so the call is the second, or a later one."""
        return self._add(RepeatPage())

    def reorder_page(self) -> "FaultRule":
        """Turn the items of a page around."""
        return self.edit(reversed_page, "page reordered")

    def disconnect_upload(self, *, after_bytes: int | None = None) -> "FaultRule":
        """Break the connection while the request's body is being sent.

        Args:
            after_bytes: So many bytes are sent first; half of them if not said.
        """
        return self._add(DisconnectUpload(after_bytes))

    def _add(self, fault: Fault) -> "FaultRule":
        self._plan(self, fault)
        return self


class Faults:
    """A backend around any other that lets chosen calls go wrong, and says which did not.

    Faults of the same call compose: a status takes the place of the service, what changes an answer
    happens before what breaks it, what delays it comes on top. Delays pass by the inner backend's
    clock, so virtual time makes them short.

    Args:
        inner: The backend whose calls go wrong; a real service's too.

    Example:
        ```python
        from tunesmith.testing import Faults

        faults = Faults(MemoryBackend())
        faults.on("models.list").rate_limited(retry_after_s=20)
        faults.on("completions.create", nth=2).delay(5).disconnect(after_events=3)
        async with AsyncClient(backend=faults) as client:
            await client.models.list()
        print(faults.unfired)  # no completion was asked for
        ```
    """

    def __init__(self, inner: Backend) -> None:
        self.inner = inner
        self._calls: list[FaultRule] = []
        self._planned: list[_PlannedFault] = []

    def __repr__(self) -> str:
        return f"<Faults {len(self._planned)} over {self.inner!r}>"

    def on(self, operation: str = "*", nth: int | Iterable[int] | None = 1) -> FaultRule:
        """Choose calls that shall go wrong.

        Args:
            operation: The operation's name, such as `files.create`; `*` stands for any text.
            nth: The how-manieth of its calls from now on, counted from 1; several of them; or None
                for all. A retry is a call.

        Returns:
            What declares the faults: `faults.on("files.create").status(503)`.

        Raises:
            ValueError: There is no such operation, or a number is below 1.
        """
        validate_operation_name(operation)
        numbers = None if nth is None else (nth,) if isinstance(nth, int) else tuple(nth)
        if numbers is not None and (not numbers or min(numbers) < 1):
            raise ValueError(f"calls are counted from 1, so call cannot be {nth!r}")
        calls = FaultRule(operation, numbers, self._plan)
        self._calls.append(calls)
        return calls

    @property
    def unfired(self) -> list[str]:
        """What was declared and did not happen, and why."""
        return [text for planned in self._planned for text in planned.unfired()]

    def assert_all_fired(self) -> None:
        """Make sure that everything that was declared did happen.

        Raises:
            AssertionError: Something did not; it says what, and why.
        """
        unfired = self.unfired
        if unfired:
            lines = "".join(f"\n  {text}" for text in unfired)
            raise AssertionError(f"{len(unfired)} fault(s) did not fire:{lines}")

    def clear(self) -> None:
        """Let nothing more go wrong."""
        self._calls.clear()
        self._planned.clear()

    @asynccontextmanager
    async def send(self, request: Request, /) -> AsyncGenerator[Response]:
        """Send a request; see `Backend.send`.

        Raises:
            BackendError: That is what goes wrong, or the inner backend raised it.
        """
        await checkpoint()  # what is cancelled already is no call
        for calls in self._calls:
            if fnmatchcase(request.operation, calls.pattern):
                calls.came += 1
        send: Send = self.inner.send
        for fault, strike in self._invocations(request.operation):
            send = fault.wrap(send, strike)
        async with send(request) as response:
            yield response

    async def aclose(self) -> None:
        """Close the inner backend."""
        await self.inner.aclose()

    def _plan(self, calls: FaultRule, fault: Fault) -> None:
        self._planned.append(_PlannedFault(calls, fault))

    def _invocations(self, operation: str) -> list[tuple[Fault, FaultInvocation]]:
        """Find the faults of the call that has just come, those nearest to the service first."""
        clock = get_clock(self.inner)
        found: list[tuple[Fault, FaultInvocation]] = []
        for planned in self._planned:
            calls, fault = planned.calls, planned.fault
            if not fnmatchcase(operation, calls.pattern):
                continue
            due = calls.numbers is None or calls.came in calls.numbers
            strike = FaultInvocation(clock, due)
            if due:
                planned.strikes[calls.came] = strike
            if due or fault.observes_all_calls:
                found.append((fault, strike))
        return sorted(found, key=lambda item: item[0].layer)


_SERVER_ERROR = 500


def _retry_after(seconds: float | None) -> dict[str, str]:
    if seconds is None:
        return {}
    return {"retry-after": str(ceil(seconds)), "retry-after-ms": str(round(seconds * 1000))}
