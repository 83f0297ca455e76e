"""Play many seeds: `python -m tests.simulation [--seeds 10000] [--first 0] [--processes 2]`.

`python -m tests.simulation --story SEED` prints what happened in one of them.
"""

import argparse
import sys
import time
from multiprocessing import Pool

from tests.simulation.scenario import play


def main():
    parser = argparse.ArgumentParser(description="Simulate batch jobs.")
    parser.add_argument("--seeds", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--story", type=int, help="print the story of one seed")
    options = parser.parse_args()
    if options.story is not None:
        story = []
        found = play(options.story, story)
        print("\n".join(story) + f"\n{found[0] if found else 'no violation'}")
        return 1 if found else 0
    began = time.monotonic()
    seeds = range(options.first, options.first + options.seeds)
    failed = 0
    with Pool(options.processes) as pool:
        for played, found in enumerate(pool.imap_unordered(play, seeds, chunksize=50), 1):
            if not played % 10_000 and played < options.seeds:
                print(f"{played:,} seeds, {failed} failed", flush=True)
            if found:
                failed += 1
                if failed == 1:
                    print("\n".join(found[1]))
                print(found[0])
            if failed >= 20:
                break
    took = time.monotonic() - began
    print(
        f"{options.seeds:,} seeds in {took:.1f} s by {options.processes} processes, {failed} failed"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
