"""A served state killed by SIGKILL at random moments, between and inside requests.

    python -m tests.benchmarks.service_kill [--kills 20] [--seed 1]

Clients create files, uploads in parts, jobs, batches, stored chats and responses as fast as they
can, until `tunesmith serve --state` is killed and started again. Requests without a response are
repeated with their `Idempotency-Key`. Everything confirmed must be there afterwards and have its
content, and nothing else; in the end each job has each event once and a model that works, and each
batch has each row once. Printed: what was confirmed, and what was lost or doubled.
"""

import argparse
import json
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from uuid import uuid4

import httpx
from tests.benchmarks.upstream import SERVE, running

TRAIN = b"".join(
    json.dumps({"prompt": f"{i} plus {i} is", "completion": f" {2 * i}."}).encode() + b"\n"
    for i in range(12)
)
ROWS = 12
CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Kant?"}], "max_tokens": 4}


class Clients:
    """Clients that record what was confirmed to them.

    Args:
        url: Base URL of the server.
        seed: Seed of what they send.
    """

    def __init__(self, url, seed):
        self._http = httpx.Client(base_url=url, headers={"authorization": "Bearer any"}, timeout=60)
        self._seed = seed
        self.files = {}
        self.jobs, self.batches, self.chats, self.responses = [], [], [], []
        self.n_repeated = 0
        self.restarted = threading.Event()

    def call(self, method, path, **options):
        """Return the response to a request, repeated with its key if the server was killed."""
        headers = {"idempotency-key": str(uuid4())} if method == "POST" else {}
        try:
            response = self._http.request(method, path, headers=headers, **options)
        except httpx.TransportError:
            self.restarted.wait()
            self.n_repeated += 1
            response = self._http.request(method, path, headers=headers, **options)
        response.raise_for_status()
        is_json = response.headers["content-type"].startswith("application/json")
        return response.json() if is_json else response.content

    def run(self, n_threads=6):
        """Start threads that send requests until the server was restarted."""
        self._seed += 1
        self.restarted.clear()
        threads = [
            threading.Thread(target=self._work, args=(random.Random(f"{self._seed}/{number}"),))
            for number in range(n_threads)
        ]
        for thread in threads:
            thread.start()
        return threads

    def _work(self, rng):
        actions = [self._file, self._file, self._upload, self._job, self._batch, self._chat]
        actions += [self._response]
        while not self.restarted.is_set():
            rng.choice(actions)(rng)

    def _create_file(self, content, purpose):
        form = {"data": {"purpose": purpose}, "files": {"file": ("a.jsonl", content)}}
        file_id = self.call("POST", "/files", **form)["id"]
        self.files[file_id] = content
        return file_id

    def _file(self, rng):
        self._create_file(rng.randbytes(rng.choice([10, 100_000, 3_000_000])), "user_data")

    def _upload(self, rng):
        content = [rng.randbytes(rng.choice([10, 200_000])) for _ in range(3)]
        fields = {"filename": "a", "mime_type": "text/plain", "purpose": "user_data"}
        size = sum(map(len, content))
        path = f"/uploads/{self.call('POST', '/uploads', json={**fields, 'bytes': size})['id']}"
        parts = [
            self.call("POST", f"{path}/parts", files={"data": ("part", piece)})["id"]
            for piece in content
        ]
        upload = self.call("POST", f"{path}/complete", json={"part_ids": parts})
        self.files[upload["file"]["id"]] = b"".join(content)

    def _job(self, _):
        create = {"model": "babbage-002", "training_file": self._create_file(TRAIN, "fine-tune")}
        self.jobs.append(self.call("POST", "/fine_tuning/jobs", json=create)["id"])

    def _batch(self, _):
        body = {"model": "babbage-002", "prompt": "Kant", "max_tokens": 2}
        line = {"method": "POST", "url": "/v1/completions", "body": body}
        rows = [json.dumps({"custom_id": str(number), **line}) for number in range(ROWS)]
        create = {
            "input_file_id": self._create_file("\n".join(rows).encode(), "batch"),
            "endpoint": "/v1/completions",
            "completion_window": "24h",
        }
        self.batches.append(self.call("POST", "/batches", json=create)["id"])

    def _chat(self, _):
        self.chats.append(self.call("POST", "/chat/completions", json={**CHAT, "store": True}))

    def _response(self, _):
        create = {"model": "gpt-4o-mini", "input": "Kant?", "max_output_tokens": 16}
        self.responses.append(self.call("POST", "/responses", json=create))


def find_lost(clients):
    """Return what was confirmed and is not there, or is there otherwise."""
    lost = [
        file_id
        for file_id, content in list(clients.files.items())
        if clients.call("GET", f"/files/{file_id}/content") != content
    ]
    for path, ids in (("/fine_tuning/jobs", clients.jobs), ("/batches", clients.batches)):
        lost += [each for each in ids if clients.call("GET", f"{path}/{each}")["id"] != each]
    for path, made in (("/chat/completions", clients.chats), ("/responses", clients.responses)):
        for each in made:
            stored = clients.call("GET", f"{path}/{each['id']}")
            if any(stored[name] != each[name] for name in ("choices", "output") if name in each):
                lost.append(each["id"])
    return lost


def find_twice(clients):
    """Return the objects without a response: created twice, by a request and its repetition."""
    chats = [each["id"] for each in clients.chats]
    known = {*clients.files, *clients.jobs, *clients.batches, *chats}
    created = [
        each["id"]
        for path in ("/files", "/fine_tuning/jobs", "/batches", "/chat/completions")
        for each in list_all(clients, path)
        if each.get("purpose") not in {"batch_output", "fine-tune-results"}
    ]
    return [each for each in created if each not in known]


def list_all(clients, path):
    page = {"has_more": True, "data": []}
    while page["has_more"]:
        after = {"after": page["data"][-1]["id"]} if page["data"] else {}
        page = clients.call("GET", path, params={"limit": 100, **after})
        yield from page["data"]


def find_unfinished(clients, patience_s=300):
    """Wait for all jobs and batches; return those that are not whole, or have something twice."""
    deadline, wrong = time.monotonic() + patience_s, []
    waiting = [("/fine_tuning/jobs", each) for each in clients.jobs]
    waiting += [("/batches", each) for each in clients.batches]
    for path, each in waiting:
        while True:
            found = clients.call("GET", f"{path}/{each}")
            if found["status"] in {"succeeded", "completed", "failed", "expired"}:
                break
            if time.monotonic() > deadline:
                break
            time.sleep(0.1)
        if path == "/batches":
            content = clients.call("GET", f"/files/{found['output_file_id']}/content")
            rows = Counter(json.loads(line)["custom_id"] for line in content.splitlines())
            if rows != Counter(map(str, range(ROWS))):
                wrong.append(each)
            continue
        events = clients.call("GET", f"{path}/{each}/events?limit=100")["data"]
        messages = Counter(event["message"] for event in events)
        steps = [event["data"]["step"] for event in events if event["type"] == "metrics"]
        body = {"model": found["fine_tuned_model"], "prompt": "3 plus 3 is", "max_tokens": 2}
        completion = clients.call("POST", "/completions", json=body)
        is_once = max(messages.values()) == 1 and sorted(steps) == list(range(1, len(steps) + 1))
        if not (is_once and completion["choices"]):
            wrong.append(each)
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng, lost = random.Random(options.seed), []
    with tempfile.TemporaryDirectory() as name:
        state = str(Path(name) / "state")
        serve = [sys.executable, "-c", SERVE, "serve", "--port", "{port}", "--state", state]
        with running([*serve, "--speed", "600"], "/files") as server:
            clients = Clients(server.url, options.seed)
            for number in range(options.kills):
                threads = clients.run()
                time.sleep(rng.uniform(0.05, 1.5))
                server.kill()
                server.start()
                clients.restarted.set()
                for thread in threads:
                    thread.join()
                lost += find_lost(clients)
                print(
                    f"kill {number + 1}: {len(clients.files)} files, {len(lost)} lost", flush=True
                )
            twice = find_twice(clients)
            wrong = find_unfinished(clients)
    made = {"files": clients.files, "jobs": clients.jobs, "batches": clients.batches}
    made |= {"stored chats": clients.chats, "responses": clients.responses}
    confirmed = ", ".join(f"{len(each)} {kind}" for kind, each in made.items())
    print(f"{options.kills} kills; confirmed: {confirmed}")
    print(f"lost or changed: {len(lost)}; repeated: {clients.n_repeated}, twice: {len(twice)}")
    print(f"jobs and batches not whole or with something twice: {len(wrong)}")
    sys.exit(bool(lost or twice or wrong))


if __name__ == "__main__":
    main()
