"""A shell for the core, as thin as the real one, where every latency and fault is simulated."""

import heapq
import json
from dataclasses import fields
from math import inf

from tests.simulation.disk import DiskFullError

from tunesmith.batch.concurrency import AdaptiveConcurrency
from tunesmith.batch.core import decisions as do
from tunesmith.batch.core.attempts import AttemptOutcome, OutcomeKind
from tunesmith.batch.core.core import JobCore
from tunesmith.batch.core.entries import (
    BatchDuplicate,
    RowSent,
    ShardWritten,
    encode_entry,
    parse_entry,
)
from tunesmith.batch.core.ledger import Ledger, Usage
from tunesmith.batch.core.state import CoreOptions, JobState
from tunesmith.batch.core.states import FINISHED, Failure, OpenRow, RowRecord, Shard, ShardKind
from tunesmith.batch.core.throttle import Throttle
from tunesmith.batch.rate_limiter import RateLimiter

MAX_STEPS = 30_000


class ViolationError(AssertionError):
    """An invariant does not hold."""


class Table(dict):
    """The table of keys, in memory."""

    def put(self, key, record):
        self[key] = record


class World:
    """One run of a job on a disk and a service that outlive it."""

    def __init__(self, rng, disk, service, settings, now, story):
        self.rng = rng
        self.disk = disk
        self.service = service
        self.settings = settings
        self.now = now
        self.story = story
        self.heap = []
        self.steps = 0
        self.timer = None
        self.checked = None
        self.open_shards = {}
        self.source = None
        self.sweeps = {}
        self.flights = {}
        self.handlers = {
            do.Record: self.record,
            do.Sync: self.sync,
            do.Send: self.send,
            do.Finish: self.finish,
            do.Skip: self.skip,
            do.WaitUntil: self.wait_until,
            do.Stop: self.stop,
            do.WriteToShard: self.write_to_shard,
            do.CloseFiles: self.close_files,
            do.CancelDuplicate: self.cancel_duplicate,
            do.Work: self.work,
        }
        budget = settings.budget
        self.core = JobCore(
            JobState(
                CoreOptions(
                    max_retries=settings.max_retries,
                    deadline=now + settings.deadline,
                    uses_batches=settings.mode != "live",
                    falls_back=settings.mode == "auto",
                    batches_until=now + settings.patience if settings.mode == "auto" else inf,
                    poll_s=settings.poll_s,
                    enqueued_tokens=settings.enqueued_tokens,
                ),
                Ledger(None if budget is None else lambda usage: usage.total <= budget),
                Throttle(RateLimiter(), AdaptiveConcurrency(settings.concurrency)),
                Table(),
            )
        )

    # --- restoring ---

    def restore(self):
        """Replay the files, as a resumed run does."""
        core, disk = self.core, self.disk
        for line in disk.read("journal"):
            entry = parse_entry(json.loads(line))
            assert entry is not None, line
            assert encode_entry(entry) == line, (entry, line)
            core.replay(entry)
        self.next_shard = 1 + max(self._cut_shards(), default=0)
        for number in sorted(core.batches.shards):
            for key in disk.read(f"shard-{number}"):
                core.restore_shard_row(core.batches.shards[number], key)
        if self.settings.retry_failed:
            for key, _ in disk.read("errors"):
                self.write("journal", encode_entry(core.requeue(key).entry))
            self.sync("journal")
            disk.replace("errors", [])
        for key, usage in disk.read("errors"):
            self.execute(core.restore_outcome(key, usage, is_answer=False))
        for key, usage in disk.read("answers"):
            core.restore_outcome(key, usage, is_answer=True)
        core.finish_restore()
        self.check()

    def _cut_shards(self):
        for line in self.disk.read("journal"):
            data = json.loads(line)
            if "url" in data:
                yield data["shard"]

    # --- running ---

    def run(self):
        """Run until the job is over, or the process dies."""
        try:
            self.restore()
        except DiskFullError:
            self.tell_story("the run is refused: the disk is full")
            return
        self.source = iter(self.settings.source)
        self.at(0.0, self.read_rows)
        if self.settings.stop_after is not None:
            self.at(
                self.settings.stop_after, lambda: self.tell(self.core.state.stop, "interrupted")
            )
        if self.settings.cancel_after is not None:
            self.at(self.settings.cancel_after, lambda: self.tell(self.core.cancel))
        self.tell(self.core.advance, self.now)
        while not self.core.is_over:
            if not self.heap:
                raise ViolationError(
                    f"stuck: nothing is scheduled, and the job is not over {self.where()}"
                )
            self.steps += 1
            if self.steps > MAX_STEPS:
                raise ViolationError(f"no end after {MAX_STEPS} steps {self.where()}")
            due, _, action = heapq.heappop(self.heap)
            self.now = max(self.now, due)
            if self.rng.random() < self.settings.jumps:
                self.now += self.rng.choice([0.1, 5.0, 4000.0])
            if action() is not False and not self.core.is_over:
                self.tell(self.core.advance, self.now)
        self.core.batches.discard_open()
        self.check()
        self.sync("answers"), self.sync("errors"), self.sync("journal")

    def where(self):
        state = self.core.state
        return {
            "queue": len(state.queue),
            "parked": len(state.parked),
            "in flight": len(self.core.live.in_flight),
            "shards": {n: (s.state.value, s.is_busy) for n, s in self.core.batches.shards.items()},
            "source ended": state.source_ended,
        }

    def at(self, seconds, action):
        """Schedule something."""
        heapq.heappush(self.heap, (self.now + seconds, self.rng.random(), action))

    def tell(self, event, *args, **options):
        """Call a method of the core, and execute its decisions."""
        if self.story is not None and event.__name__ != "advance":
            self.tell_story(event.__name__, *args, *options.values())
        try:
            self.execute(event(*args, **options) or ())
        except DiskFullError:
            self.tell_story("the disk is full")
            self.core.state.stop("error", "the disk is full")
            self.drop_flights()
        self.check()

    def tell_story(self, name, *values):
        """Add a line to the story, if it is wanted."""
        if self.story is not None:
            facts = ", ".join(shortened(value) for value in values if value not in (None, ()))
            self.story.append(f"{self.now:12.3f}  {name} {facts}")

    def drop_flights(self):
        """Leave what is in flight: its outcome could not be written."""
        for key in list(self.core.live.in_flight):
            self.core.live.on_abandoned(self.core.live.in_flight[key])
            self.end_payment(self.flights.pop(key, None), "crashed")

    @staticmethod
    def end_payment(payment, end):
        if payment is not None and payment.end == "pending":
            payment.end = end

    def execute(self, decisions):
        for decision in decisions:
            if self.story is not None and not isinstance(decision, do.WaitUntil):
                self.tell_story(f"  {shortened(decision)}")
            self.handlers[type(decision)](decision)

    def check(self):
        """Check what must hold after every step."""
        ledger, settings = self.core.ledger, self.settings
        for key in self.core.live.in_flight:
            if self.core.state.table.get(key, RowRecord()).state in FINISHED:
                raise ViolationError(f"{key} is in flight though it has its outcome")
        accounts = (ledger.reserved, ledger.paid, ledger.perhaps_paid, ledger.returning)
        facts = (*accounts, self.service.spent, len(settings.excused), len(settings.duplicates))
        if facts == self.checked:
            return
        self.checked = facts
        if not ledger.is_balanced:
            raise ViolationError(f"the ledger is not balanced: {vars_of(ledger)}")
        spent = self.service.spent
        extra = sum(u.total for u in settings.excused)
        if spent > ledger.committed.total + extra:
            raise ViolationError(f"spent {spent}, and the ledger has {vars_of(ledger)}")
        duplicated = sum(
            self.service.rows[key].total
            for batch_id in settings.duplicates
            for key in self.service.batches[batch_id].keys
        )
        budget = settings.budget
        is_checked = budget is not None and not settings.was_over
        if is_checked and ledger.committed.total > budget + duplicated:
            raise ViolationError(f"budget {budget} exceeded: {vars_of(ledger)}")
        if len(self.core.live.in_flight) > 256:
            raise ViolationError("more in flight than allowed")

    # --- disk ---

    def write(self, name, line):
        self.disk.append(name, line)

    def sync(self, name="journal"):
        if isinstance(name, do.Sync):
            returning = self.core.ledger.returning
            for each in ("answers", "errors", "journal"):
                self.disk.sync(each)
            self.core.ledger.release(returning)
            return
        self.disk.sync(name)

    def record(self, decision):
        if isinstance(decision.entry, BatchDuplicate):
            self.settings.duplicates.add(decision.entry.batch_id)
        self.write("journal", encode_entry(decision.entry))

    def finish(self, decision):
        key = decision.key
        if any(key == other for other, _ in self.disk.read("answers")):
            raise ViolationError(f"{key} has two outcomes")
        usage = self.usages.pop(key, None)
        self.write("answers" if decision.failure is None else "errors", (key, usage))

    usages: dict

    def skip(self, decision):
        pass

    # --- live ---

    def read_rows(self):
        while self.core.state.wants_rows:
            row = next(self.source, None)
            if row is None:
                self.core.state.source_ended = True
                return
            key, cost = row
            number = self.core.state.seen
            row = OpenRow(key, number, cost, cost.prompt, cost.completion, 10)
            self.tell(self.core.add_row, row)
            if self.rng.random() < 0.3:
                break
        if self.core.state.stopped is None:
            self.at(self.rng.uniform(0.0, 0.5), self.read_rows)

    def send(self, decision):
        row = decision.row
        self.write("journal", encode_entry(RowSent(row.key, row.reserved)))
        if self.settings.is_strict:
            self.sync("journal")
        self.expect_unpaid(row.key)
        latency, kind, payment = self.service.answer(row.key, self.now)
        self.flights[row.key] = payment
        self.at(latency, lambda: self.land(row, kind, payment))

    def expect_unpaid(self, key):
        """No row is sent whose answer is there, or on its way."""
        if any(key == other for other, _ in self.disk.read("answers")):
            raise ViolationError(f"{key} is sent though its answer is written")
        for payment in self.service.payments:
            if payment.key == key and payment.end == "pending":
                raise ViolationError(f"{key} is sent though another request for it is in flight")
            is_unnamed = (
                key not in self.core.state.retried_unconfirmed and self.settings.names_crashes
            )
            is_crashed = payment.key == key and payment.end == "crashed"
            if is_crashed and is_unnamed and payment not in self.settings.unnamed:
                raise ViolationError(f"{key} is sent again after a crash, and is not named")

    def land(self, row, kind, payment):
        key = row.key
        if key not in self.core.live.in_flight:
            return
        self.flights.pop(key, None)
        failure = Failure(kind, f"simulated {kind}")
        retry_after = self.rng.choice([None, 1.0, 60.0])
        match kind:
            case "answer":
                self.usages[key] = payment.usage
                self.end_attempt(row, OutcomeKind.COMPLETED, payment.usage)
                self.end_payment(payment, "answered")
            case "bare":
                self.usages[key] = None
                self.end_attempt(row, OutcomeKind.COMPLETED)
                self.end_payment(payment, "answered")
            case "unfit":
                self.end_payment(payment, "unfit")
                is_final = self.rng.random() < 0.2
                self.end_attempt(
                    row, OutcomeKind.INVALID, payment.usage, failure=failure, is_final=is_final
                )
            case _:
                self.end_payment(payment, "lost")
                self.end_attempt(
                    row,
                    KINDS[kind],
                    failure=failure,
                    may_be_paid=kind in {"lost", "timeout", "500"},
                    retry_after_s=(retry_after or 5.0) if kind in {"429+", "503"} else None,
                )

    def end_attempt(self, row, kind, usage=None, **facts):
        outcome = AttemptOutcome(kind, self.now, usage, **facts)
        self.tell(self.core.live.on_outcome, row, outcome)

    def wait_until(self, decision):
        if decision.time is not None and (decision.time != self.timer or decision.time <= self.now):
            self.timer = decision.time
            self.at(max(decision.time - self.now, 0.001), lambda: self.ring(decision.time))

    def ring(self, time):
        """Wake up, unless the job waits for another time by now."""
        if time != self.timer:
            return False
        self.timer = None
        return True

    def stop(self, decision):
        pass

    # --- batches ---

    def write_to_shard(self, decision):
        row = decision.row
        kind = ShardKind("/v1/completions", "m", decision.attempt)
        if kind not in self.open_shards:
            self.open_shards[kind] = (self.next_shard, [])
            self.disk.remove(f"shard-{self.next_shard}")
            self.next_shard += 1
        number, rows = self.open_shards[kind]
        rows.append(row)
        self.write(f"shard-{number}", row.key)
        self.core.batches.on_row_written(row, number)
        if len(rows) >= self.settings.shard_rows:
            self.cut(kind)

    def close_files(self, decision):
        for kind in list(self.open_shards):
            self.cut(kind)

    def cut(self, kind):
        number, rows = self.open_shards.pop(kind)
        self.sync(f"shard-{number}")
        reserved = sum((row.reserved for row in rows), Usage())
        tokens = sum(row.tokens for row in rows)
        kind = (kind.url, kind.model, kind.attempt)
        entry = ShardWritten(number, *kind, len(rows), tokens, reserved, self.now)
        self.execute(self.core.batches.on_written(entry))

    def call(self, shard, action):
        """Make a call that takes a while, and may fail."""
        number = shard.number

        def done():
            if number not in self.core.batches.shards or self.core.state.stopped:
                return
            if self.service.hits(0.5):
                failure = Failure("503", "simulated failure of a call")
                self.tell(self.core.batches.on_call_failed, shard, failure, self.now)
            else:
                action()

        self.at(self.rng.uniform(0.01, 3.0), done)

    def work(self, decision):
        getattr(self, decision.task.value)(decision.shard)

    def upload(self, shard):
        self.service.uploads += 1
        name = f"file-{self.service.uploads}"
        self.call(shard, lambda: self.tell(self.core.batches.on_uploaded, shard, name))

    def create(self, shard):
        rng = self.rng
        keys = self.disk.read(f"shard-{shard.number}")
        fault = (
            rng.choice(["refused", "lost", "lost", "lost, and done"])
            if self.service.hits(2)
            else None
        )
        batch = None
        if fault in {None, "lost, and done"}:
            for key in keys:
                if not self.settings.may_duplicate:
                    self.expect_unpaid_in_batch(key, shard)
            batch = self.service.create(shard.number, keys, self.now)

        def done():
            if self.core.state.stopped:
                return
            if batch is not None and fault is None:
                self.tell(self.core.batches.on_created, shard, batch.id, self.now)
            else:
                failure = Failure("504", "simulated loss of a creation")
                failed, may_exist = self.core.batches.on_create_failed, fault != "refused"
                self.tell(failed, shard, failure, self.now, may_exist=may_exist)

        self.at(rng.uniform(0.01, 3.0), done)

    def expect_unpaid_in_batch(self, key, shard):
        if any(key == other for other, _ in self.disk.read("answers")) and shard.finished == 0:
            raise ViolationError(f"{key} is put in a batch though its answer is written")
        for payment in self.service.payments:
            if payment.key == key and payment.end == "pending" and payment.batch is not None:
                batch = self.service.batches[payment.batch]
                if batch.shard != shard.number:
                    raise ViolationError(f"{key} is in two batches")
                self.duplicate(batch)

    def duplicate(self, batch):
        """A batch that the list did not show in time: it is paid beside the second one."""
        for payment in batch.payments.values():
            if payment.end == "pending":
                payment.end = "duplicate"
                # Until it turns up in the list, no ledger can have it.
                self.settings.excused.append(payment.usage)

    def look_up(self, shard):
        def done():
            ids = self.service.listed(shard.number, self.now)
            self.tell(self.core.batches.on_listed, shard, ids, self.now)

        self.call(shard, done)

    def poll(self, shard):
        def done():
            batch = self.service.batches[shard.batch_id]
            if batch.vanishes:
                self.tell(self.core.batches.on_gone, shard, self.now)
            elif self.now < batch.ends_at:
                self.tell(self.core.batches.on_polled, shard, self.now)
            else:
                self.end_batch(shard, batch)

        self.call(shard, done)

    def end_batch(self, shard, batch):
        late = batch.files_late > 0
        batch.files_late -= 1
        good = [k for k, kind in batch.results.items() if kind in ANSWERS]
        bad = [k for k, kind in batch.results.items() if kind not in {*ANSWERS, "expired"}]
        failed = batch.end == "failed"
        error = Failure(
            self.rng.choice(["token_limit_exceeded", "invalid_json_line", "other"]), "no"
        )
        line = self.rng.choice([None, 1]) if error.code != "token_limit_exceeded" else None
        self.tell(
            self.core.batches.on_ended,
            shard,
            batch.end,
            self.now,
            output_file_id=None if late or not good else f"output-{batch.id}",
            error_file_id=None if late or len(batch.results) == len(good) else f"error-{batch.id}",
            completed=len(good) if batch.counts else None,
            failed=len(bad) if batch.counts else 0,
            errors=((line, error),) if failed else (),
        )

    def cancel(self, shard):
        def done():
            batch = self.service.batches[shard.batch_id]
            batch.ends_at = min(batch.ends_at, self.now + 100.0)
            self.tell(self.core.batches.on_polled, shard, self.now)

        self.call(shard, done)

    def cancel_duplicate(self, decision):
        self.duplicate(self.service.batches[decision.batch_id])

    def download(self, shard):
        self.call(shard, lambda: self.read_files(shard))

    def read_files(self, shard):
        batch = self.service.batches[shard.batch_id]
        lines = list(batch.results.items())
        if batch.doubled:
            lines += lines[:2]
        self.rng.shuffle(lines)
        if batch.truncated > 0:
            batch.truncated -= 1
            lines = lines[: len(lines) // 2]
        broken = lines[: batch.broken] if not batch.truncated else []
        seen = set()
        for key, kind in lines:
            if self.core.state.stopped:
                return
            if (key, kind) in broken:
                continue
            seen.add(key)
            self.read_result(shard, batch, key, kind)
        failures = tuple(Failure("unreadable_result", "line 1") for _ in broken)
        lines_read, lines = lines, len(seen) + len(set(broken))
        answers = {key for key, kind in lines_read if kind in ANSWERS}
        self.tell(
            self.core.batches.on_files_read,
            shard,
            lines,
            self.now,
            answers=len(answers),
            broken=failures,
        )
        if not self.core.batches.shards.get(shard.number) or shard.state == "collected":
            for payment in batch.payments.values():
                self.end_payment(payment, "lost")

    def read_result(self, shard, batch, key, kind):
        payment = batch.payments.get(key)
        failure = None if kind in {"answer", "bare"} else Failure(kind, f"simulated {kind}")
        usage = payment.usage if payment is not None and kind != "bare" else None
        self.usages[key] = usage
        self.tell(
            self.core.batches.on_result,
            shard,
            key,
            usage,
            failure,
            is_transient=kind in {"500", "unfit", "expired"},
            is_paid=payment is not None,
        )
        self.end_payment(payment, "answered" if failure is None else "unfit")

    def sweep(self, shard):
        rows = list(enumerate(self.disk.read(f"shard-{shard.number}"), 1))

        def go_on():
            if self.core.state.stopped and not shard.failure:
                return
            while rows:
                if not (self.core.state.wants_rows or self.core.batches.is_cancelling):
                    self.at(1.0, go_on)
                    return
                line, key = rows.pop(0)
                cost = self.service.rows[key]
                row = OpenRow(key, 0, cost, cost.prompt, cost.completion, 10)
                self.tell(self.core.batches.on_left_over, shard, row, line)
            self.end_payments(shard)
            self.tell(self.core.batches.on_swept, shard)

        self.at(0.0, go_on)

    def end_payments(self, shard):
        for batch in self.service.batches.values():
            if batch.shard == shard.number:
                for payment in batch.payments.values():
                    self.end_payment(payment, "lost")

    def delete_files(self, shard):
        self.disk.remove(f"shard-{shard.number}")


ANSWERS = {"answer", "unfit", "bare"}

KINDS = {
    "429": OutcomeKind.RATE_LIMITED,
    "429+": OutcomeKind.RATE_LIMITED,
    "503": OutcomeKind.UNAVAILABLE,
    "500": OutcomeKind.TRANSIENT,
    "reset": OutcomeKind.UNREACHABLE,
    "unreachable": OutcomeKind.UNREACHABLE,
    "lost": OutcomeKind.TRANSIENT,
    "timeout": OutcomeKind.TRANSIENT,
    "400": OutcomeKind.FINAL,
}


def vars_of(ledger):
    names = ("reserved", "paid", "perhaps_paid", "returning", "returned")
    return {name: getattr(ledger, name).total for name in names}


def shortened(what):
    """Return a value as a part of the story."""
    if isinstance(what, OpenRow):
        return f"{what.key} (attempt {what.attempts}, {what.state})"
    if isinstance(what, Shard):
        return f"shard {what.number} ({what.state}, reserved {what.reserved.total})"
    if not isinstance(what, do.Decision | AttemptOutcome):
        return str(what)
    values = [getattr(what, field.name) for field in fields(what)]
    shown = ", ".join(shortened(value) for value in values if value not in (None, (), False))
    return f"{type(what).__name__} {shown}"
