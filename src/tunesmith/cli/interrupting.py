"""Ctrl-C while a question waits for its answer."""

import signal
from collections.abc import Generator
from contextlib import contextmanager

__all__ = ["default_sigint"]


@contextmanager
def default_sigint() -> Generator[None]:
    """Let Ctrl-C end what blocks the event loop, such as a question, at once.

    The loop's own handler only tells the loop, which does not run until the question is answered.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
