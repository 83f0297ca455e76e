"""Rate limits: requests and tokens per minute for each model, and a quota."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic_core import to_json

from tunesmith.backends.base import Clock
from tunesmith.operations.base import Operation
from tunesmith.operations.chat import CreateChatCompletion
from tunesmith.operations.completions import CreateCompletion
from tunesmith.operations.embeddings import CreateEmbedding
from tunesmith.operations.fine_tunes import CreateFineTune
from tunesmith.operations.fine_tuning import CreateFineTuningJob
from tunesmith.operations.responses import CreateResponse
from tunesmith.service.core.errors import ServiceError

__all__ = ["RateLimiter", "ServiceLimits"]

_MINUTE_S = 60.0
_CHARS_PER_TOKEN = 4
_MINIMUMS: Mapping[str, int] = {"requests_per_minute": 1, "tokens_per_minute": 1, "quota_tokens": 0}
_ABBREVIATIONS: Mapping[str, str] = {"requests": "RPM", "tokens": "TPM"}


@dataclass(frozen=True, slots=True)
class ServiceLimits:
    """Rate limits and quota; None for no limit.

    Tokens are estimated before a request as in the real service: the larger of `max_tokens` and a
    quarter of the characters. Lines of batches are not limited.

    Args:
        requests_per_minute: Completions, chats and embeddings per minute and model.
        tokens_per_minute: Tokens of these per minute and model.
        quota_tokens: Total number of tokens; then requests fail with `insufficient_quota`.

    Raises:
        ValueError: A rate is below 1, or the quota below 0.

    Source: https://platform.openai.com/docs/guides/rate-limits

    Example:
        ```python
        from tunesmith.service.core.rate_limits import ServiceLimits
        from tunesmith.service.service import Service

        service = Service(limits=ServiceLimits(requests_per_minute=3))
        ```
    """

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    quota_tokens: int | None = None

    def __post_init__(self) -> None:
        for name, minimum in _MINIMUMS.items():
            limit: int | None = getattr(self, name)
            if limit is not None and limit < minimum:
                raise ValueError(
                    f"{name} must be at least {minimum}, or None for no limit; got {limit}"
                )


class RateLimiter:
    """Rate limiter of one organization.

    Args:
        limits: The limits.
        clock: The service's time.
        organization: Id of the organization.
    """

    def __init__(self, limits: ServiceLimits, clock: Clock, organization: str) -> None:
        self._clock = clock
        self._organization = organization
        self._quota_tokens = limits.quota_tokens
        rates = {"requests": limits.requests_per_minute, "tokens": limits.tokens_per_minute}
        self._per_minute = {unit: rate for unit, rate in rates.items() if rate is not None}
        self._buckets: dict[tuple[str, str], _TokenBucket] = {}
        self._used_tokens = 0

    def admit(self, operation: Operation[Any]) -> Mapping[str, str]:
        """Admit an operation.

        Returns:
            Headers for its response.

        Raises:
            ServiceError: A limit is exceeded (429); the operation does not count.
        """
        if isinstance(operation, CreateFineTuningJob | CreateFineTune):
            self._check_quota()
        if not isinstance(
            operation, CreateCompletion | CreateChatCompletion | CreateEmbedding | CreateResponse
        ):
            return {}
        self._check_quota()
        requested: dict[str, int] = {"requests": 1, "tokens": _estimate_tokens(operation)}
        buckets = {unit: self._bucket(operation.model, unit) for unit in self._per_minute}
        now = self._clock.monotonic()
        for unit, bucket in buckets.items():
            wait_s = bucket.wait_s(requested[unit], now)
            if wait_s > 0:
                subject = f"{operation.model} in organization {self._organization}"
                error = _rate_limit_error(subject, unit, bucket, requested[unit], wait_s)
                error.headers = {**_headers(buckets, now), **error.headers}
                raise error
        for unit, bucket in buckets.items():
            bucket.take(requested[unit])
        self._used_tokens += requested["tokens"]
        return _headers(buckets, now)

    def _bucket(self, model: str, unit: str) -> "_TokenBucket":
        return self._buckets.setdefault((model, unit), _TokenBucket(self._per_minute[unit]))

    def _check_quota(self) -> None:
        if self._quota_tokens is not None and self._used_tokens >= self._quota_tokens:
            raise ServiceError(
                429,
                "You exceeded your current quota, please check your plan and billing details. For "
                "more information on this error, read the docs: "
                "https://platform.openai.com/docs/guides/error-codes/api-errors.",
                type="insufficient_quota",
                code="insufficient_quota",
            )


class _TokenBucket:
    """Token bucket that refills steadily within a minute."""

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        self._level = float(per_minute)
        self._refilled_at = 0.0

    @property
    def left(self) -> int:
        return int(self._level)

    def wait_s(self, amount: int, now: float) -> float:
        """Return the seconds until an amount is available; infinity if it never is."""
        level = self._level + (now - self._refilled_at) * self.per_minute / _MINUTE_S
        # Rounded, so that a retry after exactly this time is not refused.
        self._level, self._refilled_at = min(float(self.per_minute), round(level, 6)), now
        if amount > self.per_minute:
            return math.inf
        return max(amount - self._level, 0.0) * _MINUTE_S / self.per_minute

    def take(self, amount: int) -> None:
        self._level -= amount

    def reset_s(self) -> float:
        return (self.per_minute - self._level) * _MINUTE_S / self.per_minute


def _rate_limit_error(
    subject: str, unit: str, bucket: _TokenBucket, requested: int, wait_s: float
) -> ServiceError:
    limit = f"{unit} per min ({_ABBREVIATIONS[unit]}): Limit {bucket.per_minute}"
    if math.isinf(wait_s):
        message = (
            f"Request too large for {subject} on {limit}, Requested {requested}. The input or "
            "output tokens must be reduced in order to run successfully."
        )
        return ServiceError(429, message, type=unit, code="rate_limit_exceeded")
    message = (
        f"Rate limit reached for {subject} on {limit}, Used {bucket.per_minute - bucket.left}, "
        f"Requested {requested}. Please try again in {_duration(wait_s)}."
    )
    headers = {
        "retry-after": str(math.ceil(wait_s)),
        "retry-after-ms": str(math.ceil(wait_s * 1000)),
    }
    return ServiceError(429, message, type=unit, code="rate_limit_exceeded", headers=headers)


def _headers(buckets: Mapping[str, _TokenBucket], now: float) -> dict[str, str]:
    headers: dict[str, str] = {}
    for unit, bucket in buckets.items():
        bucket.wait_s(0, now)
        headers[f"x-ratelimit-limit-{unit}"] = str(bucket.per_minute)
        headers[f"x-ratelimit-remaining-{unit}"] = str(bucket.left)
        headers[f"x-ratelimit-reset-{unit}"] = _duration(bucket.reset_s())
    return headers


def _duration(seconds: float) -> str:
    """Format a duration as in the headers: `120ms`, `7.66s`, `6m0s`."""
    if seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    minutes, rest = divmod(math.ceil(seconds * 1000) / 1000, 60)
    return f"{minutes:.0f}m{rest:g}s" if minutes else f"{rest:g}s"


def _estimate_tokens(
    operation: CreateCompletion | CreateChatCompletion | CreateEmbedding | CreateResponse,
) -> int:
    if isinstance(operation, CreateEmbedding):
        return _text_tokens(operation.input)
    if isinstance(operation, CreateResponse):
        return max(operation.max_output_tokens or 0, _text_tokens(operation.input))
    if isinstance(operation, CreateCompletion):
        return max(operation.max_tokens or 0, _text_tokens(operation.prompt))
    max_tokens = operation.max_completion_tokens or operation.max_tokens or 0
    return max(max_tokens, _text_tokens(operation.messages))


def _text_tokens(text: object) -> int:
    n_characters = len(text) if isinstance(text, str) else len(to_json(text))
    return math.ceil(n_characters / _CHARS_PER_TOKEN)
