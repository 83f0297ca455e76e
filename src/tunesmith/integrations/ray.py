"""Batch jobs on Ray: each shard of a Dataset is a job with a journal, and all share one pace.

It needs the extra `ray`. Ray divides the rows, starts workers and repeats what was lost; nothing of
that is done here.
"""

import hashlib
import time
from collections.abc import Callable, Mapping
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import anyio
from pydantic_core import to_json

from tunesmith._extras import import_extra
from tunesmith.batch.endpoints import ENDPOINTS
from tunesmith.batch.job import BatchJob
from tunesmith.batch.lock import is_locked
from tunesmith.batch.output import JobPaths
from tunesmith.batch.rate_limiter import RateLimiter
from tunesmith.batch.requests import Template
from tunesmith.batch.results import Result
from tunesmith.client import AsyncClient
from tunesmith.errors import ConfigurationError
from tunesmith.types.batch_lines import BatchResponseLine

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
    """Have a model answer each row of a Ray Dataset.

    Rows that fail are not lost: they come back with an `error`. A shard that Ray does again, be it
    after the loss of a worker or in another run, goes on where it was, by its journal.

    Args:
        dataset: The rows; each one's columns are what a row of `tunesmith.batch.BatchJob` has.
        folder: Where the journals and answers of shards are kept. Workers on several machines need
            one that all of them see, where locks work.
        client: Makes the client of a worker; it must be picklable.
        model: The model of rows that name none.
        endpoint: Where rows go, such as `/v1/chat/completions`.
        template: How a row's columns become a request.
        params: Parameters for rows that do not give them.
        concurrency: How many requests of one worker may be under way at once.
        max_retries: How often a row is sent again after a failure that may pass.
        timeout: Seconds that one attempt may take.
        requests_per_minute: The limit of requests of all workers; without it, it is learned.
        tokens_per_minute: The limit of tokens of all workers; without it, it is learned.
        rate_limiter_name: The name of the actor that keeps the pace: Datasets that name the same
            share it.
        workers: How many workers there are.
        shard_rows: How many rows make up a shard.

    Returns:
        The Dataset with three more columns: `answer`, the text; `answer_body`, all of the answer as
        JSON; `error`, why there is none.

    Raises:
        ConfigurationError: Ray is not installed, or the pace is kept with other limits already.

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
    """Answers shards one after the other, each by a batch job of its own; `map_batches` calls it.

    Args:
        folder: Where journals and answers are kept.
        client: Makes a client.
        pacing: The pace.
        options: What else the jobs get.
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
        """Answer the rows of a shard.

        Args:
            shard: A table of pyarrow, which has no types.

        Returns:
            The table with three more columns.

        Raises:
            ConfigurationError: A column has the name of one that is to be added.
            TunesmithError: The job could not go on, such as for lack of a valid key.
        """
        arrow = import_extra("pyarrow", "ray", "Jobs on Ray")
        for name in _COLUMNS:
            if name in shard.column_names:
                raise ConfigurationError(f"the rows have a column {name!r} already: rename it")
        rows: list[dict[str, Any]] = shard.to_pylist()
        # By what is in it: Ray may give the shard to another worker, and in another run too.
        digest = hashlib.sha256(to_json(rows, bytes_mode="base64", fallback=repr)).hexdigest()
        output = self._folder / f"{digest[:32]}.jsonl"
        requests = [{**row, "custom_id": str(at)} for at, row in enumerate(rows)]
        anyio.run(partial(self._answer, requests, output))
        outcomes = _read(JobPaths(output))
        for at, name in enumerate(_COLUMNS):
            values = [outcomes[str(row)][at] for row in range(len(rows))]
            shard = shard.append_column(name, arrow.array(values, arrow.string()))
        return shard

    async def _answer(self, rows: list[dict[str, Any]], output: Path) -> None:
        journal = output.with_suffix(".journal")
        # A shard with the same rows is at work: its answers are those of this one too.
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
    """Read what came of each row, by its key."""
    found: dict[str, _Outcome] = {}
    for path in (paths.errors, paths.output):
        if path.exists():
            with path.open("rb") as lines:
                for line in lines:
                    told = BatchResponseLine.model_validate_json(line)
                    found[told.custom_id] = _outcome(told)
    return found


def _outcome(line: BatchResponseLine) -> _Outcome:
    # Where it went is of no account for what it says.
    result = Result.from_line(line, number=0, endpoint=ENDPOINTS["/v1/completions"])
    body = result.body.decode() if result.body else None
    error = f"{result.error.code}: {result.error.message}" if result.error else None
    return _Outcome(result.text, body, error)


class RateLimiterActor:
    """Keeps the pace for workers in other processes; it lives in a Ray actor.

    Args:
        requests_per_minute: The limit of requests; None to learn it.
        tokens_per_minute: The limit of tokens; None to learn it.
        now: Gives the time in seconds.
    """

    def __init__(
        self,
        requests_per_minute: float | None,
        tokens_per_minute: float | None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._given = (requests_per_minute, tokens_per_minute)
        self._pacing = RateLimiter(requests_per_minute, tokens_per_minute)
        self._now = now

    def limits(self) -> tuple[float | None, float | None]:
        """The limits that it was given."""
        return self._given

    def acquire(self, tokens: float) -> float:
        """Let a request through, and give 0; or give the seconds until it is worth asking again."""
        wait_s = max(self._pacing.wait_s(tokens, self._now()), 0.0)
        if not wait_s:
            self._pacing.sent(tokens)
        return wait_s

    def settle(self, tokens: float, actual: float) -> None:
        """Note the tokens that a request really took."""
        self._pacing.settle(tokens, actual)

    def update_from_headers(self, headers: Mapping[str, str]) -> None:
        """Learn the limits from an answer's headers."""
        self._pacing.update_from_headers(headers, self._now())

    def on_success(self, ago_s: float) -> None:
        """Note that the service took a request that was sent so many seconds ago."""
        self._pacing.on_success(self._now() - ago_s)

    def on_rate_limited(self, ago_s: float, retry_after_s: float | None) -> None:
        """Slow all workers down for a request that was sent so many seconds ago."""
        now = self._now()
        self._pacing.on_rate_limited(now - ago_s, retry_after_s, now)

    def pause(self, seconds: float) -> None:
        """Let all workers wait."""
        self._pacing.pause(seconds, self._now())


class DistributedRateLimiter(RateLimiter):
    """The pace that an actor keeps, seen from a worker.

    Args:
        keeper: The actor's handle.
    """

    def __init__(self, keeper: Any) -> None:
        super().__init__()
        self._keeper = keeper

    def wait_s(self, tokens: float, now: float) -> float:  # noqa: ARG002 - the actor has a clock
        """Ask the actor; see `RateLimiter.wait_s`."""
        ray = import_extra("ray", "ray", "Jobs on Ray")
        # It takes a millisecond, which the worker's other requests can wait.
        wait_s: float = ray.get(self._keeper.acquire.remote(tokens))
        return wait_s

    def sent(self, tokens: float) -> None:
        """Nothing is left to do: the actor noted it when it let the request through."""

    def settle(self, tokens: float, actual: float) -> None:
        """Tell the actor; see `RateLimiter.settle`."""
        self._keeper.settle.remote(tokens, actual)

    def update_from_headers(self, headers: Mapping[str, str], now: float) -> None:
        """Tell the actor; see `RateLimiter.update_from_headers`."""
        super().update_from_headers(headers, now)
        told = {name: value for name, value in headers.items() if name.startswith("x-ratelimit-")}
        if told:
            self._keeper.update_from_headers.remote(told)

    def on_success(self, sent_at: float) -> None:
        """Tell the actor, if it is news; see `RateLimiter.on_success`."""
        if self._refusals:
            self._keeper.on_success.remote(0.0)
        super().on_success(sent_at)

    def on_rate_limited(self, sent_at: float, retry_after_s: float | None, now: float) -> bool:
        """Tell the actor; see `RateLimiter.on_rate_limited`."""
        self._keeper.on_rate_limited.remote(now - sent_at, retry_after_s)
        return super().on_rate_limited(sent_at, retry_after_s, now)

    def pause(self, seconds: float, now: float) -> None:
        """Tell the actor; see `RateLimiter.pause`."""
        super().pause(seconds, now)
        self._keeper.pause.remote(seconds)


def shared_pacing(
    name: str,
    requests_per_minute: float | None = None,
    tokens_per_minute: float | None = None,
) -> DistributedRateLimiter:
    """Find the pace of a name, or begin to keep it.

    Args:
        name: The actor's name.
        requests_per_minute: The limit of requests; None to learn it.
        tokens_per_minute: The limit of tokens; None to learn it.

    Raises:
        ConfigurationError: Ray is not installed, or the pace is kept with other limits already.
    """
    ray = import_extra("ray", "ray", "Jobs on Ray")
    wanted = (requests_per_minute, tokens_per_minute)
    actor = ray.remote(RateLimiterActor).options(name=name, get_if_exists=True, num_cpus=0)
    keeper = actor.remote(*wanted)
    given = ray.get(keeper.limits.remote())
    if given != wanted:
        raise ConfigurationError(
            f"the pace {name!r} is kept with (requests, tokens) a minute of {given}, not {wanted}: "
            "give the same, or another `pace`"
        )
    return DistributedRateLimiter(keeper)
