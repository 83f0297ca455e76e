"""Replaying: a cassette answers instead of a service, at once and without a network."""

import difflib
import json
import math
from collections import defaultdict
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager
from os import PathLike
from pathlib import Path
from sys import exception
from typing import Protocol

import anyio.lowlevel

from tunesmith.clock import EPOCH_S, VirtualClock
from tunesmith.errors import BackendError
from tunesmith.protocol.message import Request, Response
from tunesmith.testing.cassettes.bodies import UNREAD, encode_request_body
from tunesmith.testing.cassettes.cassette import Cassette, Interaction, RecordedRequest
from tunesmith.testing.cassettes.redaction import Redaction

__all__ = ["ReplayBackend", "ReplayMismatchError"]

_MOST_DIFF_LINES = 60
_MOST_CHARS = 500
_MOST_COMPARED_CHARS = 10_000
_MOST_NAMED = 10
_MATCHED_HEADERS = ("range", "if-range")


class ReplayMismatchError(AssertionError):
    """The code asked for something else than was recorded.

    It says something of a test and its cassette, not of a service: so it is not a `TunesmithError`,
    is never tried again, and comes through a client as it is.
    """


class ReplayBackend:
    """Answers from a cassette that `RecordingBackend` wrote.

    Time is virtual and begins when the recording did: waiting for a job takes no time.

    Args:
        path: The cassette.
        strict: Whether each exchange is used once, in the order of the recording; `aclose` then
            names those that were not used. If false, requests find their answers by operation and
            content; several answers to the same request come in their order, and the last one
            again and again.
        secrets: The texts that were taken out of the recording, as given to `RecordingBackend`.

    Raises:
        ConfigurationError: There is no such cassette, or it cannot be read.

    Example:
        ```python
        from tunesmith.testing.cassettes.recorder import RecordingBackend
        from tunesmith.testing.cassettes.player import ReplayBackend

        recording = RecordingBackend(MemoryBackend(), "cassettes/models.json")
        async with AsyncClient(backend=recording) as client:
            recorded = await client.models.retrieve("davinci-002")

        async with AsyncClient(backend=ReplayBackend("cassettes/models.json")) as client:
            assert await client.models.retrieve("davinci-002") == recorded
        ```
    """

    def __init__(
        self, path: str | PathLike[str], *, strict: bool = True, secrets: Iterable[str] = ()
    ) -> None:
        self._cassette = Cassette(Path(path))
        self._redaction = Redaction(secrets)
        exchanges = self._cassette.exchanges
        self._order: _Matcher = (
            _OrderedMatcher(exchanges) if strict else _UnorderedMatcher(exchanges)
        )
        self.clock = VirtualClock(exchanges[0].at if exchanges else EPOCH_S)
        self._mismatched = False
        self._closed = False

    def __repr__(self) -> str:
        return f"<ReplayBackend of {str(self._cassette.path)!r}>"

    @property
    def unused(self) -> list[str]:
        """The exchanges that nobody has asked for yet, such as `3: files.retrieve GET /files/x`."""
        return [_named(exchange) for exchange in self._order.unused()]

    @asynccontextmanager
    async def send(self, request: Request, /) -> AsyncGenerator[Response]:
        """Answer as it was answered; see `Backend.send`.

        Raises:
            BackendError: It was raised when this was recorded, or the backend is closed.
            ReplayMismatchError: The cassette has no answer to this request.
        """
        if self._closed:
            raise BackendError("the replay is closed", phase="closed")
        await anyio.lowlevel.checkpoint()
        body = await encode_request_body(request, self._redaction, self._cassette.max_body_bytes)
        exchange = self._find(RecordedRequest.from_request(request, body, self._redaction))
        if exchange.response is None:
            if exchange.error is not None:
                raise BackendError(exchange.error.message, phase=exchange.error.phase)
            await self.clock.sleep(math.inf)  # no answer had come when the caller gave up
        else:
            headers = dict(exchange.response.headers)
            if exchange.is_complete and "content-length" in headers:
                # JSON is written anew, without its spaces.
                length = sum(map(len, self._cassette.chunks(exchange.response)))
                headers["content-length"] = str(length)
            async with aclosing(self._stream(exchange)) as stream:
                yield Response(exchange.response.status, headers, stream)

    async def aclose(self) -> None:
        """End the replay.

        Raises:
            ReplayMismatchError: In a strict replay, not everything was asked for. It is left unsaid
                where another error is on its way already.
        """
        if self._closed:
            return
        self._closed = True
        unused = self.unused
        if (
            isinstance(self._order, _OrderedMatcher)
            and unused
            and not self._mismatched
            and not exception()
        ):
            raise ReplayMismatchError(
                f"{len(unused)} of the exchanges in {self._cassette.path} were not used:\n  "
                + "\n  ".join(unused[:_MOST_NAMED])
                + ("\n  …" if len(unused) > _MOST_NAMED else "")
                + f"\n{self._order.remedy}"
            )

    def _find(self, request: RecordedRequest) -> Interaction:
        exchange = self._order.take(request)
        if exchange is None:
            self._mismatched = True
            raise ReplayMismatchError(
                f"{_described(request)}: {self._order.reason(request)}, in {self._cassette.path}.\n"
                f"{_difference(self._order.nearest(request), request)}{self._order.remedy}"
            )
        return exchange

    async def _stream(self, exchange: Interaction) -> AsyncGenerator[bytes]:
        assert exchange.response is not None  # noqa: S101 - for the type checker
        for chunk in self._cassette.chunks(exchange.response):
            await anyio.lowlevel.checkpoint()
            yield chunk
        if exchange.error is not None:
            raise BackendError(exchange.error.message, phase=exchange.error.phase)
        if exchange.abandoned == "waiting":
            await self.clock.sleep(math.inf)
        if exchange.abandoned == "early":
            self._mismatched = True
            raise ReplayMismatchError(
                f"{_named(exchange)}: the answer was left here when it was recorded, and now it is "
                f"read on, in {self._cassette.path}.\n{self._order.remedy}"
            )


_RECORD_AGAIN = "If the code is right, record the cassette again with RecordingBackend"


class _Matcher(Protocol):
    """Which exchange answers which request."""

    remedy: str

    def take(self, request: RecordedRequest, /) -> Interaction | None: ...

    def reason(self, request: RecordedRequest, /) -> str: ...

    def nearest(self, request: RecordedRequest, /) -> Interaction | None: ...

    def unused(self) -> list[Interaction]: ...


class _OrderedMatcher:
    """Each once, one after the other."""

    remedy = f"{_RECORD_AGAIN}; if the order does not matter, replay with strict=False."

    def __init__(self, exchanges: Sequence[Interaction]) -> None:
        self._exchanges = exchanges
        self._used = 0

    def take(self, request: RecordedRequest, /) -> Interaction | None:
        following = self.nearest(request)
        if following is None or not _same(following.request, request):
            return None
        self._used += 1
        return following

    def reason(self, request: RecordedRequest, /) -> str:
        following = self.nearest(request)
        if following is None:
            return f"nothing more was recorded than {len(self._exchanges)} exchanges"
        elsewhere = [str(e.number) for e in self._exchanges if _same(e.request, request)]
        where = f" (this one is number {', '.join(elsewhere)})" if elsewhere else ""
        return f"number {following.number} of the recording is another request{where}"

    def nearest(self, _asked: RecordedRequest, /) -> Interaction | None:
        return self._exchanges[self._used] if self._used < len(self._exchanges) else None

    def unused(self) -> list[Interaction]:
        return list(self._exchanges[self._used :])


class _UnorderedMatcher:
    """By what is asked, as often as it is."""

    remedy = f"{_RECORD_AGAIN}."

    def __init__(self, exchanges: Sequence[Interaction]) -> None:
        self._exchanges = exchanges
        self._used: set[int] = set()
        answers: dict[str, list[Interaction]] = defaultdict(list)
        for exchange in exchanges:
            answers[_key(exchange.request)].append(exchange)
        # What was left or broke off serves only where nothing better was recorded.
        self._answers = {
            key: [exchange for exchange in found if exchange.is_complete] or found
            for key, found in answers.items()
        }
        self._next: dict[str, int] = defaultdict(int)

    def take(self, request: RecordedRequest, /) -> Interaction | None:
        for key in (_key(request), _key(request.model_copy(update={"body": UNREAD}))):
            found = self._answers.get(key)
            if found:
                exchange = found[min(self._next[key], len(found) - 1)]
                self._next[key] += 1
                self._used.add(exchange.number)
                return exchange
        return None

    def reason(self, _asked: RecordedRequest, /) -> str:
        return "nothing like it was recorded"

    def nearest(self, request: RecordedRequest, /) -> Interaction | None:
        same = [e for e in self._exchanges if e.request.operation == request.operation]
        matcher = difflib.SequenceMatcher(b=_key(request)[:_MOST_COMPARED_CHARS], autojunk=False)

        def likeness(exchange: Interaction) -> float:
            matcher.set_seq1(_key(exchange.request)[:_MOST_COMPARED_CHARS])
            return matcher.quick_ratio()

        return max(same or self._exchanges, key=likeness, default=None)

    def unused(self) -> list[Interaction]:
        return [exchange for exchange in self._exchanges if exchange.number not in self._used]


def _same(recorded: RecordedRequest, request: RecordedRequest) -> bool:
    if recorded.body == UNREAD:
        request = request.model_copy(update={"body": UNREAD})
    return _key(recorded) == _key(request)


def _key(request: RecordedRequest) -> str:
    return json.dumps(_match_fields(request), sort_keys=True)


def _match_fields(request: RecordedRequest) -> dict[str, object]:
    """What makes a request another one; other headers tell of the client, not of the question."""
    compared: dict[str, object] = request.model_dump(exclude={"headers"}, exclude_defaults=True)
    headers = {name: request.headers[name] for name in _MATCHED_HEADERS if name in request.headers}
    if headers:
        compared["headers"] = headers
    return compared


def _readable(request: RecordedRequest) -> list[str]:
    return json.dumps(_match_fields(request), indent=2, ensure_ascii=False).splitlines()


def _difference(recorded: Interaction | None, request: RecordedRequest) -> str:
    if recorded is None:
        return ""
    if recorded.request.operation != request.operation:
        return f"recorded as {_named(recorded)}\n"
    before, after = _readable(recorded.request), _readable(request)
    headings = (f"recorded, number {recorded.number}", "asked")
    lines = list(difflib.unified_diff(before, after, *headings, lineterm=""))
    if len(lines) > _MOST_DIFF_LINES:
        lines = [*lines[:_MOST_DIFF_LINES], "…"]
    return "".join(f"{line[:_MOST_CHARS]}\n" for line in lines)


def _named(exchange: Interaction) -> str:
    return f"{exchange.number}: {_described(exchange.request)}"


def _described(request: RecordedRequest) -> str:
    return f"{request.operation} {request.method} {request.path}".strip()
