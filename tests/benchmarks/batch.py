"""Batch jobs, measured: CPU, rate-limit storms, kills, Ctrl-C, a million rows.

    python -m tests.benchmarks.batch [cpu] [storm] [kill] [ctrl-c] [million] [--rounds 3]

The service is a lean server in a process of its own (`batch_server.py`), the runners are processes
of their own too (`batch_runners.py`); peers are installed in `.venv-peers`, beside tunesmith. CPU
seconds are those of the whole process of the runner.
"""

import argparse
import json
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

from tests.benchmarks.environment import PYTHON, ROOT, prepare

PROMPTS = 5000
CONCURRENCY = 100

FLOOR, OFFICIAL = "floor (aiohttp)", "openai"
OURS = ("tunesmith", "tunesmith, fast")

CPU_TITLE = f"{PROMPTS:,} prompts as a batch job, 50 ms latency, concurrency {CONCURRENCY}"


@contextmanager
def service(folder, latency_ms, bucket="none", headers="no"):
    """Run a service; gives its URL."""
    paid = str(folder / "paid.txt")
    command = [sys.executable, "-m", "tests.benchmarks.batch_server"]
    process = subprocess.Popen(
        [*command, str(latency_ms), str(bucket), headers, paid],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    port = process.stdout.readline().strip()
    try:
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.stdin.close()
        process.wait(10)


def begin(runner, url, rows, concurrency, output):
    command = [PYTHON, "-m", "tests.benchmarks.batch_runners", runner]
    return subprocess.Popen(
        [*command, url, str(rows), str(concurrency), str(output)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(process):
    """Wait for a runner; what it says of itself."""
    out, err = process.communicate(timeout=900)
    if process.returncode:
        raise RuntimeError(err)
    return json.loads(out.splitlines()[-1])


def measured(runner, rows, concurrency, latency_ms, **limits):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with service(folder, latency_ms, **limits) as url:
            return finished(begin(runner, url, rows, concurrency, folder / "answers.jsonl"))


def cpu_table(rounds):
    """Compare the runners' CPU; gives a Markdown table."""
    figures = {runner: [] for runner in (FLOOR, *OURS, OFFICIAL)}
    for _ in range(rounds):
        for runner, found in figures.items():
            found.append(measured(runner, PROMPTS, CONCURRENCY, 50))
    floor, official = (
        statistics.median(found["cpu_s"] for found in figures[runner])
        for runner in (FLOOR, OFFICIAL)
    )
    lines = [
        "| Runner | CPU s, median (min to max) | To the floor | To openai | Wall s | Peak MB |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for runner, found in figures.items():
        cpu = [each["cpu_s"] for each in found]
        median = statistics.median(cpu)
        wall, peak = (statistics.median(e[name] for e in found) for name in ("wall_s", "peak_mb"))
        lines.append(
            f"| {runner} | {median:.2f} ({min(cpu):.2f} to {max(cpu):.2f}) | {median / floor:.2f} "
            f"| {median / official:.2f} | {wall:.1f} | {peak:.0f} |"
        )
    return "\n".join(lines) + "\n"


def show_storm(runners):
    print("\n600 requests against 1,500 a minute in a bucket of a second: 24 s are ideal\n")
    print("| runner | headers | failed rows | seconds | to the ideal | refused |")
    print("|---|---|---|---|---|---|")
    for headers in ("yes", "no"):
        for runner in runners:
            found = measured(runner, 600, CONCURRENCY, 50, bucket=1500, headers=headers)
            took = found["wall_s"]
            told = "Retry-After" if headers == "yes" else "none"
            ratio, refused = f"{took / 24:.2f}", found.get("refused", "?")
            print(f"| {runner} | {told} | {found['failed']} | {took:.1f} | {ratio} | {refused} |")


def show_kill(runner, kills=20, rows=2000, concurrency=50):
    """Each kill in a run of its own, which is then resumed."""
    chance = random.Random(1)
    worst, missing, twice, unnamed = 0, 0, 0, 0
    for _ in range(kills):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            output = folder / "answers.jsonl"
            with service(folder, 50) as url:
                process = begin(runner, url, rows, concurrency, output)
                stop_at = chance.randrange(1, rows)
                while process.poll() is None and _paid(folder).total() < stop_at:
                    time.sleep(0.005)
                process.kill()
                process.communicate()
                report = finished(begin(runner, url, rows, concurrency, output))
            paid, written = _paid(folder), Counter(_keys(output))
        again = paid.total() - rows
        worst = max(worst, again)
        missing += rows - len(written)
        twice += written.total() - len(written)
        unnamed += max(again - len(report["outcome_unknown"]), 0)
    print(f"\n{kills} kills in runs of {rows:,} at concurrency {concurrency} ({runner}), resumed:")
    print(f"rows missing {missing}, rows twice {twice}, paid again at most {worst},")
    print(f"paid again and not named {unnamed}")


def show_ctrl_c(runner, rows=2000, concurrency=50):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        output = folder / "answers.jsonl"
        with service(folder, 50) as url:
            process = begin(runner, url, rows, concurrency, output)
            while _paid(folder).total() < rows // 2:
                time.sleep(0.005)
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)
            report = finished(begin(runner, url, rows, concurrency, output))
        again, written = _paid(folder).total() - rows, Counter(_keys(output))
    print(f"\nCtrl-C half way through {rows:,} ({runner}), resumed: paid again {again},")
    print(f"rows missing {rows - len(written)}, done before {report['skipped']:,}")


def show_million(sizes=(5000, 50_000, 1_000_000)):
    print("\nRows through a service in the process that answers at once\n")
    print("| rows | peak MB | rows/s | CPU µs a row |")
    print("|---|---|---|---|")
    for rows in sizes:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            source = folder / "prompts.jsonl"
            with source.open("w") as file:
                file.writelines(f'{{"prompt":"Immanuel Kant number {i}"}}\n' for i in range(rows))
            found = finished(begin("at once", str(source), rows, 32, folder / "answers.jsonl"))
        cpu, rate = found["cpu_s"] / rows * 1e6, rows / found["wall_s"]
        print(f"| {rows:,} | {found['peak_mb']:.0f} | {rate:,.0f} | {cpu:.0f} |")


def _paid(folder):
    path = folder / "paid.txt"
    return Counter(path.read_bytes().splitlines() if path.exists() else [])


def _keys(output):
    return [json.loads(line)["custom_id"] for line in output.read_bytes().splitlines()]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="*", default=["cpu", "storm", "kill", "ctrl-c", "million"])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    prepare()
    if "cpu" in options.what:
        print(f"\n{CPU_TITLE}\n\n{cpu_table(options.rounds)}")
    if "storm" in options.what:
        show_storm([*OURS, OFFICIAL])
    if "kill" in options.what:
        show_kill(OURS[-1])
    if "ctrl-c" in options.what:
        show_ctrl_c(OURS[-1])
    if "million" in options.what:
        show_million()


if __name__ == "__main__":
    main()
