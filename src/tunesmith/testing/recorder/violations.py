"""A verdict on the caller: what it did that no service likes, and no bill."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, cast

from tunesmith.operations import all_operations
from tunesmith.protocol.retry import (
    RetryPolicy,
    may_have_been_processed,
    parse_retry_after,
    retry_delay,
)
from tunesmith.testing.recorder.call import Call

__all__ = ["Violation", "ViolationKind", "find_violations"]

ViolationKind = Literal[
    "useless-retry", "ignored-retry-after", "unclosed-response", "duplicate-create"
]


@dataclass(frozen=True, slots=True)
class Violation:
    """Something a caller should not have done.

    Args:
        kind: What it is.
        calls: The numbers of the calls.
        message: What happened.
    """

    kind: ViolationKind
    calls: tuple[int, ...]
    message: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"


def find_violations(calls: Sequence[Call]) -> Iterator[Violation]:
    """Find what a caller should not have done.

    Args:
        calls: All its calls, in the order in which they began.
    """
    creating = {operation.spec.name for operation in all_operations() if operation.spec.is_create}
    for index, following in enumerate(_same_again(calls)):
        call = calls[index]
        if following is not None:
            again = calls[following]
            yield from _check_retry(call, again)
            if call.operation in creating:
                yield from _check_duplicate_create(call, again, calls[index + 1 : following])
        yield from _check_unclosed(call)


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


def _check_retry(call: Call, again: Call) -> Iterator[Violation]:
    answered_at = call.answered_at
    if answered_at is None or call.ok or again.number <= call.calls_before_answer:
        return
    numbers = (call.number, again.number)
    advice = {name: v for name, v in call.answer_headers.items() if name == "x-should-retry"}
    passing = retry_delay(
        RetryPolicy(), 1, status=call.status, code=call.error_code, headers=advice, now=0, random=0
    )
    if passing is None:
        why = " ".join(str(part) for part in (call.status, call.error_code) if part)
        yield Violation(
            "useless-retry",
            numbers,
            f"call {call.number}, {call.operation}, was answered {why}, which no retry changes, "
            f"and call {again.number} asked the same again",
        )
    asked_s = parse_retry_after(call.answer_headers, answered_at) or 0.0
    waited_s = again.began_at - answered_at
    if waited_s < asked_s - _DEFAULT_TOLERANCE:
        yield Violation(
            "ignored-retry-after",
            numbers,
            f"call {call.number}, {call.operation}, was answered {call.status} with the request to "
            f"wait {asked_s:g} s, and call {again.number} asked again after {waited_s:.3g} s",
        )


def _check_duplicate_create(
    call: Call, again: Call, between: Sequence[Call]
) -> Iterator[Violation]:
    numbers = (call.number, again.number)
    if call.ok and again.ok:
        created = _id_of(call)
        if call.operation != _PARTS and not any(_ends(each, created) for each in between):
            yield Violation(
                "duplicate-create",
                numbers,
                f"calls {call.number} and {again.number} of {call.operation} asked for the same, "
                "and both were done",
            )
    elif may_have_been_processed(status=call.status, error=call.error) and not any(
        each.method == "GET" and each.path.startswith(call.path) for each in between
    ):
        yield Violation(
            "duplicate-create",
            numbers,
            f"the answer to call {call.number} of {call.operation} was lost, and call "
            f"{again.number} asked again without a look at what there is",
        )


_PARTS = "uploads.parts.create"
"""Two parts of a file may well be alike."""

_DEFAULT_TOLERANCE = 0.01


def _id_of(call: Call) -> str:
    answer = cast("dict[str, Any] | None", call.response_json)
    return str((answer or {}).get("id"))


def _ends(call: Call, id: str) -> bool:
    """Tell whether a call deletes or cancels the object."""
    return call.path.endswith((f"/{id}", f"/{id}/cancel")) and call.method != "GET"


def _check_unclosed(call: Call) -> Iterator[Violation]:
    if call.garbage_collected or (call.status is not None and call.ended_at is None):
        yield Violation(
            "unclosed-response",
            (call.number,),
            f"nobody closed the answer to call {call.number}, {call.operation}"
            + (", but the garbage collector" if call.garbage_collected else ""),
        )
