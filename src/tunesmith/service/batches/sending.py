"""Requests of a batch: durations, and sending with retries."""

import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import anyio
from pydantic_core import from_json, to_json

from tunesmith._json_types import is_object
from tunesmith.errors import BackendError
from tunesmith.protocol.error_body import error_body
from tunesmith.protocol.message import Request
from tunesmith.protocol.retry import RetryPolicy, parse_retry_after, retry_delay
from tunesmith.service.core.context import ServiceContext
from tunesmith.service.core.errors import UPSTREAM_UNAVAILABLE
from tunesmith.service.core.http_api import HttpApi
from tunesmith.types.batch_lines import BatchLineResponse, BatchRequestLine, BatchResponseLine

__all__ = ["BatchTiming", "LineSender"]

_MAX_RETRIES = 5
_MAX_PLAIN_BYTES = 1000
_MAX_PAUSE_S = 30.0
_MAX_REQUESTED_S = 3600.0
_TIMEOUT_S = 600.0
_BUSY = frozenset({429, 503})
_ADVICE = ("x-should-retry",)


@dataclass(frozen=True, slots=True)
class BatchTiming:
    """Durations of the steps of a batch, in seconds.

    Args:
        validating_s: Validation of the input file.
        request_s: Each request.
        finalizing_s: Writing of the output files.
        cancelling_s: Cancellation; up to ten minutes in the real service.
        window_s: Time from creation to expiry.
        retry_s: First delay before a request to a server behind this one is retried.
    """

    validating_s: float = 5.0
    request_s: float = 1.0
    finalizing_s: float = 5.0
    cancelling_s: float = 60.0
    window_s: float = 24 * 3600.0
    retry_s: float = 0.5

    def at_speed(self, speed: float) -> "BatchTiming":
        """Return a copy whose durations, except for the expiry, are divided by a speed."""
        return BatchTiming(
            self.validating_s / speed,
            self.request_s / speed,
            self.finalizing_s / speed,
            self.cancelling_s / speed,
            self.window_s,
            self.retry_s,
        )


class LineSender:
    """Sender of the requests of batches.

    Args:
        context: Dependencies shared by all parts of the service.
        http_api: The API that processes the requests.
        timing: Durations of the steps.
    """

    def __init__(self, context: ServiceContext, http_api: HttpApi, timing: BatchTiming) -> None:
        self._ids = context.ids
        self._schedule = context.scheduler
        self._http_api = http_api
        self.timing = timing

    async def send(self, line: BatchRequestLine) -> BatchResponseLine:
        """Send a request."""
        return self._to_line(line, await self._send(line))

    async def send_persistently(self, line: BatchRequestLine) -> BatchResponseLine:
        """Send a request, and retry transient failures.

        If time is real, a server that cannot be reached, or is overloaded, is waited for until the
        batch expires. Failures that the request itself may cause are retried a few times.
        """
        attempt = n_failures = 0
        while True:
            response = await self._send(line)
            attempt += 1
            is_busy = response.status in _BUSY or response.error_code == UPSTREAM_UNAVAILABLE
            n_failures += not (is_busy and self._schedule.is_background)
            delay = response.retry_delay(attempt, self.timing.retry_s)
            if delay is None or n_failures > _MAX_RETRIES or self._schedule.is_cancelled:
                return self._to_line(line, response)
            await anyio.sleep(delay)

    async def _send(self, line: BatchRequestLine) -> "_RawResponse":
        request = Request(
            operation="batches.line",
            method=line.method,
            path=line.url.removeprefix("/v1"),
            headers={"content-type": "application/json"},
            # Responses in a batch are not streamed.
            body=to_json({**line.body, "stream": None}),
            timeout=_TIMEOUT_S,
        )
        async with self._http_api.send(request) as response:
            request_id = response.headers["x-request-id"]
            try:
                body = _parse(await response.read())
            except BackendError as error:
                message = f"The server behind this one ended the connection: {error}"
                return _RawResponse(502, request_id, error_body(message, type="server_error"))
            return _RawResponse(response.status, request_id, body, response.headers)

    def _to_line(self, line: BatchRequestLine, response: "_RawResponse") -> BatchResponseLine:
        return BatchResponseLine(
            id=self._ids.new("batch_request"),
            custom_id=line.custom_id,
            response=BatchLineResponse(
                status_code=response.status, request_id=response.request_id, body=response.body
            ),
            error=None,
        )


@dataclass(frozen=True, slots=True)
class _RawResponse:
    status: int
    request_id: str
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def error_code(self) -> str | None:
        error = self.body.get("error") if is_object(self.body) else None
        code = error.get("code") if is_object(error) else None
        return code if isinstance(code, str) else None

    def retry_delay(self, attempt: int, initial_s: float) -> float | None:
        """Return the pause before the next attempt in seconds; None if there must not be one."""
        advice = {name: self.headers[name] for name in _ADVICE if name in self.headers}
        delay = retry_delay(
            RetryPolicy(attempt, initial_s, _MAX_PAUSE_S),
            attempt,
            status=self.status,
            code=self.error_code,
            headers=advice,
            now=0.0,
            random=random.random(),  # noqa: S311 - not a secret
        )
        requested_s = parse_retry_after(self.headers, time.time()) or 0.0
        return None if delay is None else max(delay, min(requested_s, _MAX_REQUESTED_S))


def _parse(body: bytes) -> Any:
    try:
        return from_json(body)
    except ValueError:  # servers behind this one may answer in plain text
        return {"error": {"message": body[:_MAX_PLAIN_BYTES].decode("utf-8", "replace")}}
