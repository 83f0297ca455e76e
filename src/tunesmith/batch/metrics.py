"""Metrics of a run, in flat memory."""

from collections import deque
from dataclasses import replace
from math import ceil, log

from tunesmith.batch.report import FailureCause
from tunesmith.batch.results import RowError, Usage

__all__ = ["JobMetrics"]

_BUCKET_RATIO = 1.05
"""Latencies are rounded up by at most 5 %."""

_MAX_CAUSES = 20
_MAX_MESSAGE = 300

_RATE_WINDOW = 16
"""Number of samples for the current rate."""


class JobMetrics:
    """Latencies, tokens, rates and causes of failures of a run.

    Args:
        now: Start of the run.
    """

    def __init__(self, now: float) -> None:
        self.usage = Usage()
        self._began_at = now
        self._latencies: dict[int, int] = {}
        self._answers = 0
        self._waited_s = 0.0
        self._longest_s: float | None = None
        self._causes: dict[str, FailureCause] = {}
        self._samples: deque[tuple[float, int]] = deque([(now, 0)], maxlen=_RATE_WINDOW)
        self._waited_before = (0, 0.0)

    def on_answer(self, latency_s: float, usage: Usage) -> None:
        """Count a paid response."""
        step = ceil(log(max(latency_s, 1e-6), _BUCKET_RATIO))
        self._latencies[step] = self._latencies.get(step, 0) + 1
        self._longest_s = max(self._longest_s or 0.0, latency_s)
        self._answers += 1
        self._waited_s += latency_s
        self.add_usage(usage)

    def add_usage(self, usage: Usage) -> None:
        """Count paid tokens."""
        self.usage += usage

    def on_failure(self, error: RowError) -> None:
        """Count a failed row."""
        code = error.code
        if code not in self._causes and len(self._causes) >= _MAX_CAUSES:
            code = "other"
        cause = self._causes.get(code) or FailureCause(code, error.message[:_MAX_MESSAGE], 0)
        self._causes[code] = replace(cause, rows=cause.rows + 1)

    def causes(self) -> tuple[FailureCause, ...]:
        """Return the causes of failed rows, the most frequent first."""
        return tuple(sorted(self._causes.values(), key=lambda cause: -cause.rows))

    def elapsed_s(self, now: float) -> float:
        """Return the seconds since the run began."""
        return now - self._began_at

    def rate(self, now: float, count: int) -> float:
        """Return the rows finished per second, lately; `count` is the number of all."""
        if now > self._samples[-1][0]:
            self._samples.append((now, count))
        began_at, before = self._samples[0]
        return (count - before) / (now - began_at) if now > began_at else 0.0

    def recent_latency_s(self) -> float | None:
        """Return the mean latency in seconds since the last call; None without responses."""
        answers, waited_s = self._waited_before
        self._waited_before = self._answers, self._waited_s
        if self._answers == answers:
            return None
        return (self._waited_s - waited_s) / (self._answers - answers)

    def latency_s(self, quantile: float) -> float | None:
        """Return a quantile of the latency in seconds; None without responses."""
        rank = quantile * self._answers
        for step in sorted(self._latencies):
            rank -= self._latencies[step]
            if rank <= 0:
                return min(_BUCKET_RATIO**step, self._longest_s or 0.0)
        return self._longest_s
