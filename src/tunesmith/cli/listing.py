"""Lists, as far as they are wanted."""

from collections.abc import AsyncIterable
from typing import TypeVar

__all__ = ["take"]

T = TypeVar("T")


async def take(limit: int, items: AsyncIterable[T]) -> list[T]:
    """Take the first items of a list; pages behind them are not asked for."""
    taken: list[T] = []
    async for item in items:
        taken.append(item)
        if len(taken) == limit:
            break
    return taken
