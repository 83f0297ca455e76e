"""HTTP semantics of the API: status codes, headers, event streams and byte ranges.

Every front end of the service and every line of a batch uses this module.
"""

import functools
import logging
import re
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from email.utils import formatdate
from typing import Any, Protocol, TypeVar, cast

from pydantic import BaseModel
from pydantic_core import to_json

from tunesmith.clock import VirtualClock
from tunesmith.errors import InvalidRequestError
from tunesmith.operations.base import Operation, OperationSpec, StreamOperation
from tunesmith.operations.files import DownloadFile, RetrieveFile
from tunesmith.operations.registry import all_operations
from tunesmith.protocol.message import Request, Response
from tunesmith.protocol.route import Router, UnknownRouteError
from tunesmith.service.core.context import ServiceContext
from tunesmith.service.core.errors import (
    ServiceError,
    StoreError,
    StubError,
    internal_error,
    unknown_url,
)
from tunesmith.service.core.ids import IdKind
from tunesmith.service.core.rate_limits import RateLimiter
from tunesmith.types.files import FileObject
from tunesmith.types.responses import ResponseStreamEvent

__all__ = ["MAX_BODY_BYTES", "MAX_JSON_BYTES", "ApiService", "HttpApi", "InferenceServer"]

A = TypeVar("A")
E = TypeVar("E")

_logger = logging.getLogger("tunesmith.service")

MAX_JSON_BYTES = 64 * 1024 * 1024
"""Larger JSON bodies are refused; only files may have up to `MAX_BODY_BYTES`."""
MAX_BODY_BYTES = 513 * 1024 * 1024
"""Maximum size of a request body: a file may have 512 MB."""

_CHUNK_BYTES = 64 * 1024
_DONE = b"data: [DONE]\n\n"
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")

_OK = 200
_PARTIAL = 206
_RANGE_NOT_SATISFIABLE = 416
_EVENT_STREAM = {"cache-control": "no-cache", "content-type": "text/event-stream; charset=utf-8"}


class ApiService(Protocol):
    """Service that executes operations."""

    @property
    def context(self) -> ServiceContext:
        """Clock, ids and organization."""
        ...

    async def execute(
        self, operation: Operation[A], /, before_commit: Callable[[A], None] | None = None
    ) -> A:
        """Execute an operation."""
        ...

    def stream(self, operation: StreamOperation[A, E], /) -> AsyncGenerator[E]:
        """Execute an operation and stream its events."""
        ...

    def read_file(self, id: str, start: int = 0, stop: int | None = None, /) -> Iterator[bytes]:
        """Yield the bytes of a file in a range."""
        ...


class InferenceServer(Protocol):
    """Server that answers some requests in place of the service."""

    def handles(self, operation: str, request: Request, body: bytes | None) -> bool:
        """Return whether the server answers a request."""
        ...

    async def respond(
        self, operation: str, request: Request, body: bytes | None, stack: AsyncExitStack
    ) -> Response:
        """Pass a request on."""
        ...


@dataclass(slots=True)
class _UnreadableBodyError(Exception):
    """Error raised by the request body itself."""

    error: Exception


class HttpApi:
    """HTTP interface of a service; it is also a `Backend` for clients in the same process.

    Args:
        service: Executes the operations.
        max_body_bytes: Maximum size of a request body; larger ones are refused with 413.
        request_ids: Kind of ids in `x-request-id`.
        limiter: Rate limits; None for no limits, as for lines of batches.
        upstream: Server that answers in place of the engine; None for none.

    Example:
        ```python
        from tunesmith.service.service import Service

        api = HttpApi(Service())
        async with api.send(Request("models.list", "GET", "/models")) as response:
            print(response.status, await response.read())
        ```
    """

    def __init__(
        self,
        service: ApiService,
        *,
        max_body_bytes: int = MAX_BODY_BYTES,
        request_ids: IdKind = "request",
        limiter: RateLimiter | None = None,
        upstream: InferenceServer | None = None,
    ) -> None:
        self._service = service
        self._context = service.context
        self._request_ids: IdKind = request_ids
        self._limiter = limiter
        self._upstream = upstream
        self._max_body_bytes = max_body_bytes
        self._router = Router(all_operations(), max_body_bytes=max_body_bytes)

    @property
    def clock(self) -> VirtualClock:
        """The service's clock; clients sleep by it."""
        return self._context.clock

    async def aclose(self) -> None:
        """Do nothing; part of `Backend`."""

    @asynccontextmanager
    async def send(self, request: Request, /) -> AsyncGenerator[Response, None]:
        """Execute a request; leaving the context ends the response at once, read or not.

        Errors are responses with an error status or, within a stream, an event with the error.
        Only two are raised unchanged: errors raised by the request body, and `StubError`.

        Args:
            request: The request; its `operation` is ignored.
        """
        clock = self.clock
        started = clock.monotonic()
        async with AsyncExitStack() as stack:
            try:
                response = await self._respond(request, stack)
            except StubError:
                raise
            except _UnreadableBodyError as unreadable:
                raise unreadable.error  # noqa: B904 - raised unchanged, without a context
            except Exception as error:  # noqa: BLE001 - no caller sees a traceback
                response = _error_response(_as_service_error(error, request))
            headers = {
                "date": _http_date(int(clock.time())),
                "openai-organization": self._context.organization,
                "openai-processing-ms": str(int((clock.monotonic() - started) * 1000)),
                "openai-version": "2020-10-01",
                "x-request-id": self._context.ids.new(self._request_ids),
                **response.headers,
            }
            stream = cast("AsyncGenerator[bytes, None]", response.stream)
            async with aclosing(stream):
                yield Response(response.status, headers, stream)

    async def _respond(self, request: Request, stack: AsyncExitStack) -> Response:
        spec = self._router.find(request.method, request.path)[0].spec
        _check_content_type(request, spec)
        max_bytes = self._max_body_bytes
        if not spec.multipart:
            max_bytes = min(max_bytes, MAX_JSON_BYTES)
        request = self._with_limited_body(request, max_bytes)
        if self._upstream is not None and not spec.multipart:
            body = None if request.body is None else await _read(request)
            if self._upstream.handles(spec.name, request, body):
                return await self._upstream.respond(spec.name, request, body, stack)
            request = replace(request, body=body)
        decoded = await self._router.decode(request)
        operation = decoded.operation
        limits: Mapping[str, str] = {}
        if self._limiter is not None:
            limits = self._limiter.admit(operation)
        if isinstance(operation, DownloadFile):
            file = await self._service.execute(RetrieveFile(operation.file_id))
            # No content has a validator that `if-range` could name.
            is_conditional = "if-range" in request.headers
            return self._download(file, None if is_conditional else request.headers.get("range"))
        if decoded.streaming:
            streaming = cast("StreamOperation[Any, BaseModel]", operation)
            events = await stack.enter_async_context(aclosing(self._service.stream(streaming)))
            # An error before the first event is an ordinary error response.
            first = await anext(events, None)
            stream = _event_stream(first, events, request)
            return Response(_OK, {**limits, **_EVENT_STREAM}, stream)
        key = request.headers.get("idempotency-key")
        if key and spec.method == "POST":
            return _json(_OK, await self._execute_once(key, operation), limits)
        return _json(_OK, _serialize(await self._service.execute(operation)), limits)

    async def _execute_once(self, key: str, operation: Operation[Any]) -> bytes:
        responses = self._context.idempotent_responses
        with responses.open(key, operation) as response:
            if response.body is None:
                await self._service.execute(
                    operation, lambda result: responses.record(response, _serialize(result))
                )
        return response.body or b""

    def _download(self, file: FileObject, range_header: str | None) -> Response:
        size = file.bytes or 0
        headers = {
            "accept-ranges": "bytes",
            "content-disposition": f'attachment; filename="{_quote_filename(file.filename)}"',
            "content-length": str(size),
            "content-type": "application/octet-stream",
        }
        span = _parse_range(range_header, size)
        if span is None:
            return Response(_OK, headers, _chunks(self._service.read_file(file.id)))
        start, stop = span
        if start >= min(stop, size):
            message = "The range is outside of the file."
            headers = {"content-range": f"bytes */{size}"}
            return _error_response(ServiceError(_RANGE_NOT_SATISFIABLE, message, headers=headers))
        headers["content-range"] = f"bytes {start}-{stop - 1}/{size}"
        headers["content-length"] = str(stop - start)
        return Response(_PARTIAL, headers, _chunks(self._service.read_file(file.id, start, stop)))

    def _with_limited_body(self, request: Request, max_bytes: int) -> Request:
        if request.body is None:
            return request

        async def chunks() -> AsyncGenerator[bytes, None]:
            size = 0
            async with aclosing(self._request_chunks(request)) as body:
                async for chunk in body:
                    size += len(chunk)
                    if size > max_bytes:
                        raise ServiceError(
                            413,
                            f"Maximum content size limit ({max_bytes}) exceeded "
                            f"({size} bytes read)",
                            type="server_error",
                        )
                    yield chunk

        return replace(request, body=chunks)

    async def _request_chunks(self, request: Request) -> AsyncGenerator[bytes, None]:
        try:
            async with aclosing(request.chunks()) as body:
                while True:
                    # Files are read in real time, during which no virtual deadline passes.
                    with self.clock.external_io():
                        chunk = await anext(body, None)
                    if chunk is None:
                        return
                    yield chunk
        except Exception as error:
            raise _UnreadableBodyError(error) from error


async def _read(request: Request) -> bytes:
    async with aclosing(request.chunks()) as chunks:
        return b"".join([chunk async for chunk in chunks])


def _check_content_type(request: Request, spec: OperationSpec) -> None:
    expected = "multipart/form-data" if spec.multipart else "application/json"
    actual = request.headers.get("content-type")
    if spec.method == "POST" and request.body and actual and expected not in actual.lower():
        raise ServiceError(
            400,
            f"Unsupported content type: '{actual}'. This API method only accepts '{expected}' "
            f"requests, but you specified the header 'Content-Type: {actual}'. Please try "
            "again with a supported content type.",
            code="unsupported_content_type",
        )


async def _event_stream(
    first: BaseModel | None, events: AsyncGenerator[BaseModel, None], request: Request
) -> AsyncGenerator[bytes, None]:
    try:
        if first is not None:
            yield _encode(first)
        async for event in events:
            yield _encode(event)
    except Exception as error:  # noqa: BLE001 - no caller sees a traceback
        yield _event(to_json(_as_service_error(error, request).body()))
        return
    if not request.path.startswith("/responses"):
        yield _DONE


def _encode(event: BaseModel) -> bytes:
    # Only events of the Responses API have names; they end with a final event instead of `[DONE]`.
    name = f"event: {event.type}\n".encode() if isinstance(event, ResponseStreamEvent) else b""
    return name + _event(_serialize(event))


async def _chunks(chunks: Iterable[bytes]) -> AsyncGenerator[bytes, None]:
    for chunk in chunks:
        for start in range(0, len(chunk), _CHUNK_BYTES):
            yield chunk[start : start + _CHUNK_BYTES]


def _event(data: bytes) -> bytes:
    return b"data: " + data + b"\n\n"


def _serialize(response: BaseModel) -> bytes:
    # The real service omits fields that are not set, and sends nulls that are.
    return response.model_dump_json(exclude_unset=True, by_alias=True).encode()


@functools.lru_cache(maxsize=1)
def _http_date(seconds: int) -> str:
    return formatdate(seconds, usegmt=True)


def _json(status: int, body: bytes, headers: Mapping[str, str]) -> Response:
    content = {"content-type": "application/json", "content-length": str(len(body))}
    return Response(status, {**content, **headers}, _chunks([body]))


def _error_response(error: ServiceError) -> Response:
    return _json(error.status, to_json(error.body()), error.headers)


def _as_service_error(error: Exception, request: Request) -> ServiceError:
    if isinstance(error, ServiceError):
        return error
    if isinstance(error, StoreError):
        return ServiceError(503, str(error), type="server_error", code="storage_unavailable")
    if isinstance(error, InvalidRequestError):
        return ServiceError(400, str(error), param=error.param)
    if isinstance(error, UnknownRouteError):
        return _unknown_route(error)
    # Details of a bug are for the service's own log.
    _logger.error("%s %s failed", request.method, request.path, exc_info=error)
    return internal_error()


def _unknown_route(error: UnknownRouteError) -> ServiceError:
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


def _parse_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Parse a `range` header; None if it is missing or unsupported."""
    match = _RANGE.fullmatch(header) if header else None
    if match is None or match.group(0) == "bytes=-":
        return None
    first, last = match.groups()
    if not first:
        return max(size - int(last), 0), size
    if last and int(last) < int(first):
        return None
    return int(first), min(int(last) + 1, size) if last else size


def _quote_filename(filename: Any) -> str:
    return re.sub(r"[^ !#-\[\]-~]", "_", str(filename))
