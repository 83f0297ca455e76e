"""One client in a process of its own, which runs what it is told and says what that took.

    python -m tests.benchmarks.worker PEER URL

Each line of its standard input is an order such as `{"run": "calls", "concurrency": 32}`; each
line of its output the answer. CPU is the whole process's, threads too, user and system.
"""

import asyncio
import gc
import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.peers import PEERS


def cpu_us():
    """CPU that this process has used, in microseconds."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return (usage.ru_utime + usage.ru_stime) * 1e6


def rss_mb():
    """Memory that this process holds now, in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def peak_mb():
    """The most memory that this process ever held, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


async def together(concurrency, number, call):
    """Call so many times, so many at once."""
    numbers = iter(range(number))

    async def one_after_the_other():
        for _ in numbers:
            await call()

    await asyncio.gather(*(one_after_the_other() for _ in range(concurrency)))


async def measured(units, work):
    """Run work, and tell its CPU for each unit."""
    gc.collect()
    began, before = time.perf_counter(), cpu_us()
    await work
    after, ended = cpu_us(), time.perf_counter()
    return {"cpu_us": (after - before) / units, "wall_us": (ended - began) / units * 1e6}


async def calls(peer, concurrency, number, **endpoint):
    async def call():
        await peer.call(**endpoint)

    await together(concurrency, concurrency, call)  # opens the connections
    return await measured(number, together(concurrency, number, call))


async def streams(peer, concurrency, chunks, pause_ms, **endpoint):
    async def stream():
        assert await peer.stream(chunks, pause_ms, **endpoint) > 0

    await together(concurrency, concurrency, lambda: peer.stream(2, 10, **endpoint))
    return await measured(concurrency * chunks, together(concurrency, concurrency, stream))


async def parse(peer, what, number):
    return await measured(number, getattr(peer, f"parse_{what}")(number))


async def events(peer, number):
    assert len(await peer.events()) == number
    return await measured(number, peer.events())


async def upload(peer, size):
    await peer.call()
    before = rss_mb()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "train.jsonl")
        path.touch()  # noqa: ASYNC240 - nothing else runs
        os.truncate(path, size)
        cost = await measured(size / 1e6, peer.upload(path))
    return cost | {"extra_mb": peak_mb() - before}


async def download(peer, size):
    await peer.call()
    before = rss_mb()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "content.bin")
        cost = await measured(size / 1e6, peer.download(path))
        assert os.stat(path).st_size == size  # noqa: PTH116 - nothing else runs
    return cost | {"extra_mb": peak_mb() - before}


async def open_streams(peer, concurrency):
    await peer.call()
    before = rss_mb()
    cost = await streams(peer, concurrency, 4, 3000)
    return cost | {"extra_mb": peak_mb() - before}


async def leak(peer, number):
    await together(32, 10_000, peer.call)
    gc.collect()
    before = rss_mb()
    cost = await measured(number, together(32, number, peer.call))
    gc.collect()
    return cost | {"extra_mb": rss_mb() - before}


RUNS = {
    run.__name__: run
    for run in (calls, streams, parse, events, upload, download, open_streams, leak)
}


async def main(name, url):
    async with PEERS[name](url) as peer:
        await peer.call()
        print("ready", flush=True)
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            order = json.loads(line)
            print(json.dumps(await RUNS[order.pop("run")](peer, **order)), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
