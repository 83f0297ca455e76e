"""Counts what a job does, in flat memory."""

from collections import deque
from dataclasses import replace
from math import ceil, log

from tunesmith.batch.report import FailureCause
from tunesmith.batch.results import Result, RowError, Usage

__all__ = ["JobMetrics"]

_BUCKET_RATIO = 1.05
"""Latencies are kept to a twentieth."""

_MOST_CAUSES = 20
_LONGEST_MESSAGE = 300

_RATE_WINDOW = 16
"""The present rate is that since so many looks ago."""


class JobMetrics:
    """Counts rows, requests, tokens and latencies.

    Attributes:
        done: Rows that were answered.
        failed: Rows that failed.
        requests: Requests that were sent, retries included.
        refused: Requests that were answered by 429.
        retried: Requests that were sent again after another failure.
        trouble: Why a request was last sent again; None if none was.
        usage: Tokens that were paid.
    """

    def __init__(self, now: float) -> None:
        self.done = 0
        self.failed = 0
        self.requests = 0
        self.refused = 0
        self.retried = 0
        self.trouble: str | None = None
        self.prompt_tokens = 0
        self.answer_tokens = 0
        self._began_at = now
        self._latencies: dict[int, int] = {}
        self._answers = 0
        self._waited_s = 0.0
        self._longest_s: float | None = None
        self._causes: dict[str, FailureCause] = {}
        self._looks: deque[tuple[float, int]] = deque([(now, 0)], maxlen=_RATE_WINDOW)
        self._waited_before = (0, 0.0)

    @property
    def usage(self) -> Usage:
        """Tokens that were paid."""
        return Usage(self.prompt_tokens, self.answer_tokens)

    @property
    def mean_answer_tokens(self) -> float:
        """How many tokens answers have had."""
        return self.answer_tokens / self._answers if self._answers else 0.0

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
        self.prompt_tokens += usage.prompt
        self.answer_tokens += usage.completion

    def on_retry(self, why: str, rows: int = 1) -> None:
        """Count rows that are sent again after a failure."""
        self.retried += rows
        self.trouble = why

    def on_result(self, result: Result) -> None:
        """Count a row that has its outcome."""
        if result.ok:
            self.done += 1
        else:
            self.failed += 1
            self._note(result.error or RowError("unknown", "no reason is known"))

    def causes(self) -> tuple[FailureCause, ...]:
        """Why rows failed, the most frequent cause first."""
        return tuple(sorted(self._causes.values(), key=lambda cause: -cause.rows))

    def _note(self, error: RowError) -> None:
        code = error.code
        if code not in self._causes and len(self._causes) >= _MOST_CAUSES:
            code = "other"
        before = self._causes.get(code) or FailureCause(code, error.message[:_LONGEST_MESSAGE], 0)
        self._causes[code] = replace(before, rows=before.rows + 1)

    def elapsed_s(self, now: float) -> float:
        """Seconds since the run began."""
        return now - self._began_at

    def rate(self, now: float) -> float:
        """Rows that got their outcome, a second, lately."""
        count = self.done + self.failed
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
