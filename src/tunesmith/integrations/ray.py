"""Batch jobs on Ray: each shard of a Dataset is a job with a journal, all share a rate limiter.

Needs the extra `ray`. Ray splits the rows, starts workers and repeats lost shards.
"""

import hashlib
import time
from collections.abc import Callable, Mapping
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import anyio
from pydantic_core import from_json, to_json

from tunesmith._extras import import_extra
from tunesmith.batch.job import BatchJob
from tunesmith.batch.lock import is_locked
from tunesmith.batch.output import JobPaths
from tunesmith.batch.rate_limiter import RateLimiter
from tunesmith.batch.requests import Template
from tunesmith.batch.results import Result
from tunesmith.client import AsyncClient
from tunesmith.errors import ConfigurationError

if TYPE_CHECKING:
    import ray.data

__all__ = [
    "DistributedRateLimiter",
    "RateLimiterActor",
    "ShardJob",
    "map_completions",
    "shared_pacing",
]

_COLUMNS = ("answer", "answer_body", "error")


def map_completions(
    dataset: "ray.data.Dataset",
    folder: str | PathLike[str],
    *,
    client: Callable[[], AsyncClient],
    model: str | None = None,
    endpoint: str | None = None,
    template: Template | None = None,
    params: Mapping[str, Any] | None = None,
    concurrency: int | Literal["auto"] = "auto",
    max_retries: int = 5,
    timeout: float | None = None,
    requests_per_minute: float | None = None,
    tokens_per_minute: float | None = None,
    rate_limiter_name: str = "tunesmith",
    workers: int = 2,
    shard_rows: int = 1000,
) -> "ray.data.Dataset":
    """Complete each row of a Ray Dataset.

    Failed rows have an `error`. A shard that Ray repeats, after the loss of a worker or in another
    run, is resumed from its journal.

    Args:
        dataset: The rows; their columns are the fields of a row of `tunesmith.batch.BatchJob`.
        folder: The folder for journals and responses. Workers on several machines need a shared
            one that supports file locks.
        client: Creates the client of a worker; it must be picklable.
        model: The model of rows without one.
        endpoint: The endpoint of rows without one, such as `/v1/chat/completions`.
        template: Builds the request from a row's columns.
        params: Parameters of rows that do not have them.
        concurrency: Maximum requests in flight per worker.
        max_retries: Maximum retries of a row after transient failures.
        timeout: Maximum duration of one attempt.
        requests_per_minute: The request limit of all workers; learned if None.
        tokens_per_minute: The token limit of all workers; learned if None.
        rate_limiter_name: The name of the rate limiter's actor; Datasets with the same name share
            it.
        workers: Number of workers.
        shard_rows: Rows per shard.

    Returns:
        The Dataset with three more columns: `answer`, the text; `answer_body`, the whole response
        as JSON; `error`, the reason for a missing one.

    Raises:
        ConfigurationError: Ray is not installed, or the rate limiter exists with other limits.

    Example:
        ```text
        import ray

        from tunesmith import AsyncClient
        from tunesmith.integrations.ray import map_completions

        rows = ray.data.read_parquet("prompts.parquet")
        map_completions(
            rows, "/shared/answers", client=AsyncClient, model="davinci-002", workers=8
        ).write_parquet("/shared/answered")
        ```
    """
    data = import_extra("ray.data", "ray", "Jobs on Ray")
    options = {
        "model": model,
        "endpoint": endpoint,
        "template": template,
        "params": dict(params or {}),
        "concurrency": concurrency,
        "max_retries": max_retries,
        "timeout": timeout,
    }
    return dataset.map_batches(  # pyright: ignore[reportUnknownMemberType] - Ray's types have gaps
        ShardJob,
        fn_constructor_args=(
            Path(folder).resolve(),
            client,
            shared_pacing(rate_limiter_name, requests_per_minute, tokens_per_minute),
            options,
        ),
        batch_size=shard_rows,
        batch_format="pyarrow",
        compute=data.ActorPoolStrategy(size=workers),
    )


class ShardJob:
    """Worker that completes shards, each by its own batch job; called by `map_batches`.

    Args:
        folder: The folder for journals and responses.
        client: Creates a client.
        pacing: The shared rate limiter.
        options: Further options of the jobs.
    """

    def __init__(
        self,
        folder: Path,
        client: Callable[[], AsyncClient],
        pacing: RateLimiter,
        options: Mapping[str, Any],
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._client = client
        self._pacing = pacing
        self._options = options

    def __call__(self, shard: Any) -> Any:
        """Complete the rows of a shard.

        Args:
            shard: A table of pyarrow, which is untyped.

        Returns:
            The table with three more columns.

        Raises:
            ConfigurationError: A column has a reserved name.
            TunesmithError: The job failed, for example because of an invalid key.
        """
        arrow = import_extra("pyarrow", "ray", "Jobs on Ray")
        for name in _COLUMNS:
            if name in shard.column_names:
                raise ConfigurationError(f"column {name!r} already exists; rename it")
        rows: list[dict[str, Any]] = shard.to_pylist()
        # Named by content, since Ray may give the shard to another worker or repeat it later.
        digest = hashlib.sha256(to_json(rows, bytes_mode="base64", fallback=repr)).hexdigest()
        output = self._folder / f"{digest[:32]}.jsonl"
        requests = [{**row, "custom_id": str(index)} for index, row in enumerate(rows)]
        anyio.run(partial(self._answer, requests, output))
        outcomes = _read(JobPaths(output))
        for index, name in enumerate(_COLUMNS):
            values = [outcomes[str(row)][index] for row in range(len(rows))]
            shard = shard.append_column(name, arrow.array(values, arrow.string()))
        return shard

    async def _answer(self, rows: list[dict[str, Any]], output: Path) -> None:
        journal = output.with_suffix(".journal")
        # A shard with the same rows is in progress; its results are shared.
        while journal.exists() and is_locked(journal):  # noqa: ASYNC110 - by another process
            await anyio.sleep(1)
        async with (
            self._client() as client,
            BatchJob(
                rows,
                output,
                client=client,
                pacing=self._pacing,
                resume=True,
                handle_signals=False,
                **self._options,
            ) as job,
        ):
            report = await job.run()
        if not report.complete:
            raise ConfigurationError(f"{output}: {report}")


class _Outcome(NamedTuple):
    answer: str | None
    answer_body: str | None
    error: str | None


def _read(paths: JobPaths) -> dict[str, _Outcome]:
    """Return the outcome of each row, by its key."""
    outcomes: dict[str, _Outcome] = {}
    for path in (paths.errors, paths.output):
        if path.exists():
            with path.open("rb") as lines:
                for line in lines:
                    result = Result.from_line(from_json(line))
                    outcomes[result.key] = _outcome(result)
    return outcomes


def _outcome(result: Result) -> _Outcome:
    body = result.body.decode() if result.body else None
    error = f"{result.error.code}: {result.error.message}" if result.error else None
    return _Outcome(result.text, body, error)


class RateLimiterActor:
    """Rate limiter of workers in other processes; runs in a Ray actor.

    Args:
        requests_per_minute: The request limit; None to learn it.
        tokens_per_minute: The token limit; None to learn it.
        now: Returns the time in seconds.
    """

    def __init__(
        self,
        requests_per_minute: float | None,
        tokens_per_minute: float | None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits = (requests_per_minute, tokens_per_minute)
        self._pacing = RateLimiter(requests_per_minute, tokens_per_minute)
        self._now = now

    def limits(self) -> tuple[float | None, float | None]:
        """Return the configured limits."""
        return self._limits

    def acquire(self, tokens: float) -> float:
        """Acquire a permit and return 0, or return the seconds after which to try again."""
        wait_s = max(self._pacing.wait_s(tokens, self._now()), 0.0)
        if not wait_s:
            self._pacing.sent(tokens)
        return wait_s

    def record_usage(self, tokens: float, actual: float) -> None:
        """Record the tokens that a request used."""
        self._pacing.record_usage(tokens, actual)

    def update_from_headers(self, headers: Mapping[str, str]) -> None:
        """Update the limits from response headers."""
        self._pacing.update_from_headers(headers, self._now())

    def on_success(self, ago_s: float) -> None:
        """Record the success of a request that was sent `ago_s` seconds ago."""
        self._pacing.on_success(self._now() - ago_s)

    def on_rate_limited(self, ago_s: float, retry_after_s: float | None) -> None:
        """Slow down all workers after a 429 for a request that was sent `ago_s` seconds ago."""
        now = self._now()
        self._pacing.on_rate_limited(now - ago_s, retry_after_s, now)

    def pause(self, seconds: float) -> None:
        """Pause all workers."""
        self._pacing.pause(seconds, self._now())


class DistributedRateLimiter(RateLimiter):
    """Rate limiter of a worker, which delegates to an actor.

    Args:
        actor: The actor's handle.
    """

    def __init__(self, actor: Any) -> None:
        super().__init__()
        self._actor = actor

    def wait_s(self, tokens: float, now: float) -> float:  # noqa: ARG002 - the actor has a clock
        """Acquire a permit of the actor; see `RateLimiter.wait_s`."""
        ray = import_extra("ray", "ray", "Jobs on Ray")
        # Blocks the event loop for about a millisecond.
        wait_s: float = ray.get(self._actor.acquire.remote(tokens))
        return wait_s

    def sent(self, tokens: float) -> None:
        """Do nothing, since the actor counted the request in `acquire`."""

    def record_usage(self, tokens: float, actual: float) -> None:
        """Notify the actor; see `RateLimiter.record_usage`."""
        self._actor.record_usage.remote(tokens, actual)

    def update_from_headers(self, headers: Mapping[str, str], now: float) -> None:
        """Notify the actor; see `RateLimiter.update_from_headers`."""
        super().update_from_headers(headers, now)
        limits = {name: value for name, value in headers.items() if name.startswith("x-ratelimit-")}
        if limits:
            self._actor.update_from_headers.remote(limits)

    def on_success(self, sent_at: float) -> None:
        """Notify the actor after a 429; see `RateLimiter.on_success`."""
        if self._refusals:
            self._actor.on_success.remote(0.0)
        super().on_success(sent_at)

    def on_rate_limited(self, sent_at: float, retry_after_s: float | None, now: float) -> bool:
        """Notify the actor; see `RateLimiter.on_rate_limited`."""
        self._actor.on_rate_limited.remote(now - sent_at, retry_after_s)
        return super().on_rate_limited(sent_at, retry_after_s, now)

    def pause(self, seconds: float, now: float) -> None:
        """Notify the actor; see `RateLimiter.pause`."""
        super().pause(seconds, now)
        self._actor.pause.remote(seconds)


def shared_pacing(
    name: str,
    requests_per_minute: float | None = None,
    tokens_per_minute: float | None = None,
) -> DistributedRateLimiter:
    """Return the rate limiter with a name; create it if needed.

    Args:
        name: The actor's name.
        requests_per_minute: The request limit; None to learn it.
        tokens_per_minute: The token limit; None to learn it.

    Raises:
        ConfigurationError: Ray is not installed, or the rate limiter exists with other limits.
    """
    ray = import_extra("ray", "ray", "Jobs on Ray")
    limits = (requests_per_minute, tokens_per_minute)
    actor = ray.remote(RateLimiterActor).options(name=name, get_if_exists=True, num_cpus=0)
    handle = actor.remote(*limits)
    existing = ray.get(handle.limits.remote())
    if existing != limits:
        raise ConfigurationError(
            f"rate limiter {name!r} exists with (requests, tokens) per minute of {existing}, not "
            f"{limits}; use the same limits or another rate_limiter_name"
        )
    return DistributedRateLimiter(handle)
