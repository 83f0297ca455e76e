"""Requests of a batch: durations, and sending with retries."""

from dataclasses import dataclass
from typing import Any

import anyio
from pydantic_core import from_json, to_json

from tunesmith.protocol.message import Request
from tunesmith.service.core.context import ServiceContext
from tunesmith.service.core.http_api import HttpApi
from tunesmith.types.batch_lines import BatchLineResponse, BatchRequestLine, BatchResponseLine

__all__ = ["BatchTiming", "LineSender"]

_MAX_RETRIES = 5
_MAX_PLAIN_BYTES = 1000
_TRANSIENT = {408, 409, 429, 500, 502, 503, 504}


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
        request = Request(
            operation="batches.line",
            method=line.method,
            path=line.url.removeprefix("/v1"),
            headers={"content-type": "application/json"},
            # Responses in a batch are not streamed.
            body=to_json({**line.body, "stream": None}),
        )
        async with self._http_api.send(request) as response:
            line_response = BatchLineResponse(
                status_code=response.status,
                request_id=response.headers["x-request-id"],
                body=_parse(await response.read()),
            )
        return BatchResponseLine(
            id=self._ids.new("batch_request"),
            custom_id=line.custom_id,
            response=line_response,
            error=None,
        )

    async def send_persistently(self, line: BatchRequestLine) -> BatchResponseLine:
        """Send a request, and retry what is transient."""
        delay = self.timing.retry_s
        for _ in range(_MAX_RETRIES):
            response = await self.send(line)
            status = response.response.status_code if response.response else None
            if status not in _TRANSIENT or self._schedule.is_cancelled:
                return response
            await anyio.sleep(delay)
            delay *= 2
        return await self.send(line)


def _parse(body: bytes) -> Any:
    try:
        return from_json(body)
    except ValueError:  # servers behind this one may answer in plain text
        return {"error": {"message": body[:_MAX_PLAIN_BYTES].decode("utf-8", "replace")}}
