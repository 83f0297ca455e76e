"""The Batch API's runner: rows go in shards, and shards in batches that the service works on."""

import logging
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import anyio.to_thread

from tunesmith.batch.admission import AdmissionController
from tunesmith.batch.batch_api.batches import cancel_batch, find_batches, is_transient
from tunesmith.batch.batch_api.collector import Collector, PendingRows
from tunesmith.batch.batch_api.token_quota import TOKEN_LIMIT, EnqueuedTokenQuota
from tunesmith.batch.index import KeyIndex, RowStatus
from tunesmith.batch.journal import Journal
from tunesmith.batch.metrics import JobMetrics
from tunesmith.batch.results import RowError, Usage
from tunesmith.batch.row_queue import RowQueue
from tunesmith.batch.rows import RequestRow
from tunesmith.batch.shard_log import ShardLog, metadata_of
from tunesmith.batch.shards import Shard, ShardWriter
from tunesmith.batch.signal import Notifier
from tunesmith.batch.via import BatchApiOptions
from tunesmith.calls.deadline import Deadline
from tunesmith.client import AsyncClient
from tunesmith.errors import InsufficientQuotaError, TunesmithError
from tunesmith.types.batches import Batch, BatchError

__all__ = ["BatchApiRunner"]

_POLL_BACKOFF = 1.1
_MAX_POLL_BACKOFF = 20.0
"""The pause between two looks grows by so much, up to so many times the given one."""

_MOST_TOLD = 5
"""So many errors of a batch are told in a message."""

_log = logging.getLogger("tunesmith.batch")


class BatchApiRunner:
    """Has rows done by batches of the service.

    Args:
        client: Makes the calls.
        feeder: Gives rows.
        gate: Tells when to stop, and keeps the budget.
        journal: Is told of each shard before it is sent.
        log: The shards, those of earlier runs included.
        index: Is told which rows are in which shard.
        meter: Counts.
        collector: Takes outcomes.
        deadline: The end of the job.
        fail: Takes an error that ends the job.
        options: How batches are made.
    """

    def __init__(
        self,
        *,
        client: AsyncClient,
        feeder: RowQueue,
        gate: AdmissionController,
        journal: Journal,
        log: ShardLog,
        index: KeyIndex,
        meter: JobMetrics,
        collector: Collector,
        deadline: Deadline,
        fail: Callable[[Exception], None],
        options: BatchApiOptions,
    ) -> None:
        self._client = client
        self._feeder = feeder
        self._gate = gate
        self._journal = journal
        self._shards = log
        self._index = index
        self._meter = meter
        self._collector = collector
        self._deadline = deadline
        self._fail = fail
        self._options = options
        self._clock = client.caller.clock
        self._patience = Deadline(self._clock, options.batch_timeout_s, "batch")
        self._room = EnqueuedTokenQuota(options.limits.enqueued_tokens, options.poll_s)
        self._cutter = ShardWriter(
            log.path_of, options.limits, self._room.limit, self._cut, log.next_number
        )
        self._inherited = set(log.shards)
        self._doubtful = {n for n, shard in log.shards.items() if shard.batch_id is None}
        self._filling: anyio.CancelScope | None = None  # it is not made in the event loop
        self._filled = False
        self._news = anyio.Event()
        self._slowness = 1.0
        self._cancelling = False
        self._in_hand: RequestRow | None = None
        self._left: list[Shard] = []
        self._settled = Notifier()

    @property
    def batches(self) -> tuple[str, ...]:
        """The batches that the service works on."""
        return tuple(s.batch_id for s in self._shards.shards.values() if s.batch_id)

    @property
    def rows(self) -> int:
        """How many rows are in them."""
        return sum(s.rows for s in self._shards.shards.values() if s.batch_id)

    def poll_now(self) -> None:
        """Look at the batches now, and not only when it is time again."""
        self._news.set()

    def cancel(self) -> None:
        """Have the service end all batches, and take what they have done."""
        self._cancelling = True
        self.poll_now()

    def reclaimed_rows(self) -> Iterator[RequestRow]:
        """The rows that were taken back, because the service was not done with them in time."""
        if self._in_hand is not None:
            yield self._in_hand
        for shard in self._left:
            yield from self._collector.rows(shard, self._is_new)

    def _is_new(self, key: str) -> bool:
        return self._index.get(key).state is RowStatus.NEW

    async def run(self) -> None:
        """Work until all rows have an outcome, or are taken back, or the gate is closed."""
        if self._shards.job is None:
            self._shards.start_job(self._journal, secrets.token_hex(8))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._fill_shards)
            try:
                while await self._poll_once():
                    await self._wait()
            except TunesmithError as error:
                self._fail(error)
            tasks.cancel_scope.cancel()
        if self._gate.stopped is not None:
            self._cutter.discard()

    # --- rows into shards ---

    async def _fill_shards(self) -> None:
        with anyio.CancelScope() as self._filling:
            try:
                while (row := await self._feeder.get()) is not None:
                    self._in_hand = row
                    if not await self._is_affordable(row):
                        break
                    self._add(row)
                    self._in_hand = None
                if self._gate.stopped is None:
                    self._cutter.flush()
            except TunesmithError as error:
                self._fail(error)
            finally:
                self._filled = True
                self._news.set()

    async def _is_affordable(self, row: RequestRow) -> bool:
        """Wait until the budget allows a row; False if it never will."""
        purse = self._gate.purse
        while purse.budget is not None and not purse.can_afford(purse.max_usage(row)):
            self._cutter.flush()
            if not self._shards.shards:
                self._gate.stop("budget")
                return False
            await self._settled.wait()
        return True

    def _add(self, row: RequestRow, attempt: int = 1) -> None:
        purse = self._gate.purse
        worst = None if purse.budget is None else purse.max_usage(row)
        if worst is not None:
            purse.reserve(worst)
        number = self._cutter.add(row, attempt=attempt, worst=worst)
        self._index.set_position(row.key, row.number, row.line)
        self._index.update([(row.key, RowStatus.IN_BATCH, number, 0)])

    def _cut(self, shard: Shard) -> None:
        shard.created_at = self._clock.time()
        self._shards.add(self._journal, shard)
        self._slowness = 1.0
        self._news.set()

    # --- shards into batches ---

    async def _poll_once(self) -> bool:
        """Do what can be done now; False if nothing is left to be done."""
        self._news = anyio.Event()
        left_s = self._deadline.remaining_s
        if left_s is not None and left_s <= 0:
            self._gate.stop("deadline")
        if self._gate.stopped is not None:
            return False
        if self._is_leaving and self._filling is not None:
            self._filling.cancel()
        if (self._is_leaving and self._filled) or self._feeder.is_blocked:
            self._cutter.flush()
        if not await self._try(self._recover_batches):
            return False
        for shard in list(self._shards.shards.values()):
            if not await self._try(self._advance_shard, shard):
                return False
        if self._shards.shards or not self._filled:
            return True
        if self._cancelling:
            self._gate.stop("cancelled")
        return False

    async def _try(self, work: Callable[..., Any], *args: Any) -> bool:
        """Work at the service, and tell whether to go on.

        What may pass is tried again in the next round.
        """
        try:
            await work(*args)
        except InsufficientQuotaError:
            self._gate.stop("quota")
        except TunesmithError as error:
            if not is_transient(error):
                self._fail(error)
            else:
                _log.warning("%s; the job goes on.", error)
        return self._gate.stopped is None

    @property
    def _is_leaving(self) -> bool:
        """Whether nothing more shall be done by batches."""
        left_s = self._patience.remaining_s
        return self._cancelling or (left_s is not None and left_s <= 0)

    async def _wait(self) -> None:
        # Batches that take hours need not be looked at every minute.
        poll_s = self._options.poll_s * self._slowness
        self._slowness = min(self._slowness * _POLL_BACKOFF, _MAX_POLL_BACKOFF)
        left = (poll_s, self._deadline.remaining_s, self._patience.remaining_s)
        seconds = min(each for each in left if each is not None and each > 0)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._cancel_by_news, tasks.cancel_scope)
            tasks.start_soon(self._cancel_by_stop, tasks.cancel_scope)
            await self._clock.sleep(seconds)
            tasks.cancel_scope.cancel()

    async def _cancel_by_news(self, scope: anyio.CancelScope) -> None:
        await self._news.wait()
        scope.cancel()

    async def _cancel_by_stop(self, scope: anyio.CancelScope) -> None:
        await self._gate.until_stopped()
        scope.cancel()

    async def _recover_batches(self) -> None:
        """Find the batches whose creation was not answered, or was answered to a dead process."""
        shards = [s for n in self._doubtful if (s := self._shards.shards.get(n))]
        if not shards or self._shards.job is None:
            return
        found = await find_batches(self._client, self._shards.job, shards)
        for shard in shards:
            if shard.number in found:
                self._shards.set_batch(self._journal, shard, found[shard.number])
                self._meter.requests += shard.rows
        self._doubtful.clear()

    async def _advance_shard(self, shard: Shard) -> None:
        if shard.batch_id is None:
            if shard.number in self._doubtful:
                return
            if self._is_leaving:
                self._reclaim(shard, self._pending(shard), "not sent")
            elif self._room.allows(shard, self._shards.shards.values(), self._now):
                await self._send(shard)
            return
        batch = await self._client.batches.retrieve(shard.batch_id)
        if not batch.is_over:
            if self._is_leaving:
                await cancel_batch(self._client, batch)
        elif shard.number not in self._inherited or self._feeder.ended or self._filled:
            # Before, nobody knows where the rows of an earlier run stand in the source.
            await self._collect(shard, batch)

    @property
    def _now(self) -> float:
        return self._clock.monotonic()

    async def _send(self, shard: Shard) -> None:
        job = self._shards.job or ""
        await anyio.to_thread.run_sync(self._journal.file.sync)
        name = f"{job}-{shard.number}.jsonl"
        file = await self._client.files.upload(shard.path, purpose="batch", filename=name)
        self._doubtful.add(shard.number)  # until its answer is there
        batch = await self._client.batches.create(
            completion_window="24h",
            endpoint=shard.url,  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
            input_file_id=file.id,
            metadata=metadata_of(job, shard),
        )
        self._shards.set_batch(self._journal, shard, batch.id)
        self._doubtful.discard(shard.number)
        self._meter.requests += shard.rows

    # --- batches into outcomes ---

    async def _collect(self, shard: Shard, batch: Batch) -> None:
        if batch.status == "failed":
            self._refused(shard, batch)
            return
        self._slowness = 1.0
        self._room.on_accepted(shard)
        found = await self._collector.collect(shard, batch)
        if found.rejected_usage.total:
            self._journal.paid(f"shard-{shard.number}", found.rejected_usage)
        self._settle(shard, found.paid)
        self._meter.add_usage(found.paid)
        if batch.status == "cancelled" and not self._is_leaving:
            self._reclaim(shard, found.pending, batch.status)
            self._gate.stop("cancelled")
        elif self._is_leaving:
            self._reclaim(shard, found.pending, batch.status)
        else:
            self._requeue(shard, found.pending, batch.status, shard.attempt + 1)

    def _settle(self, shard: Shard, paid: Usage) -> None:
        self._gate.purse.settle(shard.reserved, paid)
        self._settled.notify()

    def _pending(self, shard: Shard) -> PendingRows:
        return dict.fromkeys(self._collector.pending(shard))

    def _refused(self, shard: Shard, batch: Batch) -> None:
        """Take a batch that the service did not begin, because of what is in its file."""
        errors = batch.errors.data if batch.errors else []
        undone = self._pending(shard)
        self._settle(shard, Usage())
        if any(error.code == TOKEN_LIMIT for error in errors):
            self._too_many_tokens(shard, errors, undone)
            return
        _log.warning("Batch %s failed: %s", batch.id, _format_errors(errors))
        lines = {error.line: error for error in errors if error.line is not None}
        of_all = next((e for e in errors if e.line is None or _affects_all_rows(e)), None)
        is_last = shard.attempt > self._collector.retry.max_retries or not errors
        for number, row in enumerate(self._collector.rows(shard, lambda _: True), 1):
            error = of_all or lines.get(number) or (errors or [BatchError()])[0]
            if row.key in undone and (of_all or number in lines or is_last):
                code, message = error.code or "batch_failed", error.message or "no reason given"
                self._collector.fail(row, RowError(code, message, shard.attempt))
                del undone[row.key]
        self._requeue(shard, undone, "failed", shard.attempt + 1)

    def _too_many_tokens(self, shard: Shard, errors: list[BatchError], undone: PendingRows) -> None:
        """Wait until the service takes more tokens, or cut smaller shards."""
        shards = self._shards.shards.values()
        hopeless = self._room.on_rejected(shard, shards, errors, self._now)
        if hopeless and shard.attempt > self._collector.retry.max_retries:
            for row in self._collector.rows(shard, undone.__contains__):
                self._collector.fail(
                    row, RowError(TOKEN_LIMIT, _format_errors(errors), shard.attempt)
                )
            undone = {}
        self._requeue(shard, undone, TOKEN_LIMIT, shard.attempt + hopeless)

    def _requeue(self, shard: Shard, undone: PendingRows, reason: str, attempt: int) -> None:
        """Put rows in further shards; only then is this one over."""
        if undone:
            for row in self._collector.rows(shard, undone.__contains__):
                asked = undone[row.key]
                self._add(row._replace(body=asked(row.body)) if asked else row, attempt)
            self._meter.on_retry(reason, len(undone))
            self._cutter.flush()
        self._shards.finish(self._journal, shard, reason)
        shard.path.unlink(missing_ok=True)

    def _reclaim(self, shard: Shard, undone: PendingRows, reason: str) -> None:
        """Leave rows to whoever does them otherwise; they are read from the file once more."""
        self._index.update((key, RowStatus.NEW, 0, 0) for key in undone)
        self._shards.finish(self._journal, shard, reason)
        if undone:
            self._left.append(shard)


def _affects_all_rows(error: BatchError) -> bool:
    """Whether what is wrong with a line is wrong with all: they name the same model."""
    return "model" in (error.param or "") or "model" in (error.code or "")


def _format_errors(errors: list[BatchError]) -> str:
    """What is wrong, each thing once: a service may say it of every line."""
    told = list(dict.fromkeys(f"{error.code}: {error.message}" for error in errors))
    more = f"; and {len(told) - _MOST_TOLD} more" if len(told) > _MOST_TOLD else ""
    return "; ".join(told[:_MOST_TOLD]) + more or "no reason given"
