"""Signals: the first Ctrl-C stops after the requests in flight, the second one at once."""

import signal
import threading
from collections.abc import Callable
from typing import Any

import anyio

__all__ = ["SignalHandler"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)

_LOOPS = ("asyncio.runners", "trio._core._ki")
"""Modules whose handlers raise an exception at any place in the program."""


class SignalHandler:
    """Handler of SIGINT and SIGTERM, unless the program has its own.

    Handlers of the program, such as those of a web server, are not replaced.

    Args:
        on_first: Called at the first signal.
        on_repeat: Called at each further one.
    """

    def __init__(self, on_first: Callable[[], None], on_repeat: Callable[[], None]) -> None:
        self._on_first = on_first
        self._on_repeat = on_repeat
        self._received: signal.Signals | None = None

    async def listen(self) -> None:
        """Listen until cancelled."""
        if threading.current_thread() is not threading.main_thread():
            return  # only the main thread receives signals
        before = {number: signal.getsignal(number) for number in _SIGNALS}
        ours = [number for number, handler in before.items() if _is_default_handler(handler)]
        if not ours:
            return
        try:
            with anyio.open_signal_receiver(*ours) as signals:
                async for number in signals:
                    if self._received is not None:
                        self._on_repeat()
                    else:
                        self._received = number
                        self._on_first()
        finally:
            for number in ours:
                signal.signal(number, before[number])

    def raise_again(self) -> None:
        """End the program as the signal would have, after the job was stopped."""
        received, self._received = self._received, None
        if received is signal.SIGINT:
            raise KeyboardInterrupt
        if received is not None:
            raise SystemExit(128 + received)


def _is_default_handler(handler: Any) -> bool:
    function = getattr(handler, "func", handler)  # asyncio's is a partial
    return (
        handler in {signal.SIG_DFL, signal.default_int_handler}
        or getattr(function, "__module__", None) in _LOOPS
    )
