"""What a job was given, checked before anything is opened or sent."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from pydantic_core import from_json, to_json

from tunesmith.batch.budget import Budget
from tunesmith.batch.rate_limiter import RateLimiter
from tunesmith.batch.shards import BatchLimits
from tunesmith.datasets.cost import Prices
from tunesmith.errors import ConfigurationError

__all__ = [
    "BatchApiOptions",
    "DispatchMode",
    "Order",
    "RunOptions",
    "batch_timeout_s",
    "job_settings",
]

DispatchMode = Literal["live", "batch", "auto"]
"""One request each, by batches, or by batches as long as the deadline allows."""

_SHORTEST_FOR_BATCHES_S = 3600.0
_BATCH_SHARE_OF_DEADLINE = 0.75


@dataclass(frozen=True, slots=True)
class BatchApiOptions:
    """How batches are made.

    Args:
        limits: How much the service takes.
        poll_s: Seconds between two looks at the batches.
        batch_timeout_s: Seconds after which what is not done is taken back; None for never.
        keep_files: Whether the files of batches stay at the service.
    """

    limits: BatchLimits
    poll_s: float
    batch_timeout_s: float | None = None
    keep_files: bool = False


def batch_timeout_s(via: DispatchMode, deadline_s: float | None) -> float | None:
    """How long batches may take, so that the rest can go live in time; None for any time.

    Args:
        via: How rows are sent.
        deadline_s: Seconds that the job may take.
    """
    if via != "auto" or deadline_s is None:
        return None
    return deadline_s * _BATCH_SHARE_OF_DEADLINE if deadline_s >= _SHORTEST_FOR_BATCHES_S else 0.0


Order = Literal["completed", "input"]
"""Answers stand as they are completed, or in the order of the input."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What `BatchJob` was given; see there."""

    settings: Mapping[str, Any]
    model: str | None
    response_format: type[Any] | None
    concurrency: int | Literal["auto"]
    pacing: RateLimiter
    max_retries: int
    timeout_s: float | None
    deadline_s: float | None
    max_failed: int | None
    budget: Budget | None
    prices: Prices | None
    order: Order
    resume: bool
    retry_failed: bool
    fsync_interval_s: float
    fsync_rows: int
    mode: DispatchMode
    provider: BatchApiOptions

    def __post_init__(self) -> None:
        self._check_choices()
        self._check_numbers()

    def _check_choices(self) -> None:
        for name, given, choices in (
            ("mode", self.mode, get_args(DispatchMode)),
            ("order", self.order, get_args(Order)),
        ):
            if given not in choices:
                raise ConfigurationError(f"{name} is one of {', '.join(choices)}, not {given!r}")
        if self.concurrency != "auto" and not _is_number(self.concurrency, 1):
            raise ConfigurationError(
                f"concurrency is 'auto' or a number from 1, not {self.concurrency!r}"
            )
        _check_kind("budget", self.budget, Budget)
        _check_kind("prices", self.prices, Prices)
        _check_kind("pacing", self.pacing, RateLimiter)

    def _check_numbers(self) -> None:
        for name, given, least in (
            ("max_retries", self.max_retries, 0),
            ("max_failed", self.max_failed, 1),
            ("fsync_interval", self.fsync_interval_s, 0),
            ("fsync_rows", self.fsync_rows, 1),
        ):
            if given is not None and not _is_number(given, least):
                raise ConfigurationError(f"{name} is a number from {least}, not {given!r}")
        for name, given in (
            ("timeout", self.timeout_s),
            ("deadline", self.deadline_s),
            ("poll_interval", self.provider.poll_s),
        ):
            if given is not None and (given == 0 or not _is_number(given, 0)):
                raise ConfigurationError(f"{name} is a number of seconds above 0, not {given!r}")


def _check_kind(name: str, given: object, kind: type) -> None:
    if given is not None and not isinstance(given, kind):
        raise ConfigurationError(f"{name} is a {kind.__name__}, not {given!r}")


def _is_number(given: object, least: float) -> bool:
    return isinstance(given, int | float) and not isinstance(given, bool) and given >= least


def job_settings(
    model: str | None,
    endpoint: str | None,
    template: object,
    params: Mapping[str, Any] | None,
    response_format: type[Any] | None,
    order: Order,
) -> dict[str, Any]:
    """Return what a resumed run must repeat, as its journal will have it."""
    settings = {
        "model": model,
        "endpoint": endpoint,
        "template": "a function" if callable(template) else template,
        "params": dict(params or {}),
        "response_format": response_format and response_format.__name__,
        "order": order,
    }
    read: dict[str, Any] = from_json(to_json(settings))
    return read
