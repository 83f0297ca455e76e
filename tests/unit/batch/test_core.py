"""The core: events in, decisions out, without files, network or clock."""

import json
from math import inf

import pytest

from tunesmith.batch.concurrency import AdaptiveConcurrency
from tunesmith.batch.core import decisions as do
from tunesmith.batch.core.attempts import AttemptOutcome, OutcomeKind
from tunesmith.batch.core.core import JobCore
from tunesmith.batch.core.entries import (
    BatchCreating,
    BatchDuplicate,
    JobBegun,
    RowLost,
    RowPaid,
    RowSent,
    RunBegun,
    ShardCollected,
    ShardWritten,
    encode_entry,
    parse_entry,
)
from tunesmith.batch.core.ledger import Ledger, Usage
from tunesmith.batch.core.state import CoreOptions, JobState
from tunesmith.batch.core.states import Failure, OpenRow, RowState, ShardState
from tunesmith.batch.core.throttle import Throttle
from tunesmith.batch.rate_limiter import RateLimiter


class Table(dict):
    def put(self, key, record):
        self[key] = record


def make_core(budget=None, limiter=None, concurrency=4, **options):
    ledger = Ledger(None if budget is None else lambda usage: usage.total <= budget)
    throttle = Throttle(limiter or RateLimiter(), AdaptiveConcurrency(concurrency))
    return JobCore(JobState(CoreOptions(**options), ledger, throttle, Table()))


def row(key, cost=None):
    return OpenRow(key, 0, cost)


def sent(core, now=0.0):
    """Advance until the core waits; the rows that it sends."""
    rows = []
    while True:
        decisions = core.advance(now)
        rows += [d.row for d in decisions if isinstance(d, do.Send)]
        if not any(isinstance(d, do.Send) for d in decisions):
            return rows


def kinds(decisions):
    return [type(decision) for decision in decisions]


# --- entries ---


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        (RowSent("k"), b'{"sent":"k"}'),
        (RowSent("k", Usage(9, 16)), b'{"sent":"k","reserved":[9,16]}'),
        (RowLost("ü"), '{"lost":"ü"}'.encode()),
        (RowPaid("k", Usage(1, 2)), b'{"paid":"k","usage":[1,2]}'),
        (RowPaid("k", Usage(1, 2), 3), b'{"paid":"k","usage":[1,2],"shard":3}'),
        (RunBegun(None), b'{"begun":null}'),
        (BatchCreating(1, Usage(3, 4)), b'{"shard":1,"creating":[3,4]}'),
        (
            ShardCollected(1, "completed", Usage(), 2, Failure("a", "b")),
            b'{"shard":1,"settled":"completed","perhaps":[0,0],"next":2,"failure":["a","b"]}',
        ),
    ],
)
def test_an_entry_is_a_line_and_a_line_is_an_entry(entry, line):
    assert encode_entry(entry) == line + b"\n"
    assert parse_entry(json.loads(line)) == entry


def test_a_journal_of_another_version_is_recognized():
    assert parse_entry({"journal": 1, "anything": "else"}) == JobBegun(1)


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"unknown": 1},
        {"sent": 1},
        {"paid": "k", "usage": [1, -2]},
        {"paid": "k", "usage": "much"},
        {"shard": "one", "batch": "b"},
        {"shard": 1, "batch": None},
    ],
)
def test_an_invalid_line_is_no_entry(data):
    assert parse_entry(data) is None


# --- live rows ---


def test_a_silent_source_wakes_the_core_at_the_deadline():
    core = make_core(deadline=30.0)
    assert core.advance(0.0) == (do.WaitUntil(30.0),)
    assert kinds(core.advance(30.0)) == [do.Stop]
    assert core.is_over


def test_a_silent_source_of_batches_wakes_the_core_at_the_deadline():
    core = make_core(deadline=30.0, uses_batches=True)
    assert core.advance(0.0)[-1] == do.WaitUntil(30.0)
    assert kinds(core.advance(30.0)) == [do.Stop]


def test_a_row_without_room_in_the_budget_waits_for_those_in_flight():
    core = make_core(budget=10)
    for key in "ab":
        core.add_row(row(key, Usage(3, 3)))
    [first] = sent(core)
    outcome = AttemptOutcome(OutcomeKind.COMPLETED, 1.0, Usage(1, 1))
    core.live.on_outcome(first, outcome)
    # What is left of the reservation counts until its entry is safe from a power loss.
    assert core.ledger.returning.total == 4
    assert kinds(core.advance(1.0)) == [do.Sync, do.WaitUntil]
    core.ledger.release(core.ledger.returning)
    assert kinds(core.advance(1.0)) == [do.Send]
    assert core.ledger.committed.total == 2 + 6


def test_the_reservation_of_a_lost_answer_counts_for_ever():
    core = make_core(budget=10)
    core.add_row(row("a", Usage(3, 3)))
    [first] = sent(core)
    failure = Failure("timeout", "too slow")
    outcome = AttemptOutcome(OutcomeKind.TRANSIENT, 1.0, failure=failure, may_be_paid=True)
    decisions = core.live.on_outcome(first, outcome)
    assert decisions == (do.Record(RowLost("a")),)
    assert core.ledger.perhaps_paid == Usage(3, 3)
    assert kinds(core.advance(9.0)) == [do.Stop]
    assert core.state.stopped == "budget"
    assert core.state.unconfirmed == ["a"]


def test_replaying_the_journal_and_the_answers_gives_the_same_money():
    core = make_core(budget=100)
    for key in "abc":
        core.add_row(row(key, Usage(3, 3)))
    lines = [encode_entry(RowSent(each.key, each.reserved)) for each in sent(core)]
    a, b, c = (core.live.in_flight[key] for key in "abc")
    core.live.on_outcome(a, AttemptOutcome(OutcomeKind.COMPLETED, 1.0, Usage(1, 1)))
    invalid = AttemptOutcome(OutcomeKind.INVALID, 1.0, Usage(2, 2), Failure("x", "y"))
    lines += [encode_entry(decision.entry) for decision in core.live.on_outcome(b, invalid)]
    resumed = make_core(budget=100)
    for line in lines:
        resumed.replay(parse_entry(json.loads(line)))
    resumed.restore_outcome("a", Usage(1, 1), is_answer=True)
    resumed.finish_restore()
    assert resumed.ledger.paid == Usage(3, 3)
    assert resumed.ledger.perhaps_paid == c.reserved
    assert resumed.state.table["c"].state is RowState.QUEUED


# --- batches ---


def running_shard(core, rows=2):
    entry = ShardWritten(1, "/v1/completions", "m", 1, rows, 10, Usage(10, 10))
    core.ledger.reserve(entry.reserved)
    core.batches.add(entry)
    shard = core.batches.shards[1]
    for key in "abcdef"[:rows]:
        core.restore_shard_row(shard, key)
    shard.state, shard.batch_id = ShardState.RUNNING, "batch_1"
    return shard


def test_a_file_of_answers_with_fewer_than_counted_is_read_again_though_others_fill_up():
    core = make_core(uses_batches=True)
    shard = running_shard(core)
    core.batches.on_ended(
        shard, "expired", 0.0, output_file_id="out", error_file_id="err", completed=1, failed=0
    )
    # One line, that of the row which expired: no count includes it.
    core.batches.on_files_read(shard, 1, 0.0, answers=0)
    assert shard.state is ShardState.RUNNING
    core.batches.on_ended(shard, "expired", 60.0, output_file_id="out", completed=1)
    core.batches.on_result(shard, "a", Usage(1, 1))
    core.batches.on_files_read(shard, 2, 60.0, answers=1)
    assert shard.state is ShardState.COLLECTED


def test_a_second_batch_of_a_shard_is_cancelled_and_named():
    core = make_core(uses_batches=True)
    shard = running_shard(core)
    decisions = core.batches.on_listed(shard, ("batch_1", "batch_2"), 0.0)
    assert decisions == [
        do.Record(BatchDuplicate(1, "batch_2")),
        do.CancelDuplicate("batch_2"),
    ]
    assert core.state.duplicates == ["batch_2"]
    assert core.batches.on_listed(shard, ("batch_1", "batch_2"), 0.0) == []


def test_results_are_safe_before_any_entry_relies_on_them():
    core = make_core(uses_batches=True)
    shard = running_shard(core, rows=1)
    core.batches.on_ended(shard, "completed", 0.0, output_file_id="out", completed=1)
    core.batches.on_result(shard, "a", Usage(1, 1))
    decisions = core.batches.on_files_read(shard, 1, 0.0, answers=1)
    assert decisions == (do.Sync(), do.Record(ShardCollected(1, "completed", next_attempt=2)))
    decisions = core.batches.on_swept(shard)
    assert kinds(decisions) == [do.Sync, do.Record, do.Sync, do.Work]


def test_a_batch_is_created_only_after_its_entry_is_safe():
    core = make_core(uses_batches=True)
    shard = running_shard(core)
    shard.state = ShardState.UPLOADED
    work = [d for d in core.advance(0.0) if not isinstance(d, do.WaitUntil)]
    assert kinds(work) == [do.Record, do.Sync, do.Work]
    assert work[-1] == do.Work(do.Task.CREATE, shard)


def test_answers_of_a_batch_without_usage_count_with_the_most_they_can_cost():
    core = make_core(uses_batches=True)
    shard = running_shard(core, rows=1)
    core.batches.on_ended(shard, "completed", 0.0, output_file_id="out", completed=1)
    core.batches.on_result(shard, "a", None)
    core.batches.on_files_read(shard, 1, 0.0, answers=1)
    assert core.ledger.perhaps_paid == Usage(10, 10)


def test_a_batch_that_cannot_be_found_stays_reserved_beside_the_next_one():
    core = make_core(uses_batches=True)
    shard = running_shard(core)
    shard.state, shard.batch_id = ShardState.UNCONFIRMED, None
    for _ in range(7):
        core.batches.on_listed(shard, (), 0.0)
    assert shard.state is ShardState.UPLOADED
    assert core.ledger.perhaps_paid == Usage(10, 10)
    shard.not_before = 0.0
    core.advance(0.0)
    assert shard.state is ShardState.CREATING
    assert core.ledger.reserved == Usage(10, 10)


def test_only_own_cancelled_batches_stop_a_job():
    for number_of_last_inherited, stopped in ((0, "cancelled"), (1, None)):
        core = make_core(uses_batches=True)
        shard = running_shard(core)
        core.batches.last_inherited = number_of_last_inherited
        core.batches.on_ended(shard, "cancelled", 0.0, completed=0)
        core.batches.on_files_read(shard, 0, 0.0, answers=0)
        assert core.state.stopped == stopped


# --- resources under pressure ---


def test_rows_are_read_ahead_only_a_little():
    core = make_core()
    while core.state.wants_rows and core.state.seen < 999:
        core.add_row(row(f"r{core.state.seen}"))
    assert core.state.seen == 256
    assert not core.state.needs_rows
    for _ in range(128):
        core.state.dequeue()
    assert core.state.needs_rows


def test_large_rows_are_read_ahead_by_their_size():
    core = make_core()
    while core.state.wants_rows and core.state.seen < 999:
        core.add_row(OpenRow(f"r{core.state.seen}", 0, size_bytes=1 << 20))
    assert core.state.seen == 8


def test_no_more_rows_than_allowed_are_in_flight():
    core = make_core(concurrency=3)
    for number in range(9):
        core.add_row(row(str(number)))
    assert len(sent(core)) == len(core.live.in_flight) == 3


def test_abandoned_rows_are_named():
    core = make_core()
    core.add_row(row("a"))
    core.add_row(row("b"))
    first, second = sent(core)
    core.live.on_abandoned(first)
    core.live.on_abandoned(second, was_sent=False)
    assert core.state.unconfirmed == ["a"]


def test_a_row_that_was_perhaps_paid_is_named_when_it_is_retried():
    core = make_core()
    core.replay(RowSent("a", Usage(1, 1)))
    core.finish_restore()
    assert core.ledger.perhaps_paid == Usage(1, 1)
    assert core.add_row(row("a")) == (do.Record(RowLost("a")),)
    assert core.state.retried_unconfirmed == ["a"]


# --- rate limits ---


def test_a_limit_without_headers_is_measured_and_probed_later():
    limiter = RateLimiter()
    for cycle in range(2):
        for number in range(20):
            limiter.sent(1)
            limiter.record_usage(1, 1)
            limiter.on_success(cycle + number / 20)
        assert limiter.on_rate_limited(cycle + 1.0, None, cycle + 1.0)
    assert limiter.requests.per_minute == pytest.approx(20 * 60)
    limiter.wait_s(1, 5.0)
    assert limiter.requests.per_minute == pytest.approx(20 * 60)
    limiter.wait_s(1, 20.0)
    assert limiter.requests.per_minute > 25 * 60


def test_a_given_limit_is_never_replaced_by_a_measured_one():
    limiter = RateLimiter(requests_per_minute=600)
    for cycle in range(2):
        for _ in range(20):
            limiter.record_usage(1, 1)
        limiter.on_rate_limited(cycle + 1.0, None, cycle + 1.0)
    assert limiter.wait_s(1, inf) is not None
    assert limiter.requests.per_minute == 600


def test_only_a_service_that_answers_some_requests_lowers_the_concurrency():
    concurrency = AdaptiveConcurrency("auto")
    concurrency.on_overload(sent_at=0.0, now=1.0)  # a service that refuses everything
    assert concurrency.limit == 16
    concurrency.on_success(now=2.0, in_flight=16)
    concurrency.on_overload(sent_at=1.0, now=3.0)
    concurrency.on_overload(sent_at=2.0, now=3.0)  # it was in flight beside the first one
    assert concurrency.limit == 8
