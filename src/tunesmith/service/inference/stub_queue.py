"""What is to be used for a number of times, or for ever: the order of all scripts."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["StubQueue"]

T = TypeVar("T")
R = TypeVar("R")


@dataclass(slots=True)
class _LimitedStub(Generic[T]):
    item: T
    left: int


class StubQueue(Generic[T]):
    """Items that have their turns.

    First come those for a number of times, in the order they were added; then those for ever, the
    last one first.

    Example:
        ```python
        from tunesmith.service.inference.stub_queue import StubQueue

        turns = StubQueue[str]()
        turns.add("always")
        turns.add("once", times=1)
        assert [turns.next(), turns.next(), turns.next()] == ["once", "always", "always"]
        ```
    """

    def __init__(self) -> None:
        self._limited: list[_LimitedStub[T]] = []
        self._lasting: list[T] = []

    def add(self, item: T, times: int | None = None) -> None:
        """Add an item.

        Args:
            item: What to use.
            times: How often; None for ever.

        Raises:
            ValueError: It is less than once.
        """
        if times is None:
            self._lasting.append(item)
        elif times < 1:
            raise ValueError(f"times is 1 or more, or None for ever, not {times}")
        else:
            self._limited.append(_LimitedStub(item, times))

    def match(self, matcher: Callable[[T], R | None]) -> R | None:
        """Use the first item that suits; that is one of its times.

        Args:
            matcher: Gives the result of an item; None where the item does not suit.
        """
        for turn in self._limited:
            result = matcher(turn.item)
            if result is not None:
                turn.left -= 1
                if not turn.left:
                    self._limited.remove(turn)
                return result
        for item in reversed(self._lasting):
            result = matcher(item)
            if result is not None:
                return result
        return None

    def next(self) -> T | None:
        """Use the item whose turn it is; None where there is none."""
        return self.match(lambda item: item)

    def clear(self) -> None:
        """Forget them all."""
        self._limited.clear()
        self._lasting.clear()
