"""A verdict on the caller: what it did that no service likes, and no bill."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, cast

from tunesmith.operations import all_operations
from tunesmith.protocol.retry import RetryPolicy, decide, may_have_happened
from tunesmith.protocol.retry_after import parse_retry_after_s
from tunesmith.testing.recorder.call import Call

__all__ = ["Lapse", "LapseKind", "judge"]

LapseKind = Literal["retried in vain", "ignored Retry-After", "left open", "created twice"]


@dataclass(frozen=True, slots=True)
class Lapse:
    """Something a caller should not have done.

    Args:
        kind: What it is.
        calls: The numbers of the calls.
        message: What happened.
    """

    kind: LapseKind
    calls: tuple[int, ...]
    message: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"


def judge(calls: Sequence[Call]) -> Iterator[Lapse]:
    """Find what a caller should not have done.

    Args:
        calls: All its calls, in the order in which they began.
    """
    creating = {operation.spec.name for operation in all_operations() if operation.spec.creates}
    for index, following in enumerate(_same_again(calls)):
        call = calls[index]
        if following is not None:
            again = calls[following]
            yield from _hasty(call, again)
            if call.operation in creating:
                yield from _doubled(call, again, calls[index + 1 : following])
        yield from _open(call)


def _same_again(calls: Sequence[Call]) -> list[int | None]:
    """Find for each call the next one that asks for the same."""
    found: list[int | None] = [None for _ in calls]
    last: dict[tuple[str, str, str], int] = {}
    for index, call in enumerate(calls):
        parameters = json.dumps(call.parameters, sort_keys=True, default=asdict)
        key = (call.operation, call.path, parameters)
        if key in last:
            found[last[key]] = index
        last[key] = index
    return found


def _hasty(call: Call, again: Call) -> Iterator[Lapse]:
    answered_at = call.answered_at
    if answered_at is None or call.is_good or again.number <= call.answered_after:
        return
    numbers = (call.number, again.number)
    advice = {name: v for name, v in call.answer_headers.items() if name == "x-should-retry"}
    passing = decide(
        RetryPolicy(), 1, status=call.status, code=call.error_code, headers=advice, now=0, random=0
    )
    if passing is None:
        why = " ".join(str(part) for part in (call.status, call.error_code) if part)
        yield Lapse(
            "retried in vain",
            numbers,
            f"call {call.number}, {call.operation}, was answered {why}, which no retry changes, "
            f"and call {again.number} asked the same again",
        )
    asked_s = parse_retry_after_s(call.answer_headers, answered_at) or 0.0
    waited_s = again.began_at - answered_at
    if waited_s < asked_s - _TOLERANCE_S:
        yield Lapse(
            "ignored Retry-After",
            numbers,
            f"call {call.number}, {call.operation}, was answered {call.status} with the request to "
            f"wait {asked_s:g} s, and call {again.number} asked again after {waited_s:.3g} s",
        )


def _doubled(call: Call, again: Call, between: Sequence[Call]) -> Iterator[Lapse]:
    numbers = (call.number, again.number)
    if call.is_good and again.is_good:
        created = _id_of(call)
        if call.operation != _PARTS and not any(_ends(each, created) for each in between):
            yield Lapse(
                "created twice",
                numbers,
                f"calls {call.number} and {again.number} of {call.operation} asked for the same, "
                "and both were done",
            )
    elif may_have_happened(status=call.status, error=call.error) and not any(
        each.method == "GET" and each.path.startswith(call.path) for each in between
    ):
        yield Lapse(
            "created twice",
            numbers,
            f"the answer to call {call.number} of {call.operation} was lost, and call "
            f"{again.number} asked again without a look at what there is",
        )


_PARTS = "uploads.parts.create"
"""Two parts of a file may well be alike."""

_TOLERANCE_S = 0.01


def _id_of(call: Call) -> str:
    answer = cast("dict[str, Any] | None", call.answer)
    return str((answer or {}).get("id"))


def _ends(call: Call, id: str) -> bool:
    """Tell whether a call deletes or cancels the object."""
    return call.path.endswith((f"/{id}", f"/{id}/cancel")) and call.method != "GET"


def _open(call: Call) -> Iterator[Lapse]:
    if call.abandoned or (call.status is not None and call.ended_at is None):
        yield Lapse(
            "left open",
            (call.number,),
            f"nobody closed the answer to call {call.number}, {call.operation}"
            + (", but the garbage collector" if call.abandoned else ""),
        )
