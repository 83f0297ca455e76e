"""Jobs whose server or trainer is killed at random moments end as if nothing had happened.

    python -m tests.benchmarks.train_kills [JOBS] [--seed 1]

Each job trains a tiny random model behind `tunesmith serve`. SIGKILL hits the server, the trainer,
or both. Needs the extras `server` and `train`.
"""

import argparse
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
from tests.train.conftest import ROWS, save_model

N_EPOCHS = 12
N_STEPS = 60
HYPERPARAMETERS = {"n_epochs": N_EPOCHS, "batch_size": 4}
OPTIONS = {"learning_rate": 0.02, "save_every_s": 0.2}


class Server:
    """The served service, which can be killed and started again."""

    def __init__(self, folder, state):
        self._command = [
            sys.executable,
            "-m",
            "tunesmith",
            "serve",
            "--port",
            "0",
            "--state",
            state,
        ]
        self._command += ["--engine", "transformers", "--model", f"tiny={folder}"]
        self.start()

    def start(self):
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        url = re.search(r"http\S+", self._process.stdout.readline())[0]
        headers = {"Authorization": "Bearer any"}
        self.http = httpx.Client(base_url=f"{url}/", headers=headers, timeout=60)

    def kill(self):
        self._process.kill()
        self._process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()


def trainer(job):
    """Return the process id of a job's trainer; None if it has none."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes()
        except OSError:
            continue
        if b"tunesmith.train\0" in command and job.encode() in command:
            return int(path.parent.name)
    return None


def create(server, file):
    body = {
        "model": "tiny",
        "training_file": file,
        "seed": 1,
        "method": {"type": "supervised", "supervised": {"hyperparameters": HYPERPARAMETERS}},
        "tunesmith": OPTIONS,
    }
    response = server.http.post("fine_tuning/jobs", json=body)
    response.raise_for_status()
    return response.json()["id"]


def steps(server, job):
    """Return the numbers of the reported steps, in order of their events."""
    params = {"limit": 100}
    events = server.http.get(f"fine_tuning/jobs/{job}/events", params=params).json()["data"]
    return sorted(event["data"]["step"] for event in events if event["type"] == "metrics")


def wait(server, job, is_reached):
    while not is_reached(state := server.http.get(f"fine_tuning/jobs/{job}").json()):
        assert state["status"] in ("validating_files", "queued", "running", "succeeded"), state
        time.sleep(0.05)
    return state


def disturb(server, job, generator):
    """Kill something at a random moment of the job; return what."""
    at, victim = generator.randrange(N_STEPS), generator.choice(["server", "trainer", "both"])
    wait(server, job, lambda _: len(steps(server, job)) >= at)
    time.sleep(generator.random() / 10)
    pid = trainer(job)
    if victim in ("trainer", "both") and pid is not None:
        os.kill(pid, signal.SIGKILL)
    if victim in ("server", "both"):
        server.kill()
        server.start()
    return f"{victim} after step {at}"


def finish(server, state, job):
    """Return the bytes of the adapter of a job that has succeeded."""
    name = wait(server, job, lambda values: values["status"] == "succeeded")["fine_tuned_model"]
    assert steps(server, job) == list(range(1, N_STEPS + 1)), steps(server, job)
    folder = re.sub(r"[^\w.-]+", "--", name)
    return (Path(state) / "models" / folder / "adapter_model.safetensors").read_bytes()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("jobs", nargs="?", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    generator = random.Random(options.seed)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with TemporaryDirectory() as folder:
        base, state = save_model(Path(folder) / "model"), f"{folder}/state"
        with Server(base, state) as server:
            content = "".join(json.dumps(row) + "\n" for row in ROWS)
            form = {"files": {"file": ("a.jsonl", content)}, "data": {"purpose": "fine-tune"}}
            file = server.http.post("files", **form).json()["id"]
            expected = finish(server, state, create(server, file))
            for number in range(1, options.jobs + 1):
                job = create(server, file)
                killed = disturb(server, job, generator)
                assert finish(server, state, job) == expected
                print(f"{number}: {killed}: same bytes, each step once", flush=True)


if __name__ == "__main__":
    main()
