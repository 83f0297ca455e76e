"""Ctrl-C: the first one lets what is under way finish, the second one does not."""

import signal
import threading
from collections.abc import Callable
from typing import Any

import anyio

__all__ = ["SignalHandler"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)

_LOOPS = ("asyncio.runners", "trio._core._ki")
"""The modules whose handlers turn Ctrl-C into an exception wherever the program happens to be."""


class SignalHandler:
    """Listens for SIGINT and SIGTERM, where nobody else does.

    A program that handles these signals itself, such as a web server, keeps them.

    Args:
        on_first: Called at the first signal.
        on_repeat: Called at each further one.
    """

    def __init__(self, on_first: Callable[[], None], on_repeat: Callable[[], None]) -> None:
        self._first = on_first
        self._second = on_repeat
        self._got: signal.Signals | None = None

    async def listen(self) -> None:
        """Listen until cancelled."""
        if threading.current_thread() is not threading.main_thread():
            return  # where Python hears no signals
        before = {number: signal.getsignal(number) for number in _SIGNALS}
        ours = [number for number, handler in before.items() if _is_default_handler(handler)]
        if not ours:
            return
        try:
            with anyio.open_signal_receiver(*ours) as received:
                async for number in received:
                    if self._got is not None:
                        self._second()
                    else:
                        self._got = number
                        self._first()
        finally:
            for number in ours:
                signal.signal(number, before[number])

    def raise_again(self) -> None:
        """End the program as the signal would have, now that all is safe."""
        got, self._got = self._got, None
        if got is signal.SIGINT:
            raise KeyboardInterrupt
        if got is not None:
            raise SystemExit(128 + got)


def _is_default_handler(handler: Any) -> bool:
    function = getattr(handler, "func", handler)  # asyncio's is a partial
    return (
        handler in {signal.SIG_DFL, signal.default_int_handler}
        or getattr(function, "__module__", None) in _LOOPS
    )
