"""Command line of the trainer: `python -m tunesmith.train JOBDIR`."""

import argparse
import os
import sys
import threading
from contextlib import nullcontext
from pathlib import Path

__all__ = ["main"]

_NICENESS = 5


def main() -> int:
    """Train the job of a folder; return 0 at its end, 143 after a signal, 1 after an error."""
    parser = argparse.ArgumentParser(
        prog="python -m tunesmith.train",
        description="Train the job of a folder: job.json and train.jsonl in; steps.jsonl, "
        "checkpoints and end.json out. Run it again to continue after an interruption.",
    )
    parser.add_argument("folder", type=Path, metavar="JOBDIR")
    parser.add_argument(
        "--stop-at-eof",
        action="store_true",
        help="exit when standard input is closed, as when the process that started it has died",
    )
    arguments = parser.parse_args()
    if arguments.stop_at_eof:
        os.nice(_NICENESS)  # the service responds first
        threading.Thread(target=_exit_at_eof, daemon=True).start()
    # Waiting threads of torch must not spin: beside other programs that took 5 times as much CPU.
    # The library reads the variable when it is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from tunesmith.service.engines.transformers.folder import JobFolder
    from tunesmith.service.engines.transformers.job import InvalidJobError
    from tunesmith.train.run import train_folder

    folder: Path = arguments.folder
    is_first = os.environ.get("RANK", "0") == "0"
    try:
        with JobFolder(folder).lock() if is_first else nullcontext():
            return 0 if train_folder(folder) else 143
    except (InvalidJobError, OSError) as error:
        if is_first and isinstance(error, InvalidJobError):
            JobFolder(folder).write_end(str(error))
        sys.stderr.write(f"error: {error}\n")
        return 1


def _exit_at_eof() -> None:
    while os.read(0, 4096):
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
