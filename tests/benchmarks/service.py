"""One service that holds much, and serves many at once.

```
python tests/benchmarks/service.py
```

First: 10,000 files, 1,000 jobs and 1,000,000 events in one service in memory, half of the events in
a single job; a page of them costs the same wherever it begins, and as much as in a service that
holds a tenth. Second: 1,000 streams at once over sockets of this machine, to `tunesmith serve`
in a process of its own; none goes on before all have begun.
"""

import argparse
import json
import re
import signal
import statistics
import subprocess
import sys
import time

import anyio

from tunesmith import AsyncClient, MemoryBackend
from tunesmith.service.engines.base import Metrics, TrainingStep
from tunesmith.service.fine_tuning.events import JobEvents
from tunesmith.service.service import Service

TRAIN = b"".join(
    json.dumps({"prompt": f"{i} plus {i} is", "completion": f" {2 * i}."}).encode() + b"\n"
    for i in range(12)
)
PAGES = 40
SERVE = "from tunesmith.cli import main; main()"


async def filled(files: int, jobs: int, events: int) -> tuple[AsyncClient, str]:
    """Make a service that holds so much; gives a client of it, and the job with most events."""
    service = Service(seed=1)
    for i in range(files):
        service.files.add([TRAIN], f"train-{i}.jsonl", "fine-tune")
    client = AsyncClient(backend=MemoryBackend(service))
    file = (await client.files.list(limit=1)).data[0].id
    made = [
        (await client.fine_tuning.jobs.create(model="babbage-002", training_file=file)).id
        for _ in range(jobs)
    ]
    measured = Metrics(1.0, 0.5, 0.5)
    counts = [events // 2] + [events // 2 // (jobs - 1)] * (jobs - 1)
    for job, count in zip(made, counts, strict=True):
        log = JobEvents(service.store, service.ids, job, service.context.behavior)
        for step in range(count):
            log.add_metrics(
                TrainingStep(step + 1, 1, step, step, measured), count, service.clock.time()
            )
    return client, made[0]


async def pages_ms(first_page, skip: int) -> float:
    """Go through pages of a list; gives the median time of one, in milliseconds."""
    page, times = await first_page, []
    for _ in range(skip):
        page = await page.next_page()
    for _ in range(PAGES):
        began = time.perf_counter()
        page = await page.next_page()
        times.append(time.perf_counter() - began)
        assert page.data
    return statistics.median(times) * 1000


async def pages(scale: float) -> None:
    began = time.perf_counter()
    files, jobs, events = (int(n * scale) for n in (10_000, 1_000, 1_000_000))
    client, job = await filled(files, jobs, events)
    took = time.perf_counter() - began
    print(f"{files} files, {jobs} jobs, {events} events (made in {took:.1f} s); a page, median:")
    far = max(events // 2 // 100 - PAGES - 5, 0)
    times = {
        "20 files": await pages_ms(client.files.list(limit=20), 0),
        "2 jobs": await pages_ms(client.fine_tuning.jobs.list(limit=2), 0),
        "100 events, the newest": await pages_ms(
            client.fine_tuning.jobs.list_events(job, limit=100), 0
        ),
        "100 events, the oldest": await pages_ms(
            client.fine_tuning.jobs.list_events(job, limit=100), far
        ),
    }
    for name, ms in times.items():
        print(f"  {name:24} {ms:8.2f} ms")


async def streams(count: int, url: str) -> None:
    begun, all_begun, tokens = 0, anyio.Event(), 0
    async with AsyncClient(base_url=url, api_key="any", max_retries=0, timeout=120) as client:

        async def one(seed: int) -> None:
            nonlocal begun, tokens
            asked = {"model": "davinci-002", "prompt": "Kant was", "max_tokens": 50, "seed": seed}
            async with client.completions.stream(**asked) as events:
                await anext(aiter(events))
                begun += 1
                if begun == count:
                    all_begun.set()
                await all_begun.wait()
                async for _ in events:
                    tokens += 1

        began = time.perf_counter()
        async with anyio.create_task_group() as tasks:
            for seed in range(count):
                tasks.start_soon(one, seed)
        took = time.perf_counter() - began
    print(f"{count} streams at once, all ended whole: {took:.1f} s, {tokens / took:.0f} events/s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=1000)
    options = parser.parse_args()
    for scale in (0.1, 1):
        anyio.run(pages, scale)
    command = [sys.executable, "-c", SERVE, "serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        url = re.search(r"http://\S+/v1", server.stdout.readline()).group()
        try:
            anyio.run(streams, options.streams, url)
        finally:
            server.send_signal(signal.SIGINT)


if __name__ == "__main__":
    main()
