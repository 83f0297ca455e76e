"""Policy of the calls of a client."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tunesmith.errors import ConfigurationError
from tunesmith.protocol.retry import RetryPolicy

__all__ = ["DEFAULT_MAX_RESPONSE_BYTES", "DEFAULT_TIMEOUT_S", "CallPolicy"]

DEFAULT_TIMEOUT_S = 600.0
"""As in the official SDK: long completions take minutes."""

DEFAULT_MAX_RESPONSE_BYTES = 256 * 1024 * 1024
"""Far above any response of the API, and far below the memory of a machine."""


@dataclass(frozen=True, slots=True)
class CallPolicy:
    """Policy of the calls of a client.

    Args:
        timeout_s: Seconds an attempt may take, or in a stream the next event; None for no limit.
        deadline_s: Seconds a call may take, including attempts, pauses, polls and stream reads;
            None for no limit.
        retry: The retry policy.
        headers: Headers to send with every call, names in lower case.
        query: Query parameters to send with every call.
        max_response_bytes: Maximum size of a response that is read into memory; None for no limit.

    Raises:
        ConfigurationError: A limit is not above 0, or the number of retries is below 0.
    """

    timeout_s: float | None = DEFAULT_TIMEOUT_S
    deadline_s: float | None = None
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    query: Mapping[str, object] = field(default_factory=dict[str, object], repr=False)
    max_response_bytes: int | None = DEFAULT_MAX_RESPONSE_BYTES

    def __post_init__(self) -> None:
        validate_timeout("timeout", self.timeout_s)
        validate_timeout("deadline", self.deadline_s)
        _validate_retries(self.retry.max_retries)
        if self.max_response_bytes is not None and self.max_response_bytes <= 0:
            raise ConfigurationError(
                f"max_response_bytes must be above 0, or None, not {self.max_response_bytes}"
            )


def _validate_retries(retries: object) -> None:
    if not isinstance(retries, int) or retries < 0:
        raise ConfigurationError(f"max_retries must be 0 or more, not {retries!r}")


def validate_timeout(name: str, seconds: object) -> None:
    """Validate a time limit.

    Args:
        name: Name of the option.
        seconds: Value of the option.

    Raises:
        ConfigurationError: The value is neither None nor a number above 0.
    """
    if seconds is not None and not (isinstance(seconds, int | float) and seconds > 0):
        raise ConfigurationError(
            f"{name} must be a number of seconds above 0, or None for no limit, not {seconds!r}"
        )
