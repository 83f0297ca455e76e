"""Jobs in processes of their own: killed at any moment, stopped by Ctrl-C, and resumed."""

import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from tests.unit.batch.victim import CONCURRENCY

VICTIM = Path(__file__).with_name("victim.py")
ROWS = 1500


def begin(folder, loop, latency_s=0.004):
    process = subprocess.Popen(
        [sys.executable, str(VICTIM), str(folder), loop, str(ROWS), str(latency_s)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "begun\n"
    return process


def paid(folder):
    return Counter((folder / "paid.txt").read_text().split())


def wait_until_paid(folder, rows):
    """No clock: so many rows, however quick the machine is."""
    while not (folder / "paid.txt").exists() or sum(paid(folder).values()) < rows:
        time.sleep(0.005)


def answered(folder):
    lines = [json.loads(line) for line in (folder / "answers.jsonl").read_text().splitlines()]
    return Counter(line["response"]["body"]["choices"][0]["text"] for line in lines)


EVERYTHING = Counter(f"p{i}" for i in range(ROWS))


@pytest.mark.slow
def test_however_often_it_is_killed_every_row_comes_out_once(tmp_path, anyio_backend):
    kills = 3
    chance = random.Random(anyio_backend)
    for n in range(kills):
        process = begin(tmp_path, anyio_backend)
        wait_until_paid(tmp_path, n * ROWS // 5 + chance.randrange(20, ROWS // 5))
        process.kill()
        process.communicate()
        # More than was under way is never in doubt.
        lost = sum(paid(tmp_path).values()) - len(
            (tmp_path / "answers.jsonl").read_bytes().split(b"\n")
        )
        assert lost <= CONCURRENCY * (n + 1)
    process = begin(tmp_path, anyio_backend)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert answered(tmp_path) == EVERYTHING
    again = sum(paid(tmp_path).values()) - ROWS
    assert again <= CONCURRENCY * kills
    report = json.loads(out)
    assert report["complete"]
    # The last kill's rows in doubt are named, and sent again.
    assert len(report["outcome_unknown"]) <= CONCURRENCY


@pytest.mark.slow
@pytest.mark.parametrize("presses", [1, 2])
def test_ctrl_c_finishes_what_is_under_way_and_a_second_one_leaves(
    tmp_path, anyio_backend, presses
):
    """Of a job in a plain script, with no handler of signals: the caller is cancelled."""
    process = begin(tmp_path, anyio_backend, latency_s=0.004 if presses == 1 else 30)
    wait_until_paid(tmp_path, 100 if presses == 1 else CONCURRENCY)
    process.send_signal(signal.SIGINT)
    if presses == 2:
        with pytest.raises(subprocess.TimeoutExpired):
            process.communicate(timeout=0.5)  # it waits for what is under way
        process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode != 0
    assert "Interrupted. Finished rows are kept; resume" in err
    before = paid(tmp_path)
    process = begin(tmp_path, anyio_backend)
    process.communicate(timeout=60)
    assert answered(tmp_path) == EVERYTHING
    again = sum(paid(tmp_path).values()) - ROWS
    assert again == (0 if presses == 1 else sum(before.values()))
