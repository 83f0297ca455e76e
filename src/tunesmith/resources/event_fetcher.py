"""Events of a job, from a service that lists them or from one that streams them."""

from hashlib import sha256

from pydantic_core import to_json

from tunesmith.calls.caller import Caller
from tunesmith.calls.deadline import Deadline, TimeLimitError
from tunesmith.calls.open_response import OpenResponse
from tunesmith.operations.fine_tuning import ListFineTuningJobEvents
from tunesmith.protocol.decode import decode_event, decode_response
from tunesmith.protocol.error_body import find_error
from tunesmith.protocol.json import parse_json
from tunesmith.protocol.sse import ServerSentEvent, SSEDecoder
from tunesmith.types.base import Page
from tunesmith.types.fine_tuning import FineTuningJobEvent

__all__ = ["EventFetcher"]

_EVENT_STREAM = "text/event-stream"


class EventFetcher:
    """Calls that list a job's events, whether the service lists or streams them.

    Args:
        caller: The caller.
        deadline: The deadline of all calls.
        wait_s: Seconds to read a stream that stays open.
    """

    def __init__(self, caller: Caller, deadline: Deadline, wait_s: float) -> None:
        self._caller = caller
        self._deadline = deadline
        self._wait_s = wait_s
        self._is_list = False

    async def fetch(self, operation: ListFineTuningJobEvents) -> Page[FineTuningJobEvent]:
        """Return a page of events, newest first; a stream is one page.

        Raises:
            APIError: The call failed.
            DeadlineExceededError: The deadline passed.
        """
        if self._is_list:
            return await self._caller.call(operation, deadline=self._deadline)
        async with self._caller.stream(operation, deadline=self._deadline) as received:
            content_type = received.info.headers.get("content-type", "")
            if content_type.lower().startswith(_EVENT_STREAM):
                return await self._read(operation.spec.name, received)
            body = b"".join([chunk async for chunk in received])
            if error := find_error(operation.spec.name, received.info, body):
                raise error
            self._is_list = True
            return decode_response(operation, body, received.info)

    async def _read(self, name: str, received: OpenResponse) -> Page[FineTuningJobEvent]:
        events: list[FineTuningJobEvent] = []
        decoder = SSEDecoder()
        try:
            with self._deadline.scope(self._wait_s):
                async for chunk in received:
                    events += _decode(name, received, decoder.feed(chunk))
            events += _decode(name, received, decoder.finish())
        except TimeLimitError:
            pass  # the stream stays open until the job ends
        return Page(data=events[::-1])


def _decode(
    name: str, received: OpenResponse, events: list[ServerSentEvent]
) -> list[FineTuningJobEvent]:
    decoded: list[FineTuningJobEvent] = []
    for event in events:
        if not event.data.startswith(b"{"):
            continue  # a comment of the service, or its end marker
        if error := find_error(name, received.info, event.data):
            raise error
        content = parse_json(event.data)
        # Events of the legacy API have no id; a stream repeats them in every poll.
        content.setdefault("id", sha256(event.data).hexdigest())
        decoded.append(
            decode_event(FineTuningJobEvent, to_json(content), received.info, operation=name)
        )
    return decoded
