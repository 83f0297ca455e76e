"""Finding what a create has made when its answer was lost, so that it is not made twice."""

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import Any, Protocol

from tunesmith.calls.deadline import Deadline
from tunesmith.errors import APIError, UnknownOutcomeError
from tunesmith.operations.base import Operation
from tunesmith.operations.batches import ListBatches
from tunesmith.operations.files import ListFiles
from tunesmith.operations.fine_tunes import ListFineTunes
from tunesmith.operations.fine_tuning import ListFineTuningJobs
from tunesmith.protocol.file_input import to_file_source

__all__ = ["recover_created"]

_SKEW_S = 60
"""How far the service's clock may be behind ours where it does not tell its time."""

_NEWEST = 100
"""What was made just now is among the newest; further back is not looked."""


class _Answer(Protocol):
    async def __call__(self, operation: Any, *, deadline: Deadline | None = None) -> Any: ...


async def recover_created(
    answer: _Answer,
    operation: Operation[Any],
    began_at: float,
    deadline: Deadline,
    known_ids: Collection[str],
    cause: APIError,
) -> Any | None:
    """Look for the object that a create may have made.

    Args:
        answer: Makes a call.
        operation: The create.
        began_at: When it was first sent, in Unix seconds.
        deadline: The end of the call.
        known_ids: Objects that are known to be others.
        cause: How the answer was lost.

    Returns:
        The object; None if there is none, so that the create may be sent again.

    Raises:
        UnknownOutcomeError: Several objects fit, or the list could not be had.
    """
    listing = _LISTINGS.get(operation.spec.name)
    if listing is None:
        return None
    try:
        page = await answer(listing(operation), deadline=deadline)
    except APIError as error:
        raise _unknown(operation, cause, []) from error
    earliest = began_at - _SKEW_S - _clock_skew_s(page.response.headers, deadline.clock.time())
    found = [
        item
        for item in page.data
        if item.id not in known_ids
        and (item.created_at or earliest) >= earliest
        and _same(operation, item)
    ]
    if len(found) > 1:
        raise _unknown(operation, cause, [item.id for item in found]) from cause
    return found[0] if found else None


def _clock_skew_s(headers: Mapping[str, str], now: float) -> float:
    """Tell how far the service's clock is behind ours, as far as it says."""
    with suppress(KeyError, ValueError):
        return max(now - parsedate_to_datetime(headers["date"]).timestamp(), 0.0)
    return 0.0


def _unknown(
    operation: Operation[Any], cause: APIError, candidates: list[str]
) -> UnknownOutcomeError:
    name = operation.spec.name
    which = (
        f"one of {', '.join(candidates)} may be it" if candidates else "looking it up failed too"
    )
    return UnknownOutcomeError(
        f"{name}: the answer was lost ({cause.message}), and {which}. "
        f"Look at {name.rsplit('.', 1)[0]}.list before you create it again.",
        candidates=candidates,
        operation=name,
        attempts=cause.attempts,
    )


_LISTINGS: Mapping[str, Callable[[Any], Operation[Any]]] = {
    "batches.create": lambda _: ListBatches(limit=_NEWEST),
    "files.create": lambda create: ListFiles(purpose=create.purpose, limit=_NEWEST, order="desc"),
    "fine_tunes.create": lambda _: ListFineTunes(),
    "fine_tuning.jobs.create": lambda _: ListFineTuningJobs(limit=_NEWEST),
}
"""Where the objects that a create makes are listed, the newest first."""


def _same(create: Any, item: Any) -> bool:
    """Whether an object is as the create asked for it, as far as it tells."""
    asked: dict[str, Any] = {name: getattr(create, name) for name in create.spec.body_params}
    if create.spec.name == "files.create":
        source = to_file_source(asked.pop("file"))
        asked |= {"filename": source.filename, "bytes": source.length_bytes}
    return all(
        _matches_field(name, value, getattr(item, _NAMES_IN_ANSWERS.get(name, name), None))
        for name, value in asked.items()
        if value is not None and isinstance(value, str | int | Mapping)
    )


_NAMES_IN_ANSWERS = {"suffix": "user_provided_suffix"}


def _matches_field(name: str, asked: Any, shown: Any) -> bool:
    if shown is None or isinstance(asked, Mapping) != isinstance(shown, Mapping):
        return True  # not told, or told in another form
    if name == "model":
        # `gpt-4o-mini` is answered as `gpt-4o-mini-2024-07-18`.
        return str(shown).startswith(asked)
    return bool(asked == shown)
