"""Counts of a batch: requests and tokens."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import to_json

from tunesmith._json_types import is_object
from tunesmith.types.batch_lines import BatchRequestLine, BatchResponseLine
from tunesmith.types.batches import BatchError, BatchRequestCounts, BatchUsage

__all__ = ["UsageCounter", "add_counts", "estimate_tokens", "slice_size", "token_limit_error"]

_BYTES_PER_TOKEN = 4
_SLICES = 20


def slice_size(n_lines: int) -> int:
    """Return the number of requests that are processed at a time."""
    return max(1, n_lines // _SLICES)


def estimate_tokens(line: BatchRequestLine) -> int:
    """Estimate the input tokens of a request."""
    return len(to_json(line.body)) // _BYTES_PER_TOKEN + 1


def add_counts(
    counts: BatchRequestCounts | None, responses: Sequence[BatchResponseLine]
) -> BatchRequestCounts:
    """Return request counts that include more responses."""
    before = counts or BatchRequestCounts(total=0, completed=0, failed=0)
    completed = sum(response.is_success for response in responses)
    return BatchRequestCounts(
        total=before.total,
        completed=before.completed + completed,
        failed=before.failed + len(responses) - completed,
    )


def token_limit_error(model: str | None, limit: int) -> BatchError:
    """Return the error for too many enqueued tokens."""
    return BatchError(
        code="token_limit_exceeded",
        message=f"Enqueued token limit reached for {model}. Limit: {limit:,} enqueued tokens. "
        "Please try again once some in_progress batches have been completed.",
        param=None,
        line=None,
    )


class UsageCounter:
    """Sum of the token usage of responses."""

    def __init__(self) -> None:
        self._input = self._output = 0

    def add(self, line: BatchResponseLine) -> None:
        """Add the usage of a response."""
        body: Any = line.response.body if line.response else None
        usage: Any = body.get("usage") if is_object(body) else None
        if not is_object(usage):
            return
        # The Responses API has names of its own.
        self._input += _count(usage, "input_tokens", "prompt_tokens")
        self._output += _count(usage, "output_tokens", "completion_tokens")

    def total(self) -> BatchUsage:
        """Return the sum."""
        return BatchUsage(
            input_tokens=self._input,
            input_tokens_details={"cached_tokens": 0},
            output_tokens=self._output,
            output_tokens_details={"reasoning_tokens": 0},
            total_tokens=self._input + self._output,
        )


def _count(usage: Mapping[str, Any], *names: str) -> int:
    counts = (usage.get(name) for name in names)
    return next((count for count in counts if isinstance(count, int)), 0)
