"""What importing and making a client cost, beside bare httpx and pydantic and the official SDK.

    python -m tests.benchmarks.imports [--rounds 10]

CPU seconds of fresh processes by the operating system's accounting, less those of an empty one, in
interleaved rounds; medians, and ratios to bare httpx + pydantic. The official SDK is installed in
the peers' environment, with tunesmith beside it: all see the same packages.
"""

import argparse
import resource
import statistics
import subprocess

from tests.benchmarks.environment import PEERS, prepare

CASES = {
    "(empty)": "pass",
    "import httpx, pydantic": "import httpx, pydantic",
    "import tunesmith": "import tunesmith",
    "tunesmith, first client": "import tunesmith; tunesmith.AsyncClient(api_key='k')",
    "tunesmith, first client and completions": (
        "import tunesmith; tunesmith.AsyncClient(api_key='k').completions.create"
    ),
    "import openai": "import openai",
    "openai, first client": "import openai; openai.AsyncOpenAI(api_key='k')",
    "openai, first client and completions": (
        "import openai; openai.AsyncOpenAI(api_key='k').completions.create"
    ),
}

CLIENTS = {
    "tunesmith": "import tunesmith\nmake = lambda: tunesmith.AsyncClient(api_key='k')",
    "openai": "import openai\nmake = lambda: openai.AsyncOpenAI(api_key='k')",
}

NEXT_CLIENT = """
import time
make()
began = time.process_time()
for _ in range(20): make()
print((time.process_time() - began) / 20)
"""


def cpu_s(python, code):
    """Run code in a fresh process; its CPU seconds, user and system."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([python, "-c", code], check=True, cwd=PEERS)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def table(rounds):
    """Measure so often; gives a Markdown table."""
    python = prepare()
    for code in CASES.values():
        cpu_s(python, code)  # so that all is compiled, and in the file cache
    seconds = {name: [] for name in CASES}
    for _ in range(rounds):
        for name, code in CASES.items():
            seconds[name].append(cpu_s(python, code))
    empty = statistics.median(seconds.pop("(empty)"))
    bare = statistics.median(seconds["import httpx, pydantic"]) - empty
    lines = ["| Program | CPU ms | Ratio to bare (min to max) |", "| --- | ---: | --- |"]
    for name, values in seconds.items():
        ratios = [(value - empty) / bare for value in values]
        median, spread = statistics.median(ratios), f"{min(ratios):.2f} to {max(ratios):.2f}"
        lines.append(f"| {name} | {median * bare * 1000:.0f} | {median:.2f} ({spread}) |")
    for name, code in CLIENTS.items():
        done = subprocess.run(
            [python, "-c", code + NEXT_CLIENT], capture_output=True, text=True, check=True
        )
        lines.append(f"| each further client of {name} | {float(done.stdout) * 1000:.3f} | |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    print(table(parser.parse_args().rounds))


if __name__ == "__main__":
    main()
