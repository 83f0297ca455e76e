"""Between requests and the service: statuses, headers, event streams, ranges of files.

All doors to the service go through here, and so do the lines of batches.
"""

import functools
import logging
import re
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, cast

from pydantic import BaseModel
from pydantic_core import to_json

from tunesmith.errors import InvalidRequestError
from tunesmith.operations import all_operations
from tunesmith.operations.base import Operation, StreamOperation
from tunesmith.operations.files import DownloadFile, RetrieveFile
from tunesmith.protocol.message import Request, Response
from tunesmith.protocol.route import Router, UnknownRouteError
from tunesmith.service.core.errors import ServiceError, internal_error, unknown_url
from tunesmith.service.core.ids import IdKind
from tunesmith.service.core.rate_limits import RateLimiter
from tunesmith.service.inference.stub_matching import StubError
from tunesmith.types.files import FileObject

if TYPE_CHECKING:  # the service answers batches through a wire of its own
    from tunesmith.service.service import Service

__all__ = ["MAX_BODY_BYTES", "HttpApi"]

_logger = logging.getLogger("tunesmith.service")

MAX_BODY_BYTES = 513 * 1024 * 1024
"""Larger bodies are refused: a file may have 512 MB."""

_CHUNK_BYTES = 64 * 1024
_DONE = b"data: [DONE]\n\n"
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")

_OK = 200
_PARTIAL = 206
_RANGE_NOT_SATISFIABLE = 416


@dataclass(slots=True)
class _UnreadableBodyError(Exception):
    """The sender could not read what it wanted to send."""

    error: Exception


@dataclass(frozen=True, slots=True)
class _RawResponse:
    status: int
    headers: Mapping[str, str]
    stream: AsyncGenerator[bytes, None]


class HttpApi:
    """Answers requests by what a service answers to operations.

    Args:
        service: Does what is asked.
        max_body_bytes: Larger bodies are refused with 413.
        request_ids: The sequence that `x-request-id` is drawn from.
        limiter: Refuses what is too much; None lets everything through, as for lines of batches.

    Example:
        ```python
        from tunesmith.service.service import Service

        wire = HttpApi(Service())
        async with wire.handle(Request("models.list", "GET", "/models")) as response:
            print(response.status, await response.read())
        ```
    """

    def __init__(
        self,
        service: "Service",
        *,
        max_body_bytes: int = MAX_BODY_BYTES,
        request_ids: IdKind = "request",
        limiter: RateLimiter | None = None,
    ) -> None:
        self._service = service
        self._request_ids: IdKind = request_ids
        self._limiter = limiter
        self._max_body_bytes = max_body_bytes
        self._router = Router(all_operations(), max_body_bytes=max_body_bytes)

    @asynccontextmanager
    async def handle(self, request: Request) -> AsyncGenerator[Response, None]:
        """Answer a request; leaving the context ends the answer at once, read or not.

        What goes wrong is a response with an error status or, once a stream has begun, an event
        that holds the error. Only what the request's body raises is raised again: it is no matter
        of the service that a file cannot be read to its end by whoever sends it. And so is what
        a script raises: it is the test's own.

        Args:
            request: Its path is below the base URL; its `operation` does not matter.
        """
        service = self._service
        began = service.clock.monotonic()
        async with AsyncExitStack() as open_while_answered:
            try:
                outcome = await self._outcome(request, open_while_answered)
            except StubError:
                raise  # who wrote the script is who asks, or close by
            except _UnreadableBodyError as unreadable:
                raise unreadable.error  # noqa: B904 - it is the sender's own, as it was
            except Exception as error:  # noqa: BLE001 - whatever it is, a caller sees no traceback
                outcome = _error_response(_as_service_error(error, request))
            headers = {
                "date": _http_date(int(service.clock.time())),
                "openai-organization": service.organization,
                "openai-processing-ms": str(int((service.clock.monotonic() - began) * 1000)),
                "openai-version": "2020-10-01",
                "x-request-id": service.ids.new(self._request_ids),
                **outcome.headers,
            }
            async with aclosing(outcome.stream) as stream:
                yield Response(outcome.status, headers, stream)

    def match_operation(self, request: Request) -> type[Operation[Any]] | None:
        """Tell which operation a request asks for; None for one that there is not."""
        try:
            return self._router.find(request.method, request.path)[0]
        except UnknownRouteError:
            return None

    async def _outcome(self, request: Request, stack: AsyncExitStack) -> _RawResponse:
        self._check_content_type(request)
        incoming = await self._router.decode(self._limited(request))
        operation = incoming.operation
        admitted: Mapping[str, str] = {}
        if self._limiter is not None:
            admitted = self._limiter.admit(operation)
        if isinstance(operation, DownloadFile):
            file = await self._service.execute(RetrieveFile(operation.file_id))
            return self._download(file, request.headers.get("range"))
        if incoming.streaming:
            streaming = cast("StreamOperation[Any, BaseModel]", operation)
            events = await stack.enter_async_context(aclosing(self._service.stream(streaming)))
            # What is wrong with the request shows before the first event: then it is no stream.
            first = await anext(events, None)
            stream = _event_stream(first, events, request)
            return _RawResponse(_OK, {**admitted, **_EVENT_STREAM}, stream)
        answer = await self._service.execute(operation)
        return _json(_OK, _serialize(answer), admitted)

    def _check_content_type(self, request: Request) -> None:
        spec = self._router.find(request.method, request.path)[0].spec
        right = "multipart/form-data" if spec.multipart else "application/json"
        given = request.headers.get("content-type")
        if spec.method == "POST" and request.body and given and right not in given.lower():
            raise ServiceError(
                400,
                f"Unsupported content type: '{given}'. This API method only accepts '{right}' "
                f"requests, but you specified the header 'Content-Type: {given}'. Please try "
                "again with a supported content type.",
                code="unsupported_content_type",
            )

    def _download(self, file: FileObject, asked_range: str | None) -> _RawResponse:
        size = file.bytes or 0
        headers = {
            "accept-ranges": "bytes",
            "content-disposition": f'attachment; filename="{_quote_filename(file.filename)}"',
            "content-type": "application/octet-stream",
        }
        span = _parse_range(asked_range, size)
        if span is None:
            chunks = self._service.files.read(file.id)
            return _RawResponse(_OK, {**headers, "content-length": str(size)}, _chunks(chunks))
        start, stop = span
        if start >= min(stop, size):
            outcome = _error_response(
                ServiceError(_RANGE_NOT_SATISFIABLE, "The range is not in the file.")
            )
            headers = {**outcome.headers, "content-range": f"bytes */{size}"}
            return _RawResponse(outcome.status, headers, outcome.stream)
        headers["content-range"] = f"bytes {start}-{stop - 1}/{size}"
        headers["content-length"] = str(stop - start)
        return _RawResponse(
            _PARTIAL, headers, _chunks(self._service.files.read(file.id, start, stop))
        )

    def _limited(self, request: Request) -> Request:
        """Give the request a body that is refused once it turns out too large."""
        if request.body is None:
            return request
        most_bytes = self._max_body_bytes

        async def chunks() -> AsyncGenerator[bytes, None]:
            read = 0
            async with aclosing(self._request_chunks(request)) as body:
                async for chunk in body:
                    read += len(chunk)
                    if read > most_bytes:
                        raise ServiceError(
                            413,
                            f"Maximum content size limit ({most_bytes}) exceeded "
                            f"({read} bytes read)",
                            type="server_error",
                        )
                    yield chunk

        return replace(request, body=chunks)

    async def _request_chunks(self, request: Request) -> AsyncGenerator[bytes, None]:
        try:
            async with aclosing(request.chunks()) as body:
                while True:
                    # Files are read in real time, and nobody's deadline passes meanwhile.
                    with self._service.clock.external_io():
                        chunk = await anext(body, None)
                    if chunk is None:
                        return
                    yield chunk
        except Exception as error:
            raise _UnreadableBodyError(error) from error


_EVENT_STREAM = {"cache-control": "no-cache", "content-type": "text/event-stream; charset=utf-8"}


async def _event_stream(
    first: BaseModel | None, events: AsyncGenerator[BaseModel, None], request: Request
) -> AsyncGenerator[bytes, None]:
    try:
        if first is not None:
            yield _event(_serialize(first))
        async for event in events:
            yield _event(_serialize(event))
    except Exception as error:  # noqa: BLE001 - whatever it is, a caller sees no traceback
        yield _event(to_json(_as_service_error(error, request).body()))
        return
    yield _DONE


async def _chunks(chunks: Iterable[bytes]) -> AsyncGenerator[bytes, None]:
    for chunk in chunks:
        for start in range(0, len(chunk), _CHUNK_BYTES):
            yield chunk[start : start + _CHUNK_BYTES]


def _event(data: bytes) -> bytes:
    return b"data: " + data + b"\n\n"


def _serialize(answer: BaseModel) -> bytes:
    # What an answer does not set, the real service does not send; its nulls are set.
    return answer.model_dump_json(exclude_unset=True, by_alias=True).encode()


@functools.lru_cache(maxsize=1)
def _http_date(seconds: int) -> str:
    return formatdate(seconds, usegmt=True)


def _json(status: int, body: bytes, headers: Mapping[str, str] | None = None) -> _RawResponse:
    return _RawResponse(
        status,
        {"content-type": "application/json", "content-length": str(len(body)), **(headers or {})},
        _chunks([body]),
    )


def _error_response(error: ServiceError) -> _RawResponse:
    return _json(error.status, to_json(error.body()), error.headers)


def _as_service_error(error: Exception, request: Request) -> ServiceError:
    if isinstance(error, ServiceError):
        return error
    if isinstance(error, InvalidRequestError):
        return ServiceError(400, str(error), param=error.param)
    if isinstance(error, UnknownRouteError):
        return _no_such_route(error)
    # Only the log of the process that runs the service tells what was wrong inside it.
    _logger.error("%s %s went wrong", request.method, request.path, exc_info=error)
    return internal_error()


def _no_such_route(error: UnknownRouteError) -> ServiceError:
    path = f"/v1{error.path}"
    if error.allowed:
        return ServiceError(
            405,
            f"Not allowed to {error.method} on {path}. "
            "(HINT: Perhaps you meant to use a different HTTP method?)",
            code="method_not_supported",
            headers={"allow": ", ".join(error.allowed)},
        )
    return unknown_url(error.method, path)


def _parse_range(asked: str | None, size: int) -> tuple[int, int] | None:
    """Read a `range` header; None where it is absent, or of a kind that may be ignored."""
    found = _RANGE.fullmatch(asked) if asked else None
    if found is None or found.group(0) == "bytes=-":
        return None
    first, last = found.groups()
    if not first:
        return max(size - int(last), 0), size
    if last and int(last) < int(first):
        return None
    return int(first), min(int(last) + 1, size) if last else size


def _quote_filename(filename: Any) -> str:
    return re.sub(r"[^ !#-\[\]-~]", "_", str(filename))
