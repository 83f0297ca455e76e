"""Order of precedence of stubs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["StubQueue"]

T = TypeVar("T")
R = TypeVar("R")


@dataclass(slots=True)
class _LimitedStub(Generic[T]):
    item: T
    remaining: int


class StubQueue(Generic[T]):
    """Queue of stubs.

    Stubs with a number of uses come first, in the order in which they were added; then those
    without, the last one first.

    Example:
        ```python
        from tunesmith.service.inference.stub_queue import StubQueue

        queue = StubQueue[str]()
        queue.add("always")
        queue.add("once", times=1)
        assert [queue.next(), queue.next(), queue.next()] == ["once", "always", "always"]
        ```
    """

    def __init__(self) -> None:
        self._limited: list[_LimitedStub[T]] = []
        self._unlimited: list[T] = []

    def add(self, item: T, times: int | None = None) -> None:
        """Add a stub.

        Args:
            item: The stub.
            times: Number of uses; None for unlimited.

        Raises:
            ValueError: The number is less than 1.
        """
        if times is None:
            self._unlimited.append(item)
        elif times < 1:
            raise ValueError(f"times must be at least 1, or None for unlimited, not {times}")
        else:
            self._limited.append(_LimitedStub(item, times))

    @property
    def unused(self) -> list[tuple[T, int]]:
        """Limited stubs with the number of their uses that are left."""
        return [(stub.item, stub.remaining) for stub in self._limited]

    def match(self, matcher: Callable[[T], R | None]) -> R | None:
        """Use the first stub that matches, and return its result.

        Args:
            matcher: Returns the result of a stub; None if it does not match.
        """
        for stub in self._limited:
            result = matcher(stub.item)
            if result is not None:
                stub.remaining -= 1
                if not stub.remaining:
                    self._limited.remove(stub)
                return result
        results = (matcher(item) for item in reversed(self._unlimited))
        return next((result for result in results if result is not None), None)

    def next(self) -> T | None:
        """Use the first stub; None if there is none."""
        return self.match(lambda item: item)

    def clear(self) -> None:
        """Remove all stubs."""
        self._limited.clear()
        self._unlimited.clear()
