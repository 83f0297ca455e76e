"""Backend that records all calls, and assertions about them."""

from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

from anyio import get_current_task
from anyio.lowlevel import checkpoint

from tunesmith.backends.base import Backend, get_clock
from tunesmith.errors import BackendError
from tunesmith.operations.registry import validate_operation_name
from tunesmith.protocol.message import Request, Response
from tunesmith.service.service import Service
from tunesmith.testing.cassettes.redaction import Redaction
from tunesmith.testing.recorder.call import Call, diff_parameters, format_parameters, matches
from tunesmith.testing.recorder.request_parameters import CappedBuffer, RequestCapture
from tunesmith.testing.recorder.violations import Violation, ViolationKind, find_violations

__all__ = ["CallRecorder"]


class CallRecorder:
    """Backend around another one that records every call.

    Args:
        inner: The backend that sends the calls.
        secrets: Texts to remove besides those that look like API keys.
        max_body_bytes: Maximum number of bytes to store of each request and response body.

    Example:
        ```python
        from tunesmith.testing import CallRecorder

        recorder = CallRecorder(MemoryBackend())
        async with AsyncClient(backend=recorder) as client:
            await client.files.create(file=("a.jsonl", b"{}"), purpose="batch")
        recorder.assert_called("files.create", times=1, purpose="batch")
        recorder.assert_not_called("files.delete")
        recorder.assert_no_violations()
        ```
    """

    def __init__(
        self, inner: Backend, *, secrets: Iterable[str] = (), max_body_bytes: int = 1024 * 1024
    ) -> None:
        self.inner = inner
        self._calls: list[Call] = []
        self._redaction = Redaction(secrets)
        self._max_body_bytes = max_body_bytes

    def __repr__(self) -> str:
        return f"<CallRecorder of {len(self._calls)} calls over {self.inner!r}>"

    def __str__(self) -> str:
        return "\n".join(map(str, self._calls)) or "no calls"

    def calls(self, operation: str = "*", /, **parameters: Any) -> list[Call]:
        """Return recorded calls in the order in which they started.

        Args:
            operation: The operation's name; `*` matches any text.
            **parameters: Expected parameters, by the API's names: values, predicates, or patterns
                to search for. Other parameters are ignored.

        Raises:
            ValueError: The operation does not exist.
        """
        validate_operation_name(operation)
        return [call for call in self._calls if matches(call, operation, parameters)]

    def assert_called(
        self, operation: str = "*", /, *, times: int | None = None, **parameters: Any
    ) -> list[Call]:
        """Check that an operation was called.

        Args:
            operation: The operation's name; `*` matches any text.
            times: Exact number of calls; None for at least one.
            **parameters: Expected parameters; see `calls`.

        Returns:
            The calls.

        Raises:
            ValueError: The operation does not exist.
            AssertionError: The number of calls differs; the message shows a diff to the nearest
                call, and all calls.
        """
        __tracebackhide__ = True
        calls = self.calls(operation, **parameters)
        if len(calls) == times or (times is None and calls):
            return calls
        subject = f"{operation} with {format_parameters(parameters)}" if parameters else operation
        count = {0: "not called", 1: "called once"}.get(len(calls), f"called {len(calls)} times")
        expected = "" if times is None else f", expected {times} call{'s' * (times != 1)}"
        nearest = "" if calls else self._diff_nearest(operation, parameters)
        raise AssertionError(f"{subject} was {count}{expected}{nearest}\n{self._format_calls()}")

    def assert_not_called(self, operation: str = "*", /, **parameters: Any) -> None:
        """Check that an operation was not called.

        Args:
            operation: The operation's name; `*` matches any text.
            **parameters: Expected parameters; see `calls`.

        Raises:
            ValueError: The operation does not exist.
            AssertionError: It was called.
        """
        __tracebackhide__ = True
        self.assert_called(operation, times=0, **parameters)

    def assert_order(self, *operations: str) -> None:
        """Check that operations were called in an order; other calls may lie between.

        Args:
            *operations: Their names; `*` matches any text.

        Raises:
            ValueError: An operation does not exist.
            AssertionError: They were not called in this order.
        """
        __tracebackhide__ = True
        for operation in operations:
            validate_operation_name(operation)
        calls = iter(self._calls)
        for index, operation in enumerate(operations):
            if not any(matches(call, operation, {}) for call in calls):
                before = f" after {', '.join(operations[:index])}" if index else ""
                raise AssertionError(f"{operation} was not called{before}\n{self._format_calls()}")

    def assert_all_stubbed(self) -> None:
        """Check that stubs answered all completions, chat completions and embeddings.

        Raises:
            AssertionError: The engine answered a request; the message lists each.
            ValueError: The recorder is not around a `MemoryBackend`.
        """
        __tracebackhide__ = True
        service = self._service()
        unmatched = [*service.reply_stubs.unmatched, *service.embedding_stubs.unmatched]
        _assert_empty(unmatched, f"no stub matched {len(unmatched)} request(s)")

    def assert_all_stubs_used(self) -> None:
        """Check that every stub added with `times=` was used that often.

        Raises:
            AssertionError: A stub has uses left; the message lists each.
            ValueError: The recorder is not around a `MemoryBackend`.
        """
        __tracebackhide__ = True
        service = self._service()
        unused = [*service.reply_stubs.unused, *service.embedding_stubs.unused]
        _assert_empty(unused, f"{len(unused)} stub(s) were not used up")

    @property
    def violations(self) -> list[Violation]:
        """Violations of good API use by the caller.

        - `useless-retry`: repeated a call after an error that a retry cannot fix
        - `ignored-retry-after`: repeated a call earlier than the service requested
        - `unclosed-response`: did not close a response
        - `duplicate-create`: created the same object twice, or repeated a create whose response was
          lost without looking for the object
        """
        return list(find_violations(self._calls))

    def assert_no_violations(self, *, allow: Iterable[ViolationKind] = ()) -> None:
        """Check that the caller violated no rule of good API use; see `violations`.

        Args:
            allow: Kinds of violations to accept, such as `duplicate-create`.

        Raises:
            AssertionError: There are violations; the message lists each, and all calls.
        """
        __tracebackhide__ = True
        allowed = set(allow)
        violations = [v for v in self.violations if v.kind not in allowed]
        if violations:
            lines = "".join(f"\n  {violation}" for violation in violations)
            raise AssertionError(f"{len(violations)} violation(s):{lines}\n{self._format_calls()}")

    def clear(self) -> None:
        """Remove all recorded calls."""
        self._calls.clear()

    @asynccontextmanager
    async def send(self, request: Request, /) -> AsyncGenerator[Response]:
        """Send a request; see `Backend.send`.

        Raises:
            BackendError: Raised by the inner backend.
        """
        await checkpoint()  # a call that is already cancelled is not recorded
        clock = get_clock(self.inner)
        capture = RequestCapture(request, self._max_body_bytes)
        call = Call(
            len(self._calls) + 1,
            request.operation,
            request.method,
            self._redaction.text(request.path),
            self._redaction.headers(request.headers),
            clock.time(),
        )
        self._calls.append(call)
        call.parameters = await capture.parameters(self._redaction)
        if callable(request.body):
            request = replace(request, body=capture.chunks)
        body = CappedBuffer(self._max_body_bytes)
        task = get_current_task().id
        try:
            async with AsyncExitStack() as stack:
                try:
                    response = await stack.enter_async_context(self.inner.send(request))
                except BackendError as error:
                    call.error = error
                    raise
                finally:
                    if callable(request.body):
                        call.parameters = await capture.parameters(self._redaction)
                call.status = response.status
                call.response_headers = self._redaction.headers(response.headers)
                call.responded_at, call.calls_before_response = clock.time(), len(self._calls)
                yield replace(response, stream=_TeeStream(response, body, call))
        except GeneratorExit:
            # Only the garbage collector closes the generator in another task.
            call.garbage_collected = get_current_task().id != task
            raise
        finally:
            call.body = self._redaction.body(body.content)
            call.ended_at = clock.time()

    async def aclose(self) -> None:
        """Close the inner backend."""
        await self.inner.aclose()

    def _service(self) -> Service:
        layer: object = self.inner
        while layer is not None:
            service = getattr(layer, "service", None)
            if isinstance(service, Service):
                return service
            layer = getattr(layer, "inner", None)
        raise ValueError(
            f"{self.inner!r} has no service in memory. Use this assertion with a CallRecorder "
            "around a MemoryBackend."
        )

    def _diff_nearest(self, operation: str, parameters: dict[str, Any]) -> str:
        candidates = self.calls(operation)
        if not parameters or not candidates:
            return ""
        nearest = max(
            candidates,
            key=lambda call: sum(matches(call, "*", {k: v}) for k, v in parameters.items()),
        )
        diff = diff_parameters(parameters, nearest)
        return f"\nnearest is call {nearest.number} (- expected, + actual):\n{diff}"

    def _format_calls(self) -> str:
        return "\n  ".join(["calls:", *(map(str, self._calls) if self._calls else ["none"])])


class _TeeStream:
    """A response body that is stored while it is read."""

    def __init__(self, response: Response, body: CappedBuffer, call: Call) -> None:
        self._stream = response.stream
        self._body = body
        self._call = call

    def __aiter__(self) -> "_TeeStream":
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk = await anext(self._stream)
        except BackendError as error:
            self._call.error = error
            raise
        self._body.feed(chunk)
        return chunk


def _assert_empty(problems: Sequence[object], message: str) -> None:
    __tracebackhide__ = True
    if problems:
        raise AssertionError("\n  ".join([f"{message}:", *map(str, problems)]))
