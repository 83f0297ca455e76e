"""What tunesmith costs beside its peers, measured in one run.

    python -m tests.benchmarks [CASES] [--rounds 3] [--docs]

Run it from the project's root, on Linux. The first time, it installs the peers in an environment
of their own, `.venv-peers`. Server and clients each have a core; within a round the clients take
turns, so that a busy machine disturbs all alike. CPU is each client's whole process, by the
operating system's accounting; ratios are taken within a round. `--docs` writes the tables, and
without CASES measures batch jobs and imports too; `batch.py`, `imports.py` and `prepare.py`, the
preparation of data, are commands of their own.
"""

import argparse
import functools
import sys
from contextlib import ExitStack, closing
from pathlib import Path

from tests.benchmarks import batch, imports
from tests.benchmarks.cases import CASES
from tests.benchmarks.environment import Worker, prepare, serving
from tests.benchmarks.report import plot, table, with_summary, with_tables

DOCS = Path(__file__).parents[2] / "docs" / "explanation"
PLOTTED = ("calls-32", "calls-256", "streams-64")


def run(case, url, rounds, worker):
    """Run a case; gives each client's results, round by round."""
    results = {peer: [] for peer in case.peers}
    for _ in range(rounds):
        for peer in case.peers:
            if case.fresh:
                with closing(Worker(peer, url)) as fresh:
                    results[peer].append(fresh.run(case.order))
            else:
                results[peer].append(worker(peer, url).run(case.order))
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("cases", nargs="*", metavar="CASES", help=", ".join(CASES))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--docs", action="store_true", help="write the tables of the docs")
    options = parser.parse_args()
    names = options.cases or list(CASES)
    if unknown := set(names) - set(CASES):
        sys.exit(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(CASES)}")
    prepare()
    done = {}
    with serving() as (http, https), ExitStack() as stack:
        # A client's process serves all cases: those that wait for their turn use no CPU.
        worker = functools.cache(lambda *of: stack.enter_context(closing(Worker(*of))))
        for name in names:
            case = CASES[name]
            rounds = 1 if name == "leak" else options.rounds
            done[name] = case, run(case, https if case.tls else http, rounds, worker)
            print(table(*done[name]), flush=True)
    if options.docs:
        page = DOCS / "measurements.md"
        tables = [table(*done[name]) for name in names]
        if not options.cases:
            tables.append(f"### {batch.CPU_TITLE}\n\n{batch.cpu_table(options.rounds)}")
            tables.append(f"### Importing, and making clients\n\n{imports.table(10)}")
            (DOCS / "speed.svg").write_text(plot([done[name] for name in PLOTTED]))
        page.write_text(with_tables(page.read_text(), tables))
        speed = DOCS / "speed.md"
        speed.write_text(with_summary(speed.read_text(), page.read_text()))


if __name__ == "__main__":
    main()
