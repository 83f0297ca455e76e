"""Batch jobs on Ray: shards with journals, one rate limiter for all workers."""

import json
import re
import signal
import subprocess
import sys
from functools import partial

import pytest

from tunesmith import AsyncClient, ConfigurationError
from tunesmith.batch.rate_limiter import RateLimiter
from tunesmith.integrations.ray import (
    DistributedRateLimiter,
    RateLimiterActor,
    ShardJob,
    map_completions,
    shared_pacing,
)
from tunesmith.testing import CallRecorder

pa = pytest.importorskip("pyarrow")

OPTIONS = {"model": "davinci-002", "template": "{prompt}", "params": {"max_tokens": 5}}


class Handle:
    """An actor without Ray, which runs its methods at once."""

    def __init__(self, actor):
        self._actor = actor

    def __getattr__(self, name):
        method = getattr(self._actor, name)
        return type("Method", (), {"remote": staticmethod(method)})


@pytest.fixture
def without_ray(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", type("Ray", (), {"get": staticmethod(lambda got: got)}))


def test_workers_share_one_limit(without_ray):
    now = 0.0
    actor = RateLimiterActor(600, None, lambda: now)
    workers = [DistributedRateLimiter(Handle(actor)) for _ in range(3)]
    sent = 0
    for tick in range(1000):
        now = tick / 100
        sent += sum(worker.wait_s(10, now) == 0.0 for worker in workers)
    assert 100 <= sent <= 102  # 10 a second for 10 seconds, and the first burst of one


def test_a_429_of_one_worker_slows_down_all(without_ray):
    now = 100.0
    actor = RateLimiterActor(None, None, lambda: now)
    one, other = DistributedRateLimiter(Handle(actor)), DistributedRateLimiter(Handle(actor))
    assert other.wait_s(1, now) == 0.0
    assert one.on_rate_limited(now, 7.0, now)
    assert other.wait_s(1, now) == pytest.approx(7.0)


def test_limits_learned_by_one_worker_hold_for_all(without_ray):
    actor = RateLimiterActor(None, None, lambda: 0.0)
    one, other = DistributedRateLimiter(Handle(actor)), DistributedRateLimiter(Handle(actor))
    headers = {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "60s",
    }
    one.update_from_headers(headers, 0.0)
    assert one.has_limits
    assert other.wait_s(1, 0.0) > 0.5


@pytest.fixture
def table():
    return pa.table({"prompt": [f"Number {n} is" for n in range(5)], "kept": [1, 2, 3, 4, 5]})


def shard_job(folder, backend, **options):
    return ShardJob(folder, partial(AsyncClient, backend=backend), RateLimiter(), OPTIONS | options)


def test_a_shard_is_returned_with_its_answers_in_order(tmp_path, tunesmith_backend, table):
    tunesmith_backend.service.stub_reply(lambda call: f"about {call.prompt}")
    answered = shard_job(tmp_path, tunesmith_backend)(table)
    assert answered.column_names == ["prompt", "kept", "answer", "answer_body", "error"]
    assert answered["answer"].to_pylist() == [f"about Number {n} is" for n in range(5)]
    assert json.loads(answered["answer_body"][0].as_py())["object"] == "text_completion"
    assert answered["error"].to_pylist() == [None] * 5


@pytest.mark.slow
def test_a_repeated_shard_sends_no_request_again(tmp_path, tunesmith_backend, table):
    record = CallRecorder(tunesmith_backend)
    first = shard_job(tmp_path, record)(table)
    paid = len(record.calls())
    assert shard_job(tmp_path, record)(table) == first
    assert len(record.calls()) == paid == 5


def test_failed_rows_are_returned_with_their_error(tmp_path, tunesmith_backend, table):
    answered = shard_job(tmp_path, tunesmith_backend, model="no-such")(table)
    assert answered["answer"].to_pylist() == [None] * 5
    assert all("model_not_found" in error for error in answered["error"].to_pylist())


def test_a_reserved_column_is_named(tmp_path, tunesmith_backend):
    table = pa.table({"prompt": ["a"], "answer": ["b"]})
    with pytest.raises(ConfigurationError, match="column 'answer' already exists; rename it"):
        shard_job(tmp_path, tunesmith_backend)(table)


def test_without_ray_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray.data", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'tunesmith\[ray\]'"):
        map_completions(None, "folder", client=AsyncClient)


@pytest.fixture
def url():
    """A service that workers can reach, which refuses more than 1,200 requests a minute."""
    script = "from tunesmith.cli import main; main()"
    command = [sys.executable, "-c", script, "serve", "--port", "0"]
    process = subprocess.Popen(
        [*command, "--requests-per-minute", "1200"], stdout=subprocess.PIPE, text=True
    )
    yield re.search(r"http://\S+/v1", process.stdout.readline()).group()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)


@pytest.fixture
def cluster():
    ray = pytest.importorskip("ray")
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        object_store_memory=100_000_000,
        logging_level="ERROR",
        log_to_driver=False,
    )
    ray.data.DataContext.get_current().enable_progress_bars = False
    yield ray
    ray.shutdown()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
def test_two_workers_answer_each_row_of_a_dataset_once(cluster, url, tmp_path):
    rows = [{"prompt": f"Number {n} is", "n": n} for n in range(60)]
    dataset = cluster.data.from_items(rows, override_num_blocks=4)
    answered = map_completions(
        dataset,
        tmp_path,
        client=partial(AsyncClient, "sk-of-mine", url),
        **OPTIONS,
        requests_per_minute=1200,
        workers=2,
        shard_rows=15,
    ).take_all()
    assert sorted(row["n"] for row in answered) == list(range(60))
    assert {row["error"] for row in answered} == {None}
    assert all(
        json.loads(row["answer_body"])["choices"][0]["text"] == row["answer"] for row in answered
    )
    kept = [path.read_bytes().splitlines() for path in tmp_path.glob("*.jsonl")]
    assert [len(lines) for lines in kept] == [15] * 4
    with pytest.raises(ConfigurationError, match="exists with"):
        shared_pacing("tunesmith", 5)
