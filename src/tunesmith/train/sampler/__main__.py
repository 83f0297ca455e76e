# pyright: basic, reportMissingImports=false
"""Command line of the sampler: `python -m tunesmith.train.sampler BASE`."""

import argparse
import json
import os
import sys
import threading
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any


def run(folder: Path) -> None:
    """Serve requests from standard input until it is closed.

    Args:
        folder: Folder of the base model.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as in the trainer
    import transformers

    from tunesmith.train.sampler.model import SamplerModel
    from tunesmith.train.sampler.process import Sampler

    transformers.logging.set_verbosity_error()
    commands: SimpleQueue[dict[str, Any]] = SimpleQueue()
    threading.Thread(target=_read, args=(commands,), daemon=True).start()
    try:
        sampler = Sampler(SamplerModel(folder))
    except (ValueError, ImportError, OSError) as error:
        sys.exit(f"{folder} cannot be loaded: {error}")
    while True:
        if sampler.is_idle:
            sampler.handle(commands.get())
        try:
            while True:
                sampler.handle(commands.get_nowait())
        except Empty:
            pass
        sampler.advance()
        for response in sampler.output:
            sys.stdout.write(json.dumps(response) + "\n")
        sampler.output.clear()
        sys.stdout.flush()


def _read(commands: "SimpleQueue[dict[str, Any]]") -> None:
    for line in sys.stdin:
        commands.put(json.loads(line))
    os._exit(0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m tunesmith.train.sampler",
        description="Generate text by requests on standard input, a JSON object per line.",
    )
    parser.add_argument("base", type=Path, help="folder of the base model")
    run(parser.parse_args().base)
