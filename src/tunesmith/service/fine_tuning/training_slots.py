"""Slots of trainings: how many jobs train at a time."""

from collections.abc import Callable

__all__ = ["TrainingSlots"]


class TrainingSlots:
    """Slots for trainings, which waiting jobs get in the order of their creation.

    Args:
        limit: Number of slots; None for no limit.
    """

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._numbers: dict[str, int] = {}
        self._holders: set[str] = set()
        self._waiting: dict[str, Callable[[], None]] = {}

    @property
    def n_waiting(self) -> int:
        """Number of jobs that wait for a slot."""
        return len(self._waiting)

    def add(self, id: str) -> None:
        """Add a job, which may acquire a slot later."""
        self._numbers[id] = len(self._numbers)

    def acquire(self, id: str, retry: Callable[[], None]) -> bool:
        """Acquire a slot; if there is none, call a function once the job has one.

        Args:
            id: The job.
            retry: Function to call.
        """
        if id not in self._holders:
            self._waiting[id] = retry
            self._fill()
        return id in self._holders

    def hold(self, id: str) -> None:
        """Acquire a slot for a job that was training when the service was closed."""
        self._holders.add(id)

    def release(self, id: str) -> None:
        """Release the slot of a job, or its place in the queue."""
        self._waiting.pop(id, None)
        self._holders.discard(id)
        for retry in self._fill():
            retry()

    def _fill(self) -> list[Callable[[], None]]:
        waiting = sorted(self._waiting, key=self._numbers.__getitem__)
        free = len(waiting) if self._limit is None else self._limit - len(self._holders)
        filled = waiting[: max(free, 0)]
        self._holders.update(filled)
        return [self._waiting.pop(job) for job in filled]
