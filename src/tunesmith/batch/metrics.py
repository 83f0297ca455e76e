"""Metrics of a run, in flat memory."""

from collections import deque
from dataclasses import replace
from math import ceil, log

from tunesmith.batch.report import FailureCause
from tunesmith.batch.results import RowError, Usage

__all__ = ["JobMetrics"]

_BUCKET_RATIO = 1.05
"""Latencies are kept to a twentieth."""

_MAX_CAUSES = 20
_MAX_MESSAGE = 300

_RATE_WINDOW = 16
"""The present rate is that since so many looks ago."""


class JobMetrics:
    """Latencies, tokens, rates and causes of failures.

    Args:
        now: When the run began.
    """

    def __init__(self, now: float) -> None:
        self.usage = Usage()
        self._began_at = now
        self._latencies: dict[int, int] = {}
        self._answers = 0
        self._waited_s = 0.0
        self._longest_s: float | None = None
        self._causes: dict[str, FailureCause] = {}
        self._looks: deque[tuple[float, int]] = deque([(now, 0)], maxlen=_RATE_WINDOW)
        self._waited_before = (0, 0.0)

    def on_answer(self, latency_s: float, usage: Usage) -> None:
        """Count an answer that was paid."""
        step = ceil(log(max(latency_s, 1e-6), _BUCKET_RATIO))
        self._latencies[step] = self._latencies.get(step, 0) + 1
        self._longest_s = max(self._longest_s or 0.0, latency_s)
        self._answers += 1
        self._waited_s += latency_s
        self.add_usage(usage)

    def add_usage(self, usage: Usage) -> None:
        """Count tokens that were paid."""
        self.usage += usage

    def on_failure(self, error: RowError) -> None:
        """Count a row that failed."""
        code = error.code
        if code not in self._causes and len(self._causes) >= _MAX_CAUSES:
            code = "other"
        cause = self._causes.get(code) or FailureCause(code, error.message[:_MAX_MESSAGE], 0)
        self._causes[code] = replace(cause, rows=cause.rows + 1)

    def causes(self) -> tuple[FailureCause, ...]:
        """Why rows failed, the most frequent cause first."""
        return tuple(sorted(self._causes.values(), key=lambda cause: -cause.rows))

    def elapsed_s(self, now: float) -> float:
        """Seconds since the run began."""
        return now - self._began_at

    def rate(self, now: float, count: int) -> float:
        """Return the rows that lately got their outcome, a second; `count` is that of all."""
        if now > self._looks[-1][0]:
            self._looks.append((now, count))
        at, before = self._looks[0]
        return (count - before) / (now - at) if now > at else 0.0

    def recent_latency_s(self) -> float | None:
        """In how many seconds answers came on average since the last time this was asked."""
        answers, waited_s = self._waited_before
        self._waited_before = self._answers, self._waited_s
        if self._answers == answers:
            return None
        return (self._waited_s - waited_s) / (self._answers - answers)

    def latency_s(self, share: float) -> float | None:
        """In how many seconds so large a share of answers came; None if none came."""
        wanted = share * self._answers
        for step in sorted(self._latencies):
            wanted -= self._latencies[step]
            if wanted <= 0:
                return min(_BUCKET_RATIO**step, self._longest_s or 0.0)
        return self._longest_s
