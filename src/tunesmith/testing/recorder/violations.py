"""Violations of good API use: useless retries, ignored waits, duplicates, unclosed responses."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, cast

from tunesmith.operations.registry import all_operations
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

_REPEATABLE_CREATE = "uploads.parts.create"
"""Two parts of a file may have the same content."""

_TOLERANCE_S = 0.01


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule of good API use that a caller broke.

    Args:
        kind: The rule.
        calls: The numbers of the calls.
        message: Description of the violation.
    """

    kind: ViolationKind
    calls: tuple[int, ...]
    message: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"


def find_violations(calls: Sequence[Call]) -> Iterator[Violation]:
    """Find the violations in a caller's calls.

    Args:
        calls: All calls, in the order in which they started.
    """
    create_names = {
        operation.spec.name
        for operation in all_operations()
        if operation.spec.is_create and operation.spec.name != _REPEATABLE_CREATE
    }
    previous: dict[tuple[str, str, str], int] = {}
    for index, call in enumerate(calls):
        parameters = json.dumps(call.parameters, sort_keys=True, default=asdict)
        key = (call.operation, call.path, parameters)
        if key in previous:
            first = previous[key]
            yield from _check_retry(calls[first], call)
            if call.operation in create_names:
                yield from _check_duplicate_create(calls[first], call, calls[first + 1 : index])
        previous[key] = index
        yield from _check_unclosed(call)


def _check_retry(call: Call, repeated: Call) -> Iterator[Violation]:
    responded_at = call.responded_at
    if responded_at is None or call.ok or repeated.number <= call.calls_before_response:
        return
    numbers = (call.number, repeated.number)
    headers = {k: v for k, v in call.response_headers.items() if k == "x-should-retry"}
    delay_s = retry_delay(
        RetryPolicy(), 1, status=call.status, code=call.error_code, headers=headers, now=0, random=0
    )
    if delay_s is None:
        reason = " ".join(str(part) for part in (call.status, call.error_code) if part)
        yield Violation(
            "useless-retry",
            numbers,
            f"call {call.number}, {call.operation}, failed with {reason}, which a retry cannot "
            f"fix, and call {repeated.number} repeated it",
        )
    requested_s = parse_retry_after(call.response_headers, responded_at) or 0.0
    waited_s = repeated.started_at - responded_at
    if waited_s < requested_s - _TOLERANCE_S:
        yield Violation(
            "ignored-retry-after",
            numbers,
            f"the response {call.status} to call {call.number}, {call.operation}, requested a wait "
            f"of {requested_s:g} s, but call {repeated.number} repeated it after {waited_s:.3g} s",
        )


def _check_duplicate_create(
    call: Call, repeated: Call, between: Sequence[Call]
) -> Iterator[Violation]:
    numbers = (call.number, repeated.number)
    if call.ok and repeated.ok:
        created = cast("dict[str, Any] | None", call.response_json)
        created_id = str((created or {}).get("id"))
        if not any(_removes(other, created_id) for other in between):
            yield Violation(
                "duplicate-create",
                numbers,
                f"calls {call.number} and {repeated.number} of {call.operation} had the same "
                "parameters and both succeeded",
            )
    elif may_have_been_processed(status=call.status, error=call.error) and not any(
        other.method == "GET" and other.path.startswith(call.path) for other in between
    ):
        yield Violation(
            "duplicate-create",
            numbers,
            f"the response to call {call.number} of {call.operation} was lost, and call "
            f"{repeated.number} repeated it without looking for the created object",
        )


def _removes(call: Call, id: str) -> bool:
    """Return whether a call deletes or cancels an object."""
    return call.path.endswith((f"/{id}", f"/{id}/cancel")) and call.method != "GET"


def _check_unclosed(call: Call) -> Iterator[Violation]:
    if call.garbage_collected or (call.status is not None and call.ended_at is None):
        yield Violation(
            "unclosed-response",
            (call.number,),
            f"the response to call {call.number}, {call.operation}, was not closed"
            + (" before it was garbage-collected" if call.garbage_collected else ""),
        )
