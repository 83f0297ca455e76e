"""Counts of a batch: requests and tokens."""

from collections.abc import Iterable, Sequence
from typing import Any

from pydantic_core import to_json

from tunesmith.types.batch_lines import BatchRequestLine, BatchResponseLine
from tunesmith.types.batches import BatchError, BatchRequestCounts, BatchUsage

__all__ = ["add_counts", "estimate_tokens", "slice_size", "sum_usage", "token_limit_error"]

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


def sum_usage(lines: Iterable[BatchResponseLine]) -> BatchUsage:
    """Return the total token usage of responses."""
    counts = [_token_counts(line) for line in lines]
    input_tokens = sum(count[0] for count in counts)
    output_tokens = sum(count[1] for count in counts)
    return BatchUsage(
        input_tokens=input_tokens,
        input_tokens_details={"cached_tokens": 0},
        output_tokens=output_tokens,
        output_tokens_details={"reasoning_tokens": 0},
        total_tokens=input_tokens + output_tokens,
    )


def _token_counts(line: BatchResponseLine) -> tuple[int, int]:
    body: Any = line.response.body if line.response else None
    usage: dict[str, Any] = body.get("usage") or {}
    if "input_tokens" in usage:  # of the Responses API
        return usage["input_tokens"], usage["output_tokens"]
    return usage.get("prompt_tokens", 0), usage.get("completion_tokens", 0)
