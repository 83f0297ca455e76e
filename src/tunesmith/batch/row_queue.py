"""Reads ahead, so that workers always find a row, and never more than a few."""

from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing

from tunesmith.batch.index import KeyIndex, RowStatus
from tunesmith.batch.output import OutputWriter
from tunesmith.batch.requests import RequestBuilder
from tunesmith.batch.results import INVALID_ROW, Result, RowError
from tunesmith.batch.rows import RequestRow
from tunesmith.batch.signal import Notifier
from tunesmith.batch.source import RowSource
from tunesmith.errors import DatasetError

__all__ = ["RowQueue"]

_AHEAD_ROWS = 256
_AHEAD_BYTES = 8 << 20
_MOST_HELD = 50_000
"""So many outcomes may wait for the turn of a slow row; beyond, nothing new is begun."""


class RowQueue:
    """Gives the rows that earlier runs have not finished, one by one.

    Args:
        rows: The source.
        build: Makes rows of what it holds.
        index: What is known of every key.
        output: Is told of the rows that are finished already.
        on_invalid: Takes the outcome of a row that is no request.
        wait_for_space: Waits until more outcomes are welcome.

    Attributes:
        seen: Rows of the source so far.
        skipped: Those that earlier runs had finished.
        again: Keys of those that earlier runs had sent, and nobody knows what came of it.
        ended: Whether the source was read to its end.
    """

    def __init__(
        self,
        rows: RowSource,
        build: RequestBuilder,
        index: KeyIndex,
        output: OutputWriter,
        on_invalid: Callable[[RequestRow, Result], None],
        wait_for_space: Callable[[], Awaitable[None]],
    ) -> None:
        self._rows = rows
        self._build = build
        self._index = index
        self._output = output
        self._refuse = on_invalid
        self._pause = wait_for_space
        self._has_good_rows = False
        self._queue: deque[RequestRow] = deque()
        self._bytes = 0
        self._more = Notifier()
        self._room = Notifier()
        self._stopped = False
        self._put_back: Iterator[RequestRow] = iter(())
        self.seen = 0
        self.skipped = 0
        self.again: list[str] = []
        self.ended = False

    async def run(self) -> None:
        """Read until the source ends or nobody wants more.

        Raises:
            DatasetError: The first row is no request, or the source cannot be read.
        """
        try:
            async with aclosing(self._rows.chunks()) as pieces:
                async for piece in pieces:
                    for line, data in piece:
                        row = self.prepare(line, data)
                        if row is not None:
                            self._queue.append(row)
                            self._bytes += len(row.body)
                    self._more.notify()
                    await self._pause()
                    while self._is_full and not self._stopped:
                        await self._room.wait()
                    if self._stopped:
                        return
                self.ended = True
        finally:
            self._stopped = True
            self._more.notify()

    async def get(self) -> RequestRow | None:
        """Take the next row; None if there are no more, or they are not wanted."""
        if (before := next(self._put_back, None)) is not None:
            return before
        while not self._queue:
            if self._stopped:
                return None
            await self._more.wait()
        row = self._queue.popleft()
        self._bytes -= len(row.body)
        self.notify_space()
        return row

    def put_back(self, rows: Iterator[RequestRow]) -> None:
        """Give these rows, which were taken before, ahead of all others."""
        self._put_back = rows

    def notify_space(self) -> None:
        """Look whether there is room for more again."""
        if not self._is_full:
            self._room.notify()

    def stop(self) -> None:
        """Give no more rows."""
        self._queue.clear()
        self._put_back = iter(())
        self._stopped = True
        self._more.notify()
        self._room.notify()

    def prepare(self, line: int, data: object) -> RequestRow | None:
        """Make the row and give it its key; None if an earlier run has finished it.

        A row that is no request fails, and the others are done. But if the first one is none, what
        is wrong is wrong with the job.

        Raises:
            DatasetError: It is no request, and none was before.
        """
        has_custom_id, problem = False, None
        try:
            row, has_custom_id = self._build(line, data)
            self._has_good_rows = True
        except DatasetError as wrong:
            if not self._has_good_rows:
                raise
            row, problem = self._build.invalid_row(line, data), wrong
        key, known = self._index.assign_key(row)
        if has_custom_id and key != row.key:
            problem = self._build.duplicate_error(row)
        number = self.seen
        self.seen += 1
        if known.state in {RowStatus.DONE, RowStatus.FAILED}:
            self.skipped += 1
            self._output.mark_existing(number, known)
            return None
        if known.state is RowStatus.IN_BATCH:
            self._index.set_position(key, number, line)
            return None
        row = row._replace(key=key, number=number)
        if problem is not None:
            error = RowError(INVALID_ROW, str(problem), attempts=0)
            self._refuse(row, Result(key, line, row.endpoint, None, None, None, error=error))
            return None
        if known.state is RowStatus.SENT:
            self.again.append(key)
        return row

    @property
    def is_blocked(self) -> bool:
        """Whether it reads no further until the outcome of an early row is there."""
        return not self._queue and self._output.buffered >= _MOST_HELD

    @property
    def _is_full(self) -> bool:
        return (
            len(self._queue) >= _AHEAD_ROWS
            or self._bytes >= _AHEAD_BYTES
            or self._output.buffered >= _MOST_HELD
        )
