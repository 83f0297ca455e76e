"""Backend that injects declared faults into chosen calls."""

import json
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from fnmatch import fnmatchcase
from functools import partial
from http import HTTPStatus
from math import ceil, inf
from typing import Any

from anyio.lowlevel import checkpoint

from tunesmith.backends.base import Backend, Clock, get_clock
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
    reverse_page,
)

__all__ = ["FaultRule", "Faults"]

_SERVER_ERROR = 500


class FaultRule:
    """Calls that faults are declared for; returned by `Faults.on`. Each method adds a fault.

    Args:
        pattern: The operation's name; `*` matches any text.
        numbers: Which of its calls, counting from 1; None for all.
    """

    def __init__(self, pattern: str, numbers: tuple[int, ...] | None) -> None:
        self.pattern = pattern
        self.numbers = numbers
        self._count = 0
        self._faults: list[tuple[Fault, dict[int, FaultInvocation]]] = []

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
        """Respond with an error status instead of calling the service.

        Args:
            status: The HTTP status.
            message: The error message; by default the name of the status.
            type: The API's class of error.
            code: The API's code of the error.
            param: The parameter that caused the error.
            headers: Headers to send, names in lower case.
            body: Bytes to send instead of the error as JSON, such as a proxy's page.
            after_work: Whether to call the service first and replace its response.

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

    def rate_limited(self, retry_after: float | None = None) -> "FaultRule":
        """Respond 429: too many requests.

        Args:
            retry_after: Seconds to wait, sent as `retry-after`; None to omit the header.
        """
        return self.status(
            429,
            "Rate limit reached for requests. Please try again later.",
            type="requests",
            code="rate_limit_exceeded",
            headers=_retry_after_headers(retry_after),
        )

    def quota_exhausted(self) -> "FaultRule":
        """Respond 429 with the code `insufficient_quota`, which must not be retried."""
        return self.status(
            429,
            "You exceeded your current quota, please check your plan and billing details.",
            type="insufficient_quota",
            code="insufficient_quota",
        )

    def overloaded(self, retry_after: float | None = None) -> "FaultRule":
        """Respond 503. For a burst pass several calls, such as `nth=range(1, 4)`.

        Args:
            retry_after: Seconds to wait, sent as `retry-after`; None to omit the header.
        """
        return self.status(
            503,
            "The server is currently overloaded with other requests. Please try again later.",
            headers=_retry_after_headers(retry_after),
        )

    def refuse_connection(self) -> "FaultRule":
        """Refuse the connection; the service receives nothing."""
        return self._add(RefuseConnection())

    def drop_response(self) -> "FaultRule":
        """Lose the response after the service has done its work."""
        return self._add(DropResponse())

    def delay(self, seconds: float) -> "FaultRule":
        """Delay the response; the service has done its work by then.

        Args:
            seconds: Delay before the headers, by the backend's clock.
        """
        return self._add(Delay(seconds))

    def disconnect(
        self, *, after_bytes: int | None = None, after_events: int | None = None
    ) -> "FaultRule":
        """Break the connection in the response body, half-way by default.

        Args:
            after_bytes: Number of bytes that arrive first.
            after_events: Number of stream events that arrive first.
        """
        return self._add(Disconnect(BodyPosition(after_bytes, after_events)))

    def stall(
        self,
        *,
        after_bytes: int | None = None,
        after_events: int | None = None,
        duration: float = inf,
    ) -> "FaultRule":
        """Pause the response body, half-way by default.

        Args:
            after_bytes: Number of bytes that arrive first.
            after_events: Number of stream events that arrive first.
            duration: Length of the pause in seconds, by the backend's clock; endless by default.
        """
        return self._add(Stall(BodyPosition(after_bytes, after_events), duration))

    def truncate(
        self, *, after_bytes: int | None = None, after_events: int | None = None
    ) -> "FaultRule":
        """End the response body early without an error, half-way by default.

        Args:
            after_bytes: Number of bytes that arrive.
            after_events: Number of stream events that arrive.
        """
        return self._add(Truncate(BodyPosition(after_bytes, after_events)))

    def error_event(
        self, *, after_events: int, message: str = "The server had an error.", code: str = ""
    ) -> "FaultRule":
        """End a stream with an error event.

        Args:
            after_events: Number of events that arrive first.
            message: The error message.
            code: The API's code of the error.
        """
        body = error_body(message, type="server_error", code=code or None)
        return self._add(ErrorEvent(BodyPosition(after_events=after_events), body))

    def content_type(self, content_type: str) -> "FaultRule":
        """Replace the content type of the response.

        Args:
            content_type: The value to send, such as `text/html`.
        """
        return self._add(ContentType(content_type))

    def edit(self, change: Callable[[Any], Any], name: str = "edit JSON") -> "FaultRule":
        """Edit the JSON of successful responses.

        Args:
            change: Function that takes the JSON and returns the JSON to send instead.
            name: Name of the fault in failure messages.
        """
        return self._add(EditJson(change, name))

    def repeat_page(self) -> "FaultRule":
        """Send the previous page again; declare it for the second call or a later one."""
        return self._add(RepeatPage())

    def reorder_page(self) -> "FaultRule":
        """Reverse the items of a page."""
        return self.edit(reverse_page, "reorder page")

    def disconnect_upload(self, *, after_bytes: int | None = None) -> "FaultRule":
        """Break the connection while the request body is being sent.

        Args:
            after_bytes: Number of bytes sent first; half of the body by default.
        """
        return self._add(DisconnectUpload(after_bytes))

    def _add(self, fault: Fault) -> "FaultRule":
        self._faults.append((fault, {}))
        return self

    def begin_call(self, clock: Clock) -> list[tuple[Fault, FaultInvocation]]:
        """Count a call and return the faults that it passes through."""
        self._count += 1
        applies = self.numbers is None or self._count in self.numbers
        active: list[tuple[Fault, FaultInvocation]] = []
        for fault, invocations in self._faults:
            if applies or fault.observes_all_calls:
                active.append((fault, FaultInvocation(clock, applies)))
            if applies:
                invocations[self._count] = active[-1][1]
        return active

    def unfired(self) -> list[str]:
        """Describe each declared fault that did not happen."""
        return [text for planned in self._faults for text in self._unfired(*planned)]

    def _unfired(self, fault: Fault, invocations: dict[int, FaultInvocation]) -> list[str]:
        if self.numbers is None:
            if any(invocation.fired for invocation in invocations.values()):
                return []
            reasons = sorted({invocation.reason for invocation in invocations.values()})
            return [
                f"{self.pattern}, every call: {fault} - {' and '.join(reasons) or 'not called'}"
            ]
        times = {0: "not called", 1: "called once"}.get(self._count, f"called {self._count} times")
        return [
            f"{self.pattern}, call {number}: {fault} - "
            + (invocations[number].reason if number in invocations else times)
            for number in self.numbers
            if number not in invocations or not invocations[number].fired
        ]


class Faults:
    """Backend around another one that injects declared faults and reports unused ones.

    Faults of one call compose: a status replaces the service's response, content changes happen
    before the body breaks, and delays are added last. Delays use the inner backend's clock, so they
    are short in virtual time.

    Args:
        inner: The backend to inject faults into; it may reach a real service.

    Example:
        ```python
        from tunesmith.testing import Faults

        faults = Faults(MemoryBackend())
        faults.on("models.list").rate_limited(retry_after=20)
        faults.on("completions.create", nth=2).delay(5).disconnect(after_events=3)
        async with AsyncClient(backend=faults) as client:
            await client.models.list()
        print(faults.unfired)  # completions.create was not called
        ```
    """

    def __init__(self, inner: Backend) -> None:
        self.inner = inner
        self._rules: list[FaultRule] = []

    def __repr__(self) -> str:
        return f"<Faults {len(self._rules)} over {self.inner!r}>"

    def on(self, operation: str = "*", nth: int | Iterable[int] | None = 1) -> FaultRule:
        """Choose the calls to inject faults into.

        Args:
            operation: The operation's name, such as `files.create`; `*` matches any text.
            nth: Which call to affect, counting from 1 after this declaration; several calls; or
                None for all. A retry is a call.

        Returns:
            The rule to add faults to: `faults.on("files.create").status(503)`.

        Raises:
            ValueError: The operation does not exist, or a number is below 1.
        """
        __tracebackhide__ = True
        validate_operation_name(operation)
        numbers = None if nth is None else (nth,) if isinstance(nth, int) else tuple(nth)
        if numbers is not None and (not numbers or min(numbers) < 1):
            raise ValueError(f"nth must count calls from 1, got {nth!r}")
        rule = FaultRule(operation, numbers)
        self._rules.append(rule)
        return rule

    @property
    def unfired(self) -> list[str]:
        """Declared faults that did not happen, each with the reason."""
        return [text for rule in self._rules for text in rule.unfired()]

    def assert_all_fired(self) -> None:
        """Check that every declared fault happened.

        Raises:
            AssertionError: A fault did not happen; the message lists each with the reason.
        """
        __tracebackhide__ = True
        unfired = self.unfired
        if unfired:
            lines = "".join(f"\n  {text}" for text in unfired)
            raise AssertionError(f"{len(unfired)} fault(s) did not fire:{lines}")

    def clear(self) -> None:
        """Remove all faults."""
        self._rules.clear()

    @asynccontextmanager
    async def send(self, request: Request, /) -> AsyncGenerator[Response]:
        """Send a request; see `Backend.send`.

        Raises:
            BackendError: Raised by a fault or the inner backend.
        """
        await checkpoint()  # a call that is already cancelled does not count
        clock = get_clock(self.inner)
        active = [
            invoked
            for rule in self._rules
            if fnmatchcase(request.operation, rule.pattern)
            for invoked in rule.begin_call(clock)
        ]
        send: Send = self.inner.send
        for fault, invocation in sorted(active, key=lambda item: item[0].layer):
            send = partial(fault.send, send, invocation)
        async with send(request) as response:
            yield response

    async def aclose(self) -> None:
        """Close the inner backend."""
        await self.inner.aclose()


def _retry_after_headers(seconds: float | None) -> dict[str, str]:
    if seconds is None:
        return {}
    return {"retry-after": str(ceil(seconds)), "retry-after-ms": str(round(seconds * 1000))}
