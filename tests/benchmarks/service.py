"""The service with a slow engine, with much data, and with many clients.

    python -m tests.benchmarks.service [slow] [data] [streams]

- `slow`: `tunesmith serve` with an engine that takes half a second a step and 0.1 s a token. While
  it trains and two completions run: how long other requests take, and when a cancel takes effect.
- `data`: 10,000 files, 1,000 jobs and 1,000,000 events, half of them in a single job: pages of them
  in memory and in a state folder, and the time to open the folder.
- `streams`: 1,000 streams at once over sockets; none goes on before all have begun.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import anyio
import httpx
from tests.benchmarks.upstream import SERVE, running

from tunesmith import AsyncClient, MemoryBackend
from tunesmith.service.engines.training import Metrics, TrainingStep
from tunesmith.service.fine_tuning.events import JobEvents

TRAIN = b"".join(
    json.dumps({"prompt": f"{i} plus {i} is", "completion": f" {2 * i}."}).encode() + b"\n"
    for i in range(12)
)
FILES, JOBS, EVENTS = 10_000, 1_000, 1_000_000
PAGES = 40
STREAMS = 1_000


@contextmanager
def serving(*options):
    """Run `tunesmith serve`; gives its URL."""
    command = [sys.executable, "-c", SERVE, "serve", "--port", "{port}", *options]
    with running(command, "/files") as server:
        yield server.url


async def show_slow():
    with serving("--engine", "tests.benchmarks.slow_engine:SlowEngine") as url:
        await _measure_slow(url)


async def _measure_slow(url):
    client = httpx.AsyncClient(base_url=url, headers={"authorization": "Bearer any"}, timeout=60)

    async def call(method, path, **body):
        began = time.perf_counter()
        response = await client.request(method, path, **({"json": body} if body else {}))
        response.raise_for_status()
        return response.json(), time.perf_counter() - began

    async def complete():
        body = {
            "model": "davinci-002",
            "prompt": "Kant",
            "max_tokens": 40,
            "logit_bias": {"256": -100},
        }
        completions.append(await call("POST", "/completions", **body))

    async with client:
        form = {"files": {"file": ("train.jsonl", TRAIN)}, "data": {"purpose": "fine-tune"}}
        file = (await client.post("/files", **form)).json()
        parameters = {"n_epochs": 20, "batch_size": 12}
        create = {"model": "davinci-002", "training_file": file["id"]}
        job, _ = await call("POST", "/fine_tuning/jobs", **create, hyperparameters=parameters)
        path, began = f"/fine_tuning/jobs/{job['id']}", time.monotonic()
        completions, times = [], []
        while (await call("GET", path))[0]["status"] != "running":  # noqa: ASYNC110 - a server
            await anyio.sleep(0.01)
        started = time.monotonic() - began
        async with anyio.create_task_group() as tasks:
            for _ in range(2):
                tasks.start_soon(complete)
            while time.monotonic() - began < started + 6:
                paths = (path, "/models", f"{path}/events", "/files")
                times += [(await call("GET", each))[1] for each in paths]
                await anyio.sleep(0.02)
            _, cancel_s = await call("POST", f"{path}/cancel")
        n_events = len((await call("GET", f"{path}/events?limit=100"))[0]["data"])
        await anyio.sleep(1.2)
        n_later = len((await call("GET", f"{path}/events?limit=100"))[0]["data"])
        status = (await call("GET", path))[0]["status"]
    times.sort()
    longest = max(took for _, took in completions)
    print(f"job runs after {started:.2f} s; {len(times)} GETs meanwhile: ", end="")
    print(f"p50 {times[len(times) // 2] * 1000:.0f} ms, ", end="")
    print(f"p99 {times[len(times) * 99 // 100] * 1000:.0f} ms, max {times[-1] * 1000:.0f} ms")
    print(f"two completions of 40 tokens together: {longest:.1f} s")
    print(f"cancel: {cancel_s * 1000:.0f} ms, {status}, {n_later - n_events} events afterwards")


async def fill(service, files, jobs, events):
    """Add so much to a service; return the job with half of the events."""
    for i in range(files):
        service.files.add([TRAIN], f"train-{i}.jsonl", "fine-tune")
    client = AsyncClient(backend=MemoryBackend(service))
    file = (await client.files.list(limit=1)).data[0].id
    create = {"model": "babbage-002", "training_file": file}
    made = [(await client.fine_tuning.jobs.create(**create)).id for _ in range(jobs)]
    for job in made:  # otherwise all of them would train
        await client.fine_tuning.jobs.cancel(job)
    measured = Metrics(1.0, 0.5, 0.5)
    counts = [events // 2] + [events // 2 // (jobs - 1)] * (jobs - 1)
    for job, count in zip(made, counts, strict=True):
        log = JobEvents(service.store, service.ids, job, service.context.behavior)
        for step in range(1, count + 1):
            made_step = TrainingStep(step, 1, step, step, measured)
            log.add_metrics(made_step, count, service.clock.time())
    service._commit(force=True)
    return made[0]


async def pages_ms(first_page, skip=0):
    """Return the median CPU time of a page of a list, in milliseconds."""
    page, times = await first_page, []
    for _ in range(skip):
        page = await page.next_page()
    for _ in range(PAGES):
        began = time.process_time()
        page = await page.next_page()
        times.append(time.process_time() - began)
        assert page.data
    return statistics.median(times) * 1000


async def measure_pages(backend, job):
    client = AsyncClient(backend=backend)
    jobs = client.fine_tuning.jobs
    far = max(EVENTS // 2 // 100 - PAGES - 5, 0)
    return {
        "20 files": await pages_ms(client.files.list(limit=20)),
        "2 jobs": await pages_ms(jobs.list(limit=2)),
        "100 events, the newest": await pages_ms(jobs.list_events(job, limit=100)),
        "100 events, the oldest": await pages_ms(jobs.list_events(job, limit=100), far),
    }


async def show_data():
    with tempfile.TemporaryDirectory() as name:
        state, times = Path(name) / "state", []
        for folder in (None, state):
            backend = MemoryBackend(seed=1, **({} if folder is None else {"state": folder}))
            job = await fill(backend.service, FILES, JOBS, EVENTS)
            times.append(await measure_pages(backend, job))
            await backend.service.aclose()
            del backend
        for page in times[0]:
            memory, disk = (each[page] for each in times)
            print(f"{page:24} memory {memory:6.2f} ms, folder {disk:6.2f} ms: {disk / memory:.1f}x")
        began, cpu = time.perf_counter(), time.process_time()
        backend = MemoryBackend(state=state)
        took, cpu = time.perf_counter() - began, time.process_time() - cpu
        await backend.aclose()
    print(
        f"opening {JOBS:,} jobs, {FILES:,} files, {EVENTS:,} events: {took:.2f} s, {cpu:.2f} CPU s"
    )


async def show_streams():
    begun, all_begun, tokens = 0, anyio.Event(), 0

    async def one(seed):
        nonlocal begun, tokens
        create = {"model": "davinci-002", "prompt": "Kant was", "max_tokens": 50, "seed": seed}
        async with client.completions.stream(**create) as events:
            await anext(aiter(events))
            begun += 1
            if begun == STREAMS:
                all_begun.set()
            await all_begun.wait()
            async for _ in events:
                tokens += 1

    with serving() as url:
        async with AsyncClient(base_url=url, api_key="any", max_retries=0, timeout=120) as client:
            began = time.perf_counter()
            async with anyio.create_task_group() as tasks:
                for seed in range(STREAMS):
                    tasks.start_soon(one, seed)
            took = time.perf_counter() - began
    print(f"{STREAMS:,} streams at once, all whole: {took:.1f} s, {tokens / took:.0f} events/s")


def main():
    cases = {"slow": show_slow, "data": show_data, "streams": show_streams}
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(cases))
    options = parser.parse_args()
    if unknown := set(options.cases) - set(cases):
        sys.exit(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(cases)}")
    for name in options.cases or cases:
        anyio.run(cases[name])


if __name__ == "__main__":
    main()
