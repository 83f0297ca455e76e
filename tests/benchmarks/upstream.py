"""Batches in front of another server: throughput, memory, and kills of either server.

    python -m tests.benchmarks.upstream [throughput] [memory] [kill]
        [--peer "COMMAND … {port}"] [--model NAME] [--rows 200] [--max-tokens 2]

The other server is a lean one in a process of its own (`batch_server.py`), or a real one that
`--peer` starts, such as `vllm serve MODEL --port {port}`; the gateway is `tunesmith serve`. The
bare client is httpx with as many workers. `kill` sends SIGKILL to the gateway at a third of the
rows and to the peer, if it is real, at two thirds; both are started again.
"""

import argparse
import asyncio
import json
import os
import re
import shlex
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
from tests.benchmarks.batch import service
from tests.benchmarks.environment import ROOT

CONCURRENCY = 16
LATENCY_MS = {"throughput": 500, "memory": 5, "kill": 100}
SERVE = "from tunesmith.cli import main; main()"
_KEY = {"authorization": "Bearer any"}


class Process:
    """Server in a process of its own, which can be killed and started again.

    Args:
        command: The command with `{port}` for the port.
        probe: Path that it answers once it is ready.
    """

    def __init__(self, command, probe="/models"):
        self._probe = probe
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/v1"
        self._command = [part.format(port=port) for part in command]
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            self._command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline:
            try:
                if httpx.get(self.url + self._probe, headers=_KEY, timeout=30).is_success:
                    return
                time.sleep(0.1)
            except httpx.TransportError:
                time.sleep(0.1)
        raise TimeoutError(self._command)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def cpu_s(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_mb(self):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024


@contextmanager
def running(command, probe="/models"):
    server = Process(command, probe)
    try:
        yield server
    finally:
        server.kill()


def gateway(url, state):
    options = ["--port", "{port}", "--state", str(state), "--batch-concurrency", str(CONCURRENCY)]
    return running([sys.executable, "-c", SERVE, "serve", "--upstream", url, *options], "/files")


class Batch:
    """Batch of a gateway."""

    def __init__(self, gateway, model, rows, max_tokens):
        self._gateway = gateway
        body = {"model": model, "max_tokens": max_tokens, "temperature": 0}
        line = {"method": "POST", "url": "/v1/completions"}
        prompts = (f"Kant {number}" for number in range(rows))
        content = "".join(
            json.dumps({"custom_id": prompt, **line, "body": {**body, "prompt": prompt}}) + "\n"
            for prompt in prompts
        )
        form = {"purpose": "batch"}
        file = self._call("POST", "/files", data=form, files={"file": ("rows.jsonl", content)})
        create = {"endpoint": line["url"], "completion_window": "24h"}
        self.id = self._call("POST", "/batches", json={"input_file_id": file["id"], **create})["id"]

    def wait(self, n_done=None):
        """Wait for a number of responses, or for the end."""
        while True:
            batch = self._call("GET", f"/batches/{self.id}")
            counts = batch["request_counts"]
            if n_done is not None and counts["completed"] + counts["failed"] >= n_done:
                return batch
            if batch["status"] in {"completed", "failed", "expired"}:
                return batch
            time.sleep(0.5)

    def rows(self, batch):
        """Return how often each row of the output has an id."""
        content = httpx.get(
            f"{self._gateway.url}/files/{batch['output_file_id']}/content", headers=_KEY
        ).text
        return Counter(json.loads(line)["custom_id"] for line in content.splitlines())

    def _call(self, method, path, **options):
        response = httpx.request(
            method, self._gateway.url + path, headers=_KEY, timeout=60, **options
        )
        response.raise_for_status()
        return response.json()


async def send_bare(url, model, rows, max_tokens):
    """Send the same requests with as many workers of httpx."""
    left = iter(range(rows))
    async with httpx.AsyncClient(base_url=url, headers=_KEY, timeout=600) as client:

        async def work():
            for number in left:
                body = {"model": model, "max_tokens": max_tokens, "prompt": f"Kant {number}"}
                (await client.post("/completions", json=body)).raise_for_status()

        await asyncio.gather(*(work() for _ in range(CONCURRENCY)))


def requests_per_s(paid, rows, send):
    """Return the rate at which the lean server receives requests.

    Args:
        paid: File in which it writes each request.
        rows: Number of requests.
        send: Function that sends them.
    """

    def count():
        return paid.read_bytes().count(b"\n")

    before, began, sender = count(), None, threading.Thread(target=send)
    sender.start()
    while (received := count() - before) < rows:
        if began is None and received:
            began, first = time.perf_counter(), received
        time.sleep(0.005)
    took = time.perf_counter() - began
    sender.join()
    return (rows - first) / took


def show_throughput(url, state, options):
    rows, paid = options.rows or 320, state.with_name("paid.txt")
    with gateway(url, state) as front:

        def bare():
            asyncio.run(send_bare(url, options.model, rows, options.max_tokens))

        def batch():
            Batch(front, options.model, rows, options.max_tokens).wait()

        ratios = []
        for _ in range(3):
            cpu_s = front.cpu_s()
            rates = [requests_per_s(paid, rows, send) for send in (bare, batch)]
            ratios.append(rates[1] / rates[0])
            cpu_ms = (front.cpu_s() - cpu_s) / rows * 1000
            print(f"  rows/s: bare {rates[0]:.1f}, batch {rates[1]:.1f}; {cpu_ms:.1f} CPU ms a row")
    ratio = f"{sorted(ratios)[1]:.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    print(f"{rows:,} rows at concurrency {CONCURRENCY}: throughput {ratio} of bare")


def show_memory(url, state, options):
    for rows in (1000, 10_000):
        with gateway(url, state.with_name(f"memory-{rows}")) as front:
            Batch(front, options.model, rows, options.max_tokens).wait()
            print(f"{rows:,} rows: peak {front.memory_mb():.0f} MB")


def show_kill(url, state, options, peer=None):
    rows = options.rows or 200
    with gateway(url, state) as front:
        batch = Batch(front, options.model, rows, options.max_tokens)
        batch.wait(rows // 3)
        front.kill()
        front.start()
        reopened = batch.wait(0)["request_counts"]
        batch.wait(2 * rows // 3)
        if peer is not None:
            peer.kill()
            time.sleep(1)
            peer.start()
        ended = batch.wait()
        written = batch.rows(ended)
    print(f"killed at {rows // 3} of {rows} rows, reopened with {reopened['completed']}: ", end="")
    print(
        f"{ended['status']}, {len(written)} rows, {written.total() - len(written)} twice, ", end=""
    )
    print(f"{ended['request_counts']['failed']} failed")


def main():
    cases = {"throughput": show_throughput, "memory": show_memory, "kill": show_kill}
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(cases))
    parser.add_argument("--peer", help="command of a real server, with {port}")
    parser.add_argument("--model", default="m")
    parser.add_argument("--rows", type=int)
    parser.add_argument("--max-tokens", type=int, default=2)
    options = parser.parse_args()
    if unknown := set(options.cases) - set(cases):
        sys.exit(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(cases)}")
    with ExitStack() as stack:
        folder, peer = Path(stack.enter_context(tempfile.TemporaryDirectory())), None
        if options.peer:
            peer = stack.enter_context(running(shlex.split(options.peer)))
        for name in options.cases or cases:
            with ExitStack() as lean:
                url = peer.url if peer else lean.enter_context(service(folder, LATENCY_MS[name]))
                arguments = (url, folder / name, options)
                cases[name](*arguments, peer) if name == "kill" else cases[name](*arguments)


if __name__ == "__main__":
    main()
