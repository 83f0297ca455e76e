"""Batch jobs in processes of their own, over a service that mixes faults, killed at random moments.

    python -m tests.benchmarks.batch_chaos [--jobs 20] [--rows 300] [--kills 3] [--seed 1]

Half of the jobs send rows live, half by provider batches. Each is killed by SIGKILL several times,
resumed, and at the end brought to its end by a service without faults. Printed: rows lost, rows
written twice, rows paid again, those of them that no report names, and budgets exceeded.
"""

import argparse
import asyncio
import json
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from tests.benchmarks.environment import ROOT

CONCURRENCY = 20
USAGE = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}


class Service:
    """A loopback service: completions and batches, with faults of probability `chaos`."""

    def __init__(self, seed, chaos):
        self.random = random.Random(seed)
        self.chaos = chaos
        self.paid = Counter()
        self.unfit = Counter()
        self.files = {}
        self.batches = {}
        self.ready = threading.Event()

    def start(self):
        threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True).start()
        self.ready.wait(5)
        return f"http://127.0.0.1:{self.port}/v1"

    async def _serve(self):
        server = await asyncio.start_server(self._connect, "127.0.0.1", 0, limit=1 << 24)
        self.port = server.sockets[0].getsockname()[1]
        self.ready.set()
        await server.serve_forever()

    async def _connect(self, reader, writer):
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
                body = await reader.readexactly(int(length[1])) if length else b""
                if length is None and b"chunked" in head.lower():
                    while size := int((await reader.readuntil(b"\r\n")).strip(), 16):
                        body += (await reader.readexactly(size + 2))[:-2]
                    await reader.readexactly(2)
                method, path, _ = head.split(b"\r\n")[0].decode().split(" ")
                path = path.split("?")[0].removeprefix("/v1")
                answer = await self._handle(method, path, body)
                if answer is None:
                    writer.transport.abort()
                    return
                status, extra, content = answer
                content = content if isinstance(content, bytes) else json.dumps(content).encode()
                extra += b"content-type: application/json\r\n"
                head = b"HTTP/1.1 %d X\r\n%scontent-length: %d\r\n\r\n"
                writer.write(head % (status, extra, len(content)) + content)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, OSError):
            pass
        finally:
            writer.close()

    async def _handle(self, method, path, body):  # noqa: PLR0911 - one return a route
        if path == "/completions":
            return await self._complete(json.loads(body))
        if path == "/files" and method == "POST":
            lines = re.findall(rb'\{"custom_id":.*\}', body)
            name = f"file-{len(self.files) + 1}"
            self.files[name] = [json.loads(line) for line in lines]
            facts = {"id": name, "object": "file", "bytes": 1, "created_at": 1}
            facts |= {"filename": "x.jsonl", "purpose": "batch", "status": "processed"}
            return 200, b"", facts
        if path == "/files":
            return 200, b"", {"object": "list", "data": [], "has_more": False}
        if path == "/batches" and method == "POST":
            return self._create(json.loads(body))
        if path == "/batches":
            seen = [b for b in self.batches.values() if time.monotonic() >= b["visible_at"]]
            listed = [self._view(batch) for batch in reversed(seen)]
            return 200, b"", {"object": "list", "data": listed, "has_more": False}
        if path.startswith("/batches/"):
            if self._hits(0.2):
                return 503, b"", {"error": {"message": "busy"}}
            return 200, b"", self._view(self.batches[path.split("/")[2]])
        if path.endswith("/content"):
            return 200, b"", self._results(path.split("/")[2].removeprefix("out-"))
        return 404, b"", {"error": {"message": "nothing here"}}

    def _hits(self, weight=1.0):
        return self.random.random() < self.chaos * weight

    async def _complete(self, request):
        key = request["prompt"]
        await asyncio.sleep(self.random.uniform(0.005, 0.06))
        fault = self.random.choice(["429", "500", "reset", "lost", "error"]) if self._hits() else ""
        if fault == "429":
            return 429, b"retry-after: 1\r\n", {"error": {"message": "slow down"}}
        if fault == "500":
            return 500, b"", {"error": {"message": "oops"}}
        if fault == "error":
            return 200, b"", {"error": {"code": 502, "message": "upstream"}}
        if fault == "reset":
            return None
        self.paid[key] += 1
        if fault == "lost":  # by the network: the retry is nobody's fault
            self.unfit[key] += 1
            return None
        return 200, b"", {"choices": [{"index": 0, "text": key}], "usage": USAGE}

    def _create(self, request):
        number = len(self.batches) + 1
        rows = self.files[request["input_file_id"]]
        fault = self.random.choice(["504", "reset", "lag"]) if self._hits(3) else ""
        now = time.monotonic()
        self.batches[f"batch_{number}"] = {
            "id": f"batch_{number}",
            "rows": rows,
            "request": request,
            "ends_at": now + self.random.uniform(0.2, 1.5),
            "visible_at": now + (1.0 if fault == "lag" else 0.0),
            "late": self.random.choice([0, 0, 2]),
            "cut": self._hits(2),
        }
        for row in rows:
            self.paid[row["body"]["prompt"]] += 1
        if fault == "504":
            return 504, b"", {"error": {"message": "gateway"}}
        return None if fault else (200, b"", self._view(self.batches[f"batch_{number}"]))

    def _view(self, batch):
        request = batch["request"]
        facts = {"id": batch["id"], "object": "batch", "endpoint": request["endpoint"]}
        facts |= {"input_file_id": request["input_file_id"], "completion_window": "24h"}
        facts |= {"created_at": int(time.time()), "metadata": request.get("metadata")}
        if time.monotonic() < batch["ends_at"]:
            return facts | {"status": "in_progress"}
        count = len(batch["rows"])
        facts |= {"status": "completed"}
        facts |= {"request_counts": {"total": count, "completed": count, "failed": 0}}
        if batch["late"] > 0:
            batch["late"] -= 1
            return facts | {"output_file_id": None}
        return facts | {"output_file_id": f"out-{batch['id']}"}

    def _results(self, name):
        batch = self.batches[name]
        lines = []
        for row in batch["rows"]:
            body = {"choices": [{"index": 0, "text": row["body"]["prompt"]}], "usage": USAGE}
            response = {"status_code": 200, "request_id": "r", "body": body}
            lines.append(
                json.dumps({"custom_id": row["custom_id"], "response": response, "error": None})
            )
        if batch["cut"]:
            batch["cut"] = False
            lines = lines[: len(lines) // 2]
        return "\n".join(lines).encode() + b"\n"


def command(url, folder, mode, budget):
    options = [
        "--mode",
        mode,
        "--poll-interval",
        "0.2",
        "--resume",
        "--json",
        "--max-retries",
        "30",
    ]
    if mode == "live":
        options += ["--concurrency", str(CONCURRENCY)]
    if budget:
        options += ["--budget", f"{budget}tokens"]
    begin = [
        sys.executable,
        "-m",
        "tunesmith",
        "--api-key",
        "k",
        "--base-url",
        url,
        "--timeout",
        "5",
    ]
    files = [str(folder / "prompts.jsonl"), "-o", str(folder / "answers.jsonl")]
    return [*begin, "batch", "run", *files, "-m", "m", "--param", "max_tokens=4", *options]


def play(number, rows, kills, seed):
    """Play one job; what went wrong, as counts."""
    chance = random.Random(seed * 1000 + number)
    mode = "batch" if number % 2 else "live"
    service = Service(seed * 1000 + number, 0.05)
    url = service.start()
    found = Counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        keys = [f"r{i}" for i in range(rows)]
        lines = (json.dumps({"custom_id": key, "prompt": key}) + "\n" for key in keys)
        (folder / "prompts.jsonl").write_text("".join(lines))
        budget = rows * 200 if number % 3 == 0 else 0
        named = set()
        for run in range(kills + 6):
            if run >= kills:
                service.chaos = 0.0
            process = subprocess.Popen(
                command(url, folder, mode, budget),
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            if run < kills:
                stop_at = service.paid.total() + chance.randrange(1, max(rows // (kills + 1), 2))
                waits = 0
                while process.poll() is None and service.paid.total() < stop_at and waits < 1500:
                    time.sleep(0.01)
                    waits += 1
                time.sleep(chance.uniform(0.0, 0.5 if mode == "batch" else 0.01))
                process.kill()
            out, err = process.communicate(timeout=300)
            if run >= kills and process.returncode:
                print(f"job {number}: {err.strip().splitlines()[-1:]}", flush=True)
            report = json.loads(out.splitlines()[-1]) if run >= kills and out.strip() else {}
            named |= set(report.get("outcome_unknown", ()))
            if report.get("complete"):
                break
        output = folder / "answers.jsonl"
        written = Counter(json.loads(line)["custom_id"] for line in output.open())
        again = service.paid - Counter(keys) - service.unfit
        journal = (folder / "answers.journal").read_text()
        found["lost"] = rows - len(written)
        found["doubled"] = written.total() - len(written)
        found["paid again"] = again.total()
        found["not named"] = sum(
            1 for key in again if key not in named and f'{{"lost":"{key}"}}' not in journal
        )
        found["over budget"] = int(bool(budget) and service.paid.total() * 13 > budget)
    print(f"job {number:2} {mode:5} {dict(found)}", flush=True)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=20)
    parser.add_argument("--rows", type=int, default=300)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    total = Counter()
    for number in range(options.jobs):
        total += play(number, options.rows, options.kills, options.seed)
    kills = options.jobs * options.kills
    print(
        f"\n{options.jobs} jobs of {options.rows} rows, {kills} kills: {dict(total) or 'nothing'}"
    )
    print(f"paid again at most {CONCURRENCY} a kill: {total['paid again'] <= CONCURRENCY * kills}")
    return 1 if total["lost"] or total["doubled"] or total["over budget"] else 0


if __name__ == "__main__":
    sys.exit(main())
