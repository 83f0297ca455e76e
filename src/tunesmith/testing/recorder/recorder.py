"""A record of all calls, and assertions about them."""

from collections.abc import AsyncGenerator, Iterable
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
    """A backend around any other that remembers every call, for a test to look at.

    Args:
        inner: Where the calls go.
        secrets: Texts that shall not be remembered, besides what looks like a key.
        max_body_bytes: No more is remembered of a request's body, nor of an answer's.

    Example:
        ```python
        from tunesmith.testing import CallRecorder

        record = CallRecorder(MemoryBackend())
        async with AsyncClient(backend=record) as client:
            await client.files.create(file=("a.jsonl", b"{}"), purpose="batch")
        record.assert_called("files.create", times=1, purpose="batch")
        record.assert_not_called("files.delete")
        record.assert_no_violations()
        ```
    """

    def __init__(
        self, inner: Backend, *, secrets: Iterable[str] = (), max_body_bytes: int = 1024 * 1024
    ) -> None:
        self.inner = inner
        self.all: list[Call] = []
        """Every call, in the order in which they began."""
        self._redaction = Redaction(secrets)
        self._max_body_bytes = max_body_bytes

    def __repr__(self) -> str:
        return f"<CallRecorder of {len(self.all)} calls over {self.inner!r}>"

    def __str__(self) -> str:
        return "\n".join(map(str, self.all)) or "no calls"

    def calls(self, operation: str = "*", /, **parameters: Any) -> list[Call]:
        """Find calls.

        Args:
            operation: The operation's name; `*` stands for any text.
            **parameters: What they asked for, by the API's names: values, functions that tell
                whether a value is right, or patterns that are found in it. Others do not matter.

        Raises:
            ValueError: There is no such operation.
        """
        validate_operation_name(operation)
        return [call for call in self.all if matches(call, operation, parameters)]

    def assert_called(
        self, operation: str = "*", /, *, times: int | None = None, **parameters: Any
    ) -> list[Call]:
        """Make sure that an operation was called.

        Args:
            operation: The operation's name; `*` stands for any text.
            times: So many times exactly; None for at least once.
            **parameters: What it was asked for; see `calls`.

        Returns:
            The calls.

        Raises:
            ValueError: There is no such operation.
            AssertionError: It was not; the text shows the nearest call as a diff, and the record.
        """
        found = self.calls(operation, **parameters)
        if len(found) == times or (times is None and found):
            return found
        asked = f"{operation} with {format_parameters(parameters)}" if parameters else operation
        count = "never" if not found else "once" if len(found) == 1 else f"{len(found)} times"
        wanted = "" if times is None else f", not {times} time{'s' * (times != 1)}"
        raise self._assertion_error(
            f"{asked} was {count} called{wanted}", operation, parameters, found
        )

    def assert_not_called(self, operation: str = "*", /, **parameters: Any) -> None:
        """Make sure that an operation was not called.

        Args:
            operation: The operation's name; `*` stands for any text.
            **parameters: What it was asked for; see `calls`.

        Raises:
            ValueError: There is no such operation.
            AssertionError: It was.
        """
        self.assert_called(operation, times=0, **parameters)

    def assert_order(self, *operations: str) -> None:
        """Make sure that operations were called one after the other; others may lie between.

        Args:
            *operations: Their names; `*` stands for any text.

        Raises:
            ValueError: There is no such operation.
            AssertionError: They were not.
        """
        for operation in operations:
            validate_operation_name(operation)
        calls = iter(self.all)
        for place, operation in enumerate(operations):
            if not any(matches(call, operation, {}) for call in calls):
                before = f" after {', '.join(operations[:place])}" if place else ""
                raise self._assertion_error(
                    f"{operation} was never called{before}", operation, {}, []
                )

    def assert_all_stubbed(self) -> None:
        """Make sure that scripts answered all completions, chats and embeddings, no engine.

        Raises:
            AssertionError: An engine did; the text shows what was asked.
            ValueError: There is no service in memory behind this record.
        """
        service = self._service()
        unmatched = [*service.replies.unmatched, *service.vectors.unmatched]
        if unmatched:
            lines = "".join(f"\n  {each}" for each in unmatched)
            raise AssertionError(f"no script answered {len(unmatched)} request(s):{lines}")

    @property
    def violations(self) -> list[Violation]:
        """What the caller did that it should not have done.

        It retried what no retry changes: an error of its own, an exhausted quota. It did not wait
        as long as it was asked to. It left an answer open. It created the same thing twice, or sent
        a create again whose answer was lost without looking for what it may have made.
        """
        return list(find_violations(self.all))

    def assert_no_violations(self, *, allow: Iterable[ViolationKind] = ()) -> None:
        """Make sure that the caller did nothing it should not; see `violations`.

        Args:
            allow: Kinds of lapses that are meant, such as `duplicate-create`.

        Raises:
            AssertionError: It did.
        """
        allowed = set(allow)
        lapses = [lapse for lapse in self.violations if lapse.kind not in allowed]
        if lapses:
            lines = "".join(f"\n  {lapse}" for lapse in lapses)
            raise AssertionError(f"the caller misbehaved:{lines}\n{self._format_calls()}")

    def clear(self) -> None:
        """Forget all calls."""
        self.all.clear()

    @asynccontextmanager
    async def send(self, request: Request, /) -> AsyncGenerator[Response]:
        """Send a request; see `Backend.send`.

        Raises:
            BackendError: The inner backend raised it.
        """
        await checkpoint()  # what is cancelled already is not asked for
        clock = get_clock(self.inner)
        question = RequestCapture(request, self._max_body_bytes)
        call = Call(
            len(self.all) + 1,
            request.operation,
            request.method,
            self._redaction.text(request.path),
            self._redaction.headers(request.headers),
            clock.time(),
        )
        self.all.append(call)
        call.parameters = await question.parameters(self._redaction)
        if callable(request.body):
            request = replace(request, body=question.chunks)
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
                        call.parameters = await question.parameters(self._redaction)
                call.status = response.status
                call.answer_headers = self._redaction.headers(response.headers)
                call.answered_at, call.calls_before_answer = clock.time(), len(self.all)
                yield replace(response, stream=_TeeStream(response, body, call))
        except GeneratorExit:
            # Only the garbage collector closes it in a task of its own.
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
            f"{self.inner!r} has no service in memory, so it has no scripts: assert_all_stubbed "
            "is for records around a MemoryBackend"
        )

    def _assertion_error(
        self, text: str, operation: str, parameters: dict[str, Any], found: list[Call]
    ) -> AssertionError:
        others = self.calls(operation)
        if parameters and others and not found:
            nearest = max(
                others,
                key=lambda call: sum(matches(call, "*", {k: v}) for k, v in parameters.items()),
            )
            diff = diff_parameters(parameters, nearest)
            text += f"\nthe nearest is call {nearest.number} (- wanted, + asked):\n{diff}"
        return AssertionError(f"{text}\n{self._format_calls()}")

    def _format_calls(self) -> str:
        return "\n  ".join(["the record:", *(map(str, self.all) if self.all else ["no calls"])])


class _TeeStream:
    """Passes an answer's body on, and keeps it; where it breaks off, so does the call."""

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
