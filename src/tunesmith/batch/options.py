"""Options of a job, validated before anything is opened or sent."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from pydantic_core import from_json, to_json

from tunesmith.batch.budget import Budget
from tunesmith.batch.rate_limiter import RateLimiter
from tunesmith.errors import ConfigurationError

if TYPE_CHECKING:
    from tunesmith.datasets.cost import Prices

__all__ = [
    "BatchApiOptions",
    "BatchLimits",
    "DispatchMode",
    "Order",
    "RunOptions",
    "batch_timeout_s",
    "job_settings",
]

DispatchMode = Literal["live", "batch", "auto"]
"""One request per row, the Batch API, or the Batch API as far as the deadline allows."""

_SHORTEST_FOR_BATCHES_S = 3600.0
_BATCH_SHARE_OF_DEADLINE = 0.75


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """Limits of the Batch API.

    Args:
        requests: Maximum requests of a batch.
        bytes: Maximum bytes of its input file; the service's limit is 200 MB.
        inputs: Maximum inputs of a batch of embeddings.
        enqueued_tokens: Maximum input tokens in all batches of a model; None to learn it from
            refusals.

    Source: https://platform.openai.com/docs/guides/batch
    """

    requests: int = 50_000
    bytes: int = 195_000_000
    inputs: int = 50_000
    enqueued_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class BatchApiOptions:
    """Options of provider batches.

    Args:
        limits: Limits of the service.
        poll_s: Seconds between polls.
        batch_timeout_s: Seconds after which unfinished rows are sent live; None for never.
        keep_files: Whether files of batches stay at the service.
    """

    limits: BatchLimits
    poll_s: float
    batch_timeout_s: float | None = None
    keep_files: bool = False


def batch_timeout_s(mode: DispatchMode, deadline_s: float | None) -> float | None:
    """Return the time limit of batches in seconds, before the rest is sent live; None for none.

    Args:
        mode: How rows are sent.
        deadline_s: Time limit of the job in seconds.
    """
    if mode != "auto" or deadline_s is None:
        return None
    return deadline_s * _BATCH_SHARE_OF_DEADLINE if deadline_s >= _SHORTEST_FOR_BATCHES_S else 0.0


Order = Literal["completed", "input"]
"""Order of the output: as rows complete, or that of the input."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """Options of `BatchJob`; see there."""

    source: str | None
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
    prices: "Prices | None"
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

    def to_dict(self) -> dict[str, Any]:
        """Return the options that are set, as plain data for reports."""
        options = {
            "source": self.source,
            **self.settings,
            "mode": self.mode,
            "concurrency": self.concurrency,
            "requests_per_minute": self.pacing.requests.per_minute,
            "tokens_per_minute": self.pacing.tokens.per_minute,
            "max_retries": self.max_retries,
            "timeout": self.timeout_s,
            "deadline": self.deadline_s,
            "max_failed": self.max_failed,
            "budget": self.budget and str(self.budget),
            "retry_failed": self.retry_failed or None,
            "keep_files": self.provider.keep_files or None,
        }
        return {name: value for name, value in options.items() if value not in (None, {})}

    def _check_choices(self) -> None:
        for name, value, choices in (
            ("mode", self.mode, get_args(DispatchMode)),
            ("order", self.order, get_args(Order)),
        ):
            if value not in choices:
                raise ConfigurationError(
                    f"{name} must be one of {', '.join(choices)}, not {value!r}"
                )
        if self.concurrency != "auto" and not _is_number(self.concurrency, 1):
            raise ConfigurationError(
                f"concurrency must be 'auto' or a number from 1, not {self.concurrency!r}"
            )
        _check_kind("budget", self.budget, Budget)
        _check_kind("pacing", self.pacing, RateLimiter)
        if self.prices is not None:
            from tunesmith.datasets.cost import Prices  # noqa: PLC0415

            _check_kind("prices", self.prices, Prices)

    def _check_numbers(self) -> None:
        for name, value, minimum in (
            ("max_retries", self.max_retries, 0),
            ("max_failed", self.max_failed, 1),
            ("fsync_interval", self.fsync_interval_s, 0),
            ("fsync_rows", self.fsync_rows, 1),
        ):
            if value is not None and not _is_number(value, minimum):
                raise ConfigurationError(f"{name} must be a number from {minimum}, not {value!r}")
        for name, value in (
            ("timeout", self.timeout_s),
            ("deadline", self.deadline_s),
            ("poll_interval", self.provider.poll_s),
        ):
            if value is not None and (value == 0 or not _is_number(value, 0)):
                raise ConfigurationError(
                    f"{name} must be a number of seconds above 0, not {value!r}"
                )


def _check_kind(name: str, value: object, kind: type) -> None:
    if value is not None and not isinstance(value, kind):
        raise ConfigurationError(f"{name} must be a {kind.__name__}, not {value!r}")


def _is_number(value: object, minimum: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= minimum


def job_settings(
    model: str | None,
    endpoint: str | None,
    template: object,
    params: Mapping[str, Any] | None,
    response_format: type[Any] | None,
    order: Order,
) -> dict[str, Any]:
    """Return the settings that a resumed run must repeat, as in the journal."""
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
