"""Search for the object of a create whose response was lost, so that it is not created twice."""

from collections.abc import AsyncIterable, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from email.utils import parsedate_to_datetime
from enum import IntEnum
from hashlib import sha256
from typing import Any, Protocol

from pydantic_core import to_jsonable_python

from tunesmith._json_types import is_list, is_object
from tunesmith.calls.deadline import Deadline
from tunesmith.calls.open_response import OpenResponse
from tunesmith.errors import APIError, UnknownOutcomeError
from tunesmith.operations.base import Operation
from tunesmith.operations.batches import ListBatches
from tunesmith.operations.files import DownloadFile, FileSource, ListFiles
from tunesmith.operations.fine_tunes import ListFineTunes
from tunesmith.operations.fine_tuning import ListFineTuningJobs
from tunesmith.protocol.multipart import Part, closing_chunks
from tunesmith.types.base import Page

__all__ = ["recover_created"]

_PAUSES_S = (0.0, 1.0, 2.0, 4.0)
"""Pauses before each search: services finish late, and lists lag behind."""

_MAX_SKEW_S = 60
"""Tolerated difference between the service's clock and its `Date` header."""

_LIMIT = 100
"""Number of newest objects to search."""

_LISTINGS: Mapping[str, Callable[[Any], Operation[Any]]] = {
    "batches.create": lambda _: ListBatches(limit=_LIMIT),
    "files.create": lambda create: ListFiles(purpose=create.purpose, limit=_LIMIT, order="desc"),
    "fine_tunes.create": lambda _: ListFineTunes(),
    "fine_tuning.jobs.create": lambda _: ListFineTuningJobs(limit=_LIMIT),
}
"""Operations that list the objects of a create, newest first."""


class _Caller(Protocol):
    @property
    def created_ids(self) -> Collection[str]: ...

    async def call(self, operation: Operation[Any], *, deadline: Deadline | None = None) -> Any: ...

    def stream(
        self, operation: Operation[Any], *, deadline: Deadline | None = None
    ) -> AbstractAsyncContextManager[OpenResponse]: ...


class _Match(IntEnum):
    NONE = 0
    UNCLEAR = 1
    EQUAL = 2


async def recover_created(
    caller: _Caller,
    operation: Operation[Any],
    began_at: float,
    deadline: Deadline,
    lost: APIError,
) -> Any | None:
    """Search for the object that a create may have made.

    Args:
        caller: The caller; objects in `created_ids` are known to be others.
        operation: The create; its files are `FileSource` objects.
        began_at: Unix time of its first attempt.
        deadline: The deadline of the call.
        lost: The error of the lost attempt.

    Returns:
        The object; None if it does not exist, so that the create may be repeated.

    Raises:
        UnknownOutcomeError: Several objects match, or it is unclear whether one does, or the search
            failed.
    """
    listing = _LISTINGS.get(operation.spec.name)
    if listing is None:
        return None
    unclear: list[str] = []
    for pause_s in _PAUSES_S:
        if pause_s:
            await deadline.sleep(
                pause_s, activity="searching for the created object", attempts=lost.attempts
            )
        try:
            page = await caller.call(listing(operation), deadline=deadline)
        except APIError as error:
            raise _unknown_outcome(operation, lost, []) from error
        others = [item for item in page.data if item.id not in caller.created_ids]
        matches = {
            item.id: await _match(caller, operation, item, page, began_at, deadline)
            for item in others
        }
        equal = [item for item in others if matches[item.id] is _Match.EQUAL]
        if len(equal) == 1:
            return equal[0]
        unclear = [item.id for item in equal or others if matches[item.id]]
        if equal:
            break
    if unclear:
        raise _unknown_outcome(operation, lost, unclear) from lost
    return None


async def _match(
    caller: _Caller,
    operation: Operation[Any],
    item: Any,
    page: Page[Any],
    began_at: float,
    deadline: Deadline,
) -> _Match:
    elapsed_s = deadline.clock.time() - began_at
    match = min(
        _compare_time(item.created_at, page.response.headers, began_at, elapsed_s),
        _compare(operation, item),
    )
    if match is _Match.EQUAL:
        return await _compare_content(caller, operation, item.id, deadline)
    return match


def _unknown_outcome(
    operation: Operation[Any], lost: APIError, candidates: list[str]
) -> UnknownOutcomeError:
    name = operation.spec.name
    result = (
        f"{', '.join(candidates)} may be the created object"
        if candidates
        else "searching for the created object failed"
    )
    return UnknownOutcomeError(
        f"{name}: the response was lost ({lost.message}), and {result}. "
        f"Check {name.rsplit('.', 1)[0]}.list before creating it again.",
        candidates=candidates,
        operation=name,
        attempts=lost.attempts,
    )


def _compare_time(
    created_at: float | None, headers: Mapping[str, str], began_at: float, elapsed_s: float
) -> _Match:
    """Decide by the service's clock whether an object may be new; ours may be wrong."""
    if created_at is None:
        return _Match.EQUAL
    with suppress(KeyError, ValueError):
        service_now = parsedate_to_datetime(headers["date"]).timestamp()
        is_new = created_at >= service_now - elapsed_s - _MAX_SKEW_S
        return _Match.EQUAL if is_new else _Match.NONE
    return _Match.EQUAL if created_at >= began_at - _MAX_SKEW_S else _Match.UNCLEAR


def _compare(create: Any, item: Any) -> _Match:
    """Compare a create with an object, as far as the object shows its parameters."""
    requested: dict[str, Any] = {name: getattr(create, name) for name in create.spec.body_params}
    shown = item.model_dump(exclude_unset=True)
    certainty = _Match.EQUAL
    match create.spec.name:
        case "files.create":
            file: FileSource = requested.pop("file")
            requested |= {"filename": file.filename, "bytes": file.length_bytes}
            if file.length_bytes is None:
                shown.pop("bytes", None)
                certainty = _Match.UNCLEAR
            requested.pop("expires_after")
        case "fine_tunes.create":
            shown |= shown.pop("hyperparams", None) or {}
            for name in ("training_file", "validation_file"):
                shown[name] = next((file["id"] for file in shown.pop(f"{name}s", None) or ()), None)
        case "fine_tuning.jobs.create":
            shown["suffix"] = shown.pop("user_provided_suffix", _NOT_SHOWN)
            _move_hyperparameters(requested, shown)
        case _:  # a batch shows its parameters as they were requested
            pass
    return min(
        certainty,
        *(
            _compare_value(name, to_jsonable_python(value), shown.get(name, _NOT_SHOWN))
            for name, value in requested.items()
        ),
    )


_NOT_SHOWN = object()

_CHOSEN_BY_SERVICE = frozenset(
    {
        "batch_size",
        "classification_betas",
        "classification_n_classes",
        "classification_positive_class",
        "compute_classification_metrics",
        "hyperparameters",
        "learning_rate_multiplier",
        "n_epochs",
        "prompt_loss_weight",
        "seed",
    }
)
"""Parameters that an object shows although they were not requested, or not yet."""


def _move_hyperparameters(requested: dict[str, Any], shown: dict[str, Any]) -> None:
    """Compare hyperparameters whether they stand in `method` or, deprecated, beside it."""
    for fields in (requested, shown):
        method: dict[str, Any] = dict(fields.get("method") or {})
        kind = method.pop("type", None) or "supervised"
        settings = dict(method.get(kind) or {})
        inner = settings.pop("hyperparameters", None)
        outer = fields.get("hyperparameters")
        fields["hyperparameters"] = inner or outer
        if fields is requested or fields.get("method"):
            fields["method"] = [kind, settings]


def _compare_value(name: str, requested: Any, shown: Any) -> _Match:
    is_default = requested is None and (name in _CHOSEN_BY_SERVICE or name == "model")
    if shown is _NOT_SHOWN or is_default or requested == shown or not (requested or shown):
        return _Match.EQUAL
    if shown is None:
        # The service has not chosen yet, or may not support the parameter.
        return _Match.EQUAL if name in _CHOSEN_BY_SERVICE else _Match.UNCLEAR
    is_same = (
        _is_snapshot(str(shown), str(requested)) if name == "model" else _agrees(requested, shown)
    )
    return _Match.EQUAL if is_same else _Match.NONE


def _is_snapshot(shown: str, requested: str) -> bool:
    """Return whether a model is a dated version of another, as `gpt-4o-2024-08-06` of `gpt-4o`."""
    suffix = shown.removeprefix(requested)
    return suffix != shown and suffix.startswith("-") and suffix.replace("-", "").isdigit()


def _agrees(requested: Any, shown: Any) -> bool:
    """Return whether all requested settings have the shown values; others are defaults."""
    if is_object(requested) and is_object(shown):
        return all(
            value in (None, "auto") or shown.get(name) is None or _agrees(value, shown[name])
            for name, value in requested.items()
        )
    if is_list(requested) and is_list(shown):
        return len(requested) == len(shown) and all(map(_agrees, requested, shown))
    return bool(requested == shown)


async def _compare_content(
    caller: _Caller, create: Any, file_id: str, deadline: Deadline
) -> _Match:
    """Compare the content of an uploaded file, if the service lets it be downloaded."""
    file = getattr(create, "file", None)
    if not isinstance(file, FileSource) or not file.replayable:
        return _Match.EQUAL
    try:
        async with caller.stream(DownloadFile(file_id), deadline=deadline) as received:
            stored = await _digest(received)
    except APIError:
        return _Match.EQUAL  # some purposes cannot be downloaded; name and size are equal
    uploaded = await _digest(Part("file", file.content).chunks())
    return _Match.EQUAL if uploaded == stored else _Match.NONE


async def _digest(content: AsyncIterable[bytes]) -> bytes:
    digest = sha256()
    async with closing_chunks(content) as chunks:
        async for chunk in chunks:
            digest.update(chunk)
    return digest.digest()
