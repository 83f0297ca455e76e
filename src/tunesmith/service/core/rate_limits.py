"""How much may be asked: requests and tokens a minute for each model, and a quota in all."""

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
from tunesmith.service.core.errors import ServiceError

__all__ = ["RateLimiter", "ServiceLimits"]

_MINUTE_S = 60.0
_CHARS_PER_TOKEN = 4
_MINIMUMS: Mapping[str, int] = {"requests_per_minute": 1, "tokens_per_minute": 1, "quota_tokens": 0}
_SHORT: Mapping[str, str] = {"requests": "RPM", "tokens": "TPM"}


@dataclass(frozen=True, slots=True)
class ServiceLimits:
    """How much a service lets through; None for no limit.

    Tokens are counted as the real service counts them beforehand: the larger of `max_tokens` and a
    quarter of the characters. Batches are free, as theirs is a limit of its own.

    Args:
        requests_per_minute: Completions, chats and embeddings, for each model.
        tokens_per_minute: The same in tokens.
        quota_tokens: After so many tokens in all, everything that costs is `insufficient_quota`.

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
        for name, least in _MINIMUMS.items():
            limit: int | None = getattr(self, name)
            if limit is not None and limit < least:
                raise ValueError(f"{name} is {least} or more, or None for no limit, not {limit}")


class RateLimiter:
    """Lets operations through, or refuses them with 429.

    Args:
        limits: How much is let through.
        clock: Tells when there is room again.
        organization: Whom the limits are for.
    """

    def __init__(self, limits: ServiceLimits, clock: Clock, organization: str) -> None:
        self._clock = clock
        self._organization = organization
        self._quota_tokens = limits.quota_tokens
        self._per_minute: dict[str, int] = {}
        if limits.requests_per_minute is not None:
            self._per_minute["requests"] = limits.requests_per_minute
        if limits.tokens_per_minute is not None:
            self._per_minute["tokens"] = limits.tokens_per_minute
        self._buckets: dict[tuple[str, str], _TokenBucket] = {}
        self._used_tokens = 0

    def admit(self, operation: Operation[Any]) -> Mapping[str, str]:
        """Let an operation through.

        Returns:
            Headers for its answer.

        Raises:
            ServiceError: 429, with its headers; nothing is counted then.
        """
        if isinstance(operation, CreateFineTuningJob | CreateFineTune):
            self._check_quota()
        if not isinstance(operation, CreateCompletion | CreateChatCompletion | CreateEmbedding):
            return {}
        self._check_quota()
        wanted: dict[str, int] = {"requests": 1, "tokens": _tokens_of(operation)}
        buckets = {unit: self._bucket(operation.model, unit) for unit in self._per_minute}
        now = self._clock.monotonic()
        for unit, bucket in buckets.items():
            wait_s = bucket.wait_s(wanted[unit], now)
            if wait_s > 0:
                headers = _headers(buckets, now)
                raise self._rate_limit_error(
                    operation.model, unit, bucket, wanted[unit], wait_s, headers
                )
        for unit, bucket in buckets.items():
            bucket.take(wanted[unit])
        self._used_tokens += wanted["tokens"]
        return _headers(buckets, now)

    def _bucket(self, model: str, unit: str) -> "_TokenBucket":
        per_minute = self._per_minute[unit]
        return self._buckets.setdefault((model, unit), _TokenBucket(per_minute))

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

    def _rate_limit_error(
        self,
        model: str,
        unit: str,
        bucket: "_TokenBucket",
        wanted: int,
        wait_s: float,
        headers: Mapping[str, str],
    ) -> ServiceError:
        limit = f"{unit} per min ({_SHORT[unit]}): Limit {bucket.per_minute}"
        whom = f"{model} in organization {self._organization} on {limit}"
        if math.isinf(wait_s):
            message = (
                f"Request too large for {whom}, Requested {wanted}. The input or output tokens "
                "must be reduced in order to run successfully."
            )
        else:
            used = bucket.per_minute - bucket.left
            message = (
                f"Rate limit reached for {whom}, Used {used}, Requested {wanted}. "
                f"Please try again in {_duration(wait_s)}."
            )
            headers = {
                **headers,
                "retry-after": str(math.ceil(wait_s)),
                "retry-after-ms": str(math.ceil(wait_s * 1000)),
            }
        return ServiceError(429, message, type=unit, code="rate_limit_exceeded", headers=headers)


class _TokenBucket:
    """So much may be taken in a minute; what was taken comes back steadily."""

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        self._level = float(per_minute)
        self._at = 0.0

    @property
    def left(self) -> int:
        return int(self._level)

    def wait_s(self, wanted: int, now: float) -> float:
        """Tell how long until so much can be taken; infinite if never."""
        refilled = self._level + (now - self._at) * self.per_minute / _MINUTE_S
        # Rounded, as one who waits for just as long as told must not come too early.
        self._level, self._at = min(float(self.per_minute), round(refilled, 6)), now
        if wanted > self.per_minute:
            return math.inf
        return max(wanted - self._level, 0.0) * _MINUTE_S / self.per_minute

    def take(self, wanted: int) -> None:
        self._level -= wanted

    def reset_s(self) -> float:
        return (self.per_minute - self._level) * _MINUTE_S / self.per_minute


def _headers(buckets: Mapping[str, _TokenBucket], now: float) -> dict[str, str]:
    headers: dict[str, str] = {}
    for unit, bucket in buckets.items():
        bucket.wait_s(0, now)
        headers[f"x-ratelimit-limit-{unit}"] = str(bucket.per_minute)
        headers[f"x-ratelimit-remaining-{unit}"] = str(bucket.left)
        headers[f"x-ratelimit-reset-{unit}"] = _duration(bucket.reset_s())
    return headers


def _duration(seconds: float) -> str:
    """Write a time as the headers do: `120ms`, `7.66s`, `6m0s`."""
    if seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    minutes, rest = divmod(math.ceil(seconds * 1000) / 1000, 60)
    return f"{minutes:.0f}m{rest:g}s" if minutes else f"{rest:g}s"


def _tokens_of(asked: CreateCompletion | CreateChatCompletion | CreateEmbedding) -> int:
    if isinstance(asked, CreateEmbedding):
        return _estimated(asked.input)
    if isinstance(asked, CreateCompletion):
        return max(asked.max_tokens or 0, _estimated(asked.prompt))
    return max(asked.max_completion_tokens or asked.max_tokens or 0, _estimated(asked.messages))


def _estimated(text: object) -> int:
    chars = len(text) if isinstance(text, str) else len(to_json(text))
    return math.ceil(chars / _CHARS_PER_TOKEN)
