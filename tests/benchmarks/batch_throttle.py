"""Batch jobs against services that refuse, in virtual time.

    python -m tests.benchmarks.batch_throttle [random] [recovery] [storm] [--rows 5000]

Random 429 responses without headers are compared to a plain semaphore with retries; the rate limits
to their ideal. Virtual seconds depend on the policy only, not on the machine.
"""

import argparse
import asyncio
import random
import tempfile
from collections.abc import Callable
from pathlib import Path

import anyio
from tests.unit.batch.services import FillingBucket, Service, Window, too_many

from tunesmith import AsyncClient
from tunesmith.batch import BatchJob
from tunesmith.batch.concurrency import MAX_CONCURRENCY

LATENCY_S, SLOW_S = 0.5, 2.0


def refuse_randomly(share, seed=1) -> Callable:
    chance = random.Random(seed)
    return lambda number, now: too_many() if chance.random() < share else None


async def run_job(rows, service, concurrency="auto"):
    """Return the report of a job in virtual time."""
    prompts = (f"p{i}" for i in range(rows))
    client = AsyncClient(backend=service)
    with tempfile.TemporaryDirectory() as folder:
        options = {"model": "m", "concurrency": concurrency}
        async with BatchJob(prompts, Path(folder, "a.jsonl"), client=client, **options) as job:
            return await job.run()


async def run_semaphore(rows, service, concurrency):
    """Return the virtual seconds of a plain semaphore with exponential backoff per row."""
    from tunesmith.protocol.message import Request

    clock, semaphore = service.clock, anyio.Semaphore(concurrency)
    chance = random.Random(2)

    async def send(number):
        body = b'{"model":"m","prompt":"p%d"}' % number
        request = Request("completions.create", "POST", "/completions", headers={}, body=body)
        async with semaphore:
            for attempt in range(20):
                async with service.send(request) as response:
                    if response.status == 200:
                        return
                await clock.sleep(min(0.5 * 2**attempt, 8.0) * (1 - 0.25 * chance.random()))

    async with anyio.create_task_group() as tasks:
        for number in range(rows):
            tasks.start_soon(send, number)
    return clock.monotonic()


def show_random(rows, concurrency):
    permits = MAX_CONCURRENCY if concurrency == "auto" else concurrency
    print(f"\n{rows:,} rows, {LATENCY_S} s latency, concurrency {concurrency}, random 429\n")
    print("| refused | job, s | semaphore, s | ratio | failed rows |")
    print("|---:|---:|---:|---:|---:|")
    for share in (0, 0.002, 0.01, 0.04):
        service = Service(LATENCY_S, refuse_randomly(share))
        report = asyncio.run(run_job(rows, service, concurrency))
        base = Service(LATENCY_S, refuse_randomly(share))
        plain_s = asyncio.run(run_semaphore(rows, base, permits))
        ratio = report.elapsed / plain_s
        print(
            f"| {share:.1%} | {report.elapsed:.1f} | {plain_s:.1f} | {ratio:.2f} "
            f"| {report.failed} |"
        )


def show_recovery(rows):
    """Compare the rate from 30 s after a few refusals at the start to that of a job without."""
    print(f"\n{rows:,} rows, {SLOW_S} s latency, `auto`; 429 or 503 for the first requests\n")
    print("| refusals | rows/s after 30 s | to the clean job |")
    print("|---|---:|---:|")
    clean = None
    busy = (503, {}, {"error": {"message": "busy"}})
    for name, refuse in {
        "none": None,
        "one 503": lambda number, _: busy if number == 3 else None,
        "one 429": lambda number, _: too_many() if number == 3 else None,
        "ten 429": lambda number, _: too_many() if number <= 10 else None,
        "all 429 for 5 s": lambda _, now: too_many() if now < 5 else None,
    }.items():
        times = []
        service = TimedService(refuse, times)
        asyncio.run(run_job(rows, service))
        late = [time for time in times if time >= 30]
        rate = len(late) / (late[-1] - 30)
        clean = clean or rate
        print(f"| {name} | {rate:.1f} | {rate / clean:.2f} |")


class TimedService(Service):
    """Service that records when it answers."""

    def __init__(self, refuse, times):
        super().__init__(SLOW_S, refuse)
        self.times = times

    def answer(self, body):
        self.times.append(self.clock.monotonic())
        return super().answer(body)


def show_storm():
    print("\n600 rows against 1,500 per minute: 24 s are ideal\n")
    print("| limit | Retry-After | concurrency | failed rows | seconds | to the ideal | refused |")
    print("|---|---|---|---:|---:|---:|---:|")
    for limit in (FillingBucket, Window):
        for retry_after in (1, None):
            for concurrency in (100, "auto"):
                service = Service(0.05, limit(retry_after=retry_after))
                report = asyncio.run(run_job(600, service, concurrency))
                wait = retry_after or "none"
                print(
                    f"| {limit.__name__} | {wait} | {concurrency} | {report.failed} "
                    f"| {report.elapsed:.1f} | {report.elapsed / 24:.2f} | {report.refused} |"
                )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="*", default=["random", "recovery", "storm"])
    parser.add_argument("--rows", type=int, default=5000)
    options = parser.parse_args()
    if "random" in options.what:
        show_random(options.rows, 64)
        show_random(options.rows, "auto")
    if "recovery" in options.what:
        show_recovery(options.rows + 5000)
    if "storm" in options.what:
        show_storm()


if __name__ == "__main__":
    main()
