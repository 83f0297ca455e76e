"""Backend that replays a cassette."""

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

_MAX_DIFF_LINES = 60
_MAX_LINE_CHARS = 500
_MAX_COMPARED_CHARS = 10_000
_MAX_LISTED = 10
_MATCHED_HEADERS = ("range", "if-range")


class ReplayMismatchError(AssertionError):
    """Request that differs from the recorded ones.

    It is an error of a test or its cassette, not of a service. So it is not a `TunesmithError` and
    is never retried.
    """


class ReplayBackend:
    """Backend that responds from a cassette recorded by `RecordingBackend`.

    Time is virtual and begins when the recording did: waiting for a job takes no real time.

    Args:
        path: Path of the cassette.
        strict: Whether each interaction is used once, in the recorded order; `aclose` then reports
            unused ones. If false, requests are matched by operation and content; repeated requests
            get the recorded responses in order, and then the last one.
        secrets: The texts passed as `secrets` to `RecordingBackend`.

    Raises:
        ConfigurationError: The file is missing or not a valid cassette.

    Example:
        ```python
        from tunesmith.testing import RecordingBackend, ReplayBackend

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
        interactions = self._cassette.interactions
        self._matcher: _Matcher = (
            _OrderedMatcher(interactions) if strict else _UnorderedMatcher(interactions)
        )
        self.clock = VirtualClock(interactions[0].started_at if interactions else EPOCH_S)
        self._mismatched = False
        self._closed = False

    def __repr__(self) -> str:
        return f"<ReplayBackend of {str(self._cassette.path)!r}>"

    @property
    def unused(self) -> list[str]:
        """Unused interactions, such as `3: files.retrieve GET /files/x`."""
        return [_format_interaction(interaction) for interaction in self._matcher.unused()]

    @asynccontextmanager
    async def send(self, request: Request, /) -> AsyncGenerator[Response]:
        """Respond as recorded; see `Backend.send`.

        Raises:
            BackendError: It was raised in the recording, or the backend is closed.
            ReplayMismatchError: The cassette has no response to this request.
        """
        if self._closed:
            raise BackendError("the replay is closed", phase="closed")
        await anyio.lowlevel.checkpoint()
        body = await encode_request_body(request, self._redaction, self._cassette.max_body_bytes)
        interaction = self._take(RecordedRequest.from_request(request, body, self._redaction))
        if interaction.response is None:
            if interaction.error is not None:
                raise BackendError(interaction.error.message, phase=interaction.error.phase)
            await self.clock.sleep(math.inf)  # the caller gave up before a response
        else:
            headers = dict(interaction.response.headers)
            if interaction.is_complete and "content-length" in headers:
                # JSON is encoded anew, without whitespace.
                length = sum(map(len, self._cassette.chunks(interaction.response)))
                headers["content-length"] = str(length)
            async with aclosing(self._stream(interaction)) as stream:
                yield Response(interaction.response.status, headers, stream)

    async def aclose(self) -> None:
        """Close the replay.

        Raises:
            ReplayMismatchError: Interactions of a strict replay were not used. Not raised while
                another exception is being handled.
        """
        __tracebackhide__ = True
        if self._closed:
            return
        self._closed = True
        unused = self.unused
        is_strict = isinstance(self._matcher, _OrderedMatcher)
        if is_strict and unused and not self._mismatched and not exception():
            raise ReplayMismatchError(
                f"{len(unused)} interaction(s) in {self._cassette.path} were not used:\n  "
                + "\n  ".join(unused[:_MAX_LISTED])
                + ("\n  …" if len(unused) > _MAX_LISTED else "")
                + f"\n{self._matcher.hint}"
            )

    def _take(self, request: RecordedRequest) -> Interaction:
        interaction = self._matcher.take(request)
        if interaction is None:
            self._mismatched = True
            raise ReplayMismatchError(
                f"{_format_request(request)} does not match {self._cassette.path}: "
                f"{self._matcher.reason(request)}.\n"
                f"{_diff(self._matcher.nearest(request), request)}{self._matcher.hint}"
            )
        return interaction

    async def _stream(self, interaction: Interaction) -> AsyncGenerator[bytes]:
        assert interaction.response is not None  # noqa: S101 - for the type checker
        for chunk in self._cassette.chunks(interaction.response):
            await anyio.lowlevel.checkpoint()
            yield chunk
        if interaction.error is not None:
            raise BackendError(interaction.error.message, phase=interaction.error.phase)
        if interaction.abandoned == "waiting":
            await self.clock.sleep(math.inf)
        if interaction.abandoned == "early":
            self._mismatched = True
            raise ReplayMismatchError(
                f"{_format_interaction(interaction)}: the recorded response ends here, because the "
                f"recording stopped reading it, in {self._cassette.path}.\n{self._matcher.hint}"
            )


_RECORD_AGAIN = "If the code is right, record the cassette again with RecordingBackend"


class _Matcher(Protocol):
    """Choice of the interaction that responds to a request."""

    hint: str

    def take(self, request: RecordedRequest, /) -> Interaction | None: ...

    def reason(self, request: RecordedRequest, /) -> str: ...

    def nearest(self, request: RecordedRequest, /) -> Interaction | None: ...

    def unused(self) -> list[Interaction]: ...


class _OrderedMatcher:
    """Each interaction once, in order."""

    hint = f"{_RECORD_AGAIN}; if the order does not matter, replay with strict=False."

    def __init__(self, interactions: Sequence[Interaction]) -> None:
        self._interactions = interactions
        self._used = 0

    def take(self, request: RecordedRequest, /) -> Interaction | None:
        interaction = self.nearest(request)
        if interaction is None or not _is_same(interaction.request, request):
            return None
        self._used += 1
        return interaction

    def reason(self, request: RecordedRequest, /) -> str:
        interaction = self.nearest(request)
        if interaction is None:
            return f"only {len(self._interactions)} interaction(s) were recorded"
        same = [str(e.number) for e in self._interactions if _is_same(e.request, request)]
        numbers = f" (this one is number {', '.join(same)})" if same else ""
        return f"number {interaction.number} of the recording is another request{numbers}"

    def nearest(self, _request: RecordedRequest, /) -> Interaction | None:
        return self._interactions[self._used] if self._used < len(self._interactions) else None

    def unused(self) -> list[Interaction]:
        return list(self._interactions[self._used :])


class _UnorderedMatcher:
    """Interactions by the content of the request, as often as needed."""

    hint = f"{_RECORD_AGAIN}."

    def __init__(self, interactions: Sequence[Interaction]) -> None:
        self._interactions = interactions
        self._used: set[int] = set()
        by_key: dict[str, list[Interaction]] = defaultdict(list)
        for interaction in interactions:
            by_key[_key(interaction.request)].append(interaction)
        # Incomplete responses are used only if all are incomplete.
        self._by_key = {
            key: [interaction for interaction in same if interaction.is_complete] or same
            for key, same in by_key.items()
        }
        self._next: dict[str, int] = defaultdict(int)

    def take(self, request: RecordedRequest, /) -> Interaction | None:
        for key in (_key(request), _key(request.model_copy(update={"body": UNREAD}))):
            if same := self._by_key.get(key):
                interaction = same[min(self._next[key], len(same) - 1)]
                self._next[key] += 1
                self._used.add(interaction.number)
                return interaction
        return None

    def reason(self, _request: RecordedRequest, /) -> str:
        return "no such request was recorded"

    def nearest(self, request: RecordedRequest, /) -> Interaction | None:
        same = [e for e in self._interactions if e.request.operation == request.operation]
        matcher = difflib.SequenceMatcher(b=_key(request)[:_MAX_COMPARED_CHARS], autojunk=False)

        def similarity(interaction: Interaction) -> float:
            matcher.set_seq1(_key(interaction.request)[:_MAX_COMPARED_CHARS])
            return matcher.quick_ratio()

        return max(same or self._interactions, key=similarity, default=None)

    def unused(self) -> list[Interaction]:
        return [i for i in self._interactions if i.number not in self._used]


def _is_same(recorded: RecordedRequest, request: RecordedRequest) -> bool:
    if recorded.body == UNREAD:
        request = request.model_copy(update={"body": UNREAD})
    return _key(recorded) == _key(request)


def _key(request: RecordedRequest) -> str:
    return json.dumps(_match_fields(request), sort_keys=True)


def _match_fields(request: RecordedRequest) -> dict[str, object]:
    """Return the fields that must match; most headers depend on the client, not the request."""
    fields: dict[str, object] = request.model_dump(exclude={"headers"}, exclude_defaults=True)
    headers = {name: request.headers[name] for name in _MATCHED_HEADERS if name in request.headers}
    return fields | ({"headers": headers} if headers else {})


def _diff(recorded: Interaction | None, request: RecordedRequest) -> str:
    if recorded is None:
        return ""
    if recorded.request.operation != request.operation:
        return f"recorded: {_format_interaction(recorded)}\n"
    before, after = (
        json.dumps(_match_fields(version), indent=2, ensure_ascii=False).splitlines()
        for version in (recorded.request, request)
    )
    names = (f"recorded, number {recorded.number}", "requested")
    lines = list(difflib.unified_diff(before, after, *names, lineterm=""))
    if len(lines) > _MAX_DIFF_LINES:
        lines = [*lines[:_MAX_DIFF_LINES], "…"]
    return "".join(f"{line[:_MAX_LINE_CHARS]}\n" for line in lines)


def _format_interaction(interaction: Interaction) -> str:
    return f"{interaction.number}: {_format_request(interaction.request)}"


def _format_request(request: RecordedRequest) -> str:
    return f"{request.operation} {request.method} {request.path}".strip()
