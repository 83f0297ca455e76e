"""Prepare a prompt/completion table with tunesmith and with the old tool, side by side.

```
python tests/benchmarks/prepare.py 1000000 --old-python /path/to/venv/bin/python
```

The old tool is openai 0.28.1 in a virtual environment of its own:
`pip install 'openai[datalib]==0.28.1' 'numpy<2' 'pandas<2.2'`. Without it, only tunesmith is
measured. Both write a file; the rows in both are compared. Wall time and the peak of resident
memory are those of the whole process, its start included. The aim: at most a third of the old
tool's time, and a tenth of its memory.
"""

import argparse
import csv
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

OURS = """
import sys
from tunesmith.datasets import Dataset, diagnose, write
write(diagnose(Dataset.open(sys.argv[1])).plan(), split="auto")
"""
OLD = """
import sys
from openai.validators import (
    apply_validators, get_validators, read_any_format, write_out_file
)
table, remedy = read_any_format(sys.argv[1])
apply_validators(table, sys.argv[1], remedy, get_validators(), True, write_out_file)
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a run took."""

    wall_s: float
    cpu_s: float
    memory_mb: float


def table(path: Path, rows: int) -> None:
    """Write a table of made-up questions and answers, the same for each number of rows."""
    chance = random.Random(1)
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["".join(chance.choices(letters, k=chance.randint(2, 10))) for _ in range(5000)]

    def sentence(longest: int) -> str:
        return " ".join(chance.choices(words, k=chance.randint(5, longest))).capitalize()

    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["prompt", "completion"])
        for _ in range(rows):
            mark = chance.choice("?.")
            writer.writerow([sentence(20) + mark, sentence(15) + chance.choice(".!")])


def measure(python: str, script: str, path: Path) -> Cost:
    """Run a script in a process of its own."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    # Each child is waited for by a process of its own, so that the peak of memory is its alone.
    wait = (
        "import resource, subprocess, sys\n"
        "subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    command = [sys.executable, "-c", wait, python, "-c", script, str(path)]
    kilobytes = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    wall_s = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(wall_s, cpu_s, kilobytes / 1024)


def same_rows(ours: Path, old: Path) -> bool:
    """Whether two files hold the same rows in the same order."""
    with ours.open() as one, old.open() as other:
        return all(
            a is not None and b is not None and json.loads(a) == json.loads(b)
            for a, b in zip_longest(one, other)
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Prepare a table with tunesmith and the old tool")
    parser.add_argument("rows", type=int, nargs="?", default=100_000)
    parser.add_argument("--old-python", help="the Python of a venv with openai 0.28.1 and pandas")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        ours, old = Path(folder, "ours.csv"), Path(folder, "old.csv")
        table(ours, options.rows)
        cost = measure(sys.executable, OURS, ours)
        print_cost("tunesmith", cost)
        if not options.old_python:
            return
        old.write_bytes(ours.read_bytes())
        baseline = measure(options.old_python, OLD, old)
        print_cost("openai 0.28.1", baseline)
        print(
            f"{cost.wall_s / baseline.wall_s:.2f} of its wall time, "
            f"{cost.cpu_s / baseline.cpu_s:.2f} of its CPU time, "
            f"{cost.memory_mb / baseline.memory_mb:.3f} of its memory; same rows: "
            f"{same_rows(Path(folder, 'ours_prepared.jsonl'), Path(folder, 'old_prepared.jsonl'))}"
        )


def print_cost(name: str, cost: Cost) -> None:
    """Print a line."""
    print(
        f"{name:>14}: {cost.wall_s:7.2f} s wall, {cost.cpu_s:7.2f} s CPU, "
        f"{cost.memory_mb:8.1f} MB peak"
    )


if __name__ == "__main__":
    main()
