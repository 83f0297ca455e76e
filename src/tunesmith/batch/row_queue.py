"""Queue of rows, read a little ahead of the core."""

from collections.abc import Awaitable, Callable, Iterable
from contextlib import aclosing

from tunesmith.batch.budget import BudgetTracker
from tunesmith.batch.core.core import JobCore
from tunesmith.batch.core.decisions import Decision
from tunesmith.batch.core.states import Failure, OpenRow
from tunesmith.batch.index import KeyIndex
from tunesmith.batch.requests import RequestBuilder
from tunesmith.batch.result_stream import Notifier
from tunesmith.batch.results import INVALID_ROW
from tunesmith.batch.row_source import RowSource
from tunesmith.batch.rows import RequestRow
from tunesmith.errors import DatasetError

__all__ = ["RowQueue", "open_row"]

_MAX_BUFFERED = 50_000
"""Maximum number of outcomes that wait for a slow row; then reading waits, too."""


class RowQueue:
    """Reader of the source, which adds rows to the core as long as it wants them.

    Args:
        rows: The source.
        build: Builds requests from its rows.
        index: Assigns keys, and stores positions.
        budget: Computes the maximum cost of a row.
        core: The core.
        execute: Executes decisions.
        pause: Waits until the consumer can take more outcomes.
        count_buffered: Returns the number of outcomes that wait for an earlier row.
        has_positions: Whether positions are stored: for order, and for rows in batches.
    """

    def __init__(
        self,
        rows: RowSource,
        build: RequestBuilder,
        index: KeyIndex,
        budget: BudgetTracker,
        core: JobCore,
        execute: Callable[[Iterable[Decision]], None],
        pause: Callable[[], Awaitable[None]],
        count_buffered: Callable[[], int],
        *,
        has_positions: bool,
    ) -> None:
        self._rows = rows
        self._build = build
        self._index = index
        self._budget = budget
        self._core = core
        self._state = core.state
        self._execute = execute
        self._pause = pause
        self._count_buffered = count_buffered
        self._has_positions = has_positions
        self._has_valid_rows = False
        self._space = Notifier()

    async def run(self, on_rows: Callable[[], None]) -> None:
        """Read until the source ends, or the job stops.

        Args:
            on_rows: Called when there are more rows.

        Raises:
            DatasetError: The first row is not a request, or the source cannot be read.
        """
        async with aclosing(self._rows.chunks()) as chunks:
            async for chunk in chunks:
                for line, data in chunk:
                    self._read(line, data)
                on_rows()
                await self._pause()
                while not self._state.wants_rows or self._is_held_up():
                    if self._state.stopped is not None:
                        return
                    await self._space.wait()
        self._state.source_ended = True
        on_rows()

    def _is_held_up(self) -> bool:
        self._state.is_held_up = self._count_buffered() >= _MAX_BUFFERED
        return self._state.is_held_up

    def notify_space(self) -> None:
        """Check again whether rows are wanted."""
        self._space.notify()

    def _read(self, line: int, data: object) -> None:
        """Add a row to the core.

        A row that is not a request fails, and the others are sent. If the first row is not a
        request, the job fails.
        """
        is_custom_id, problem = False, None
        try:
            row, is_custom_id = self._build(line, data)
            self._has_valid_rows = True
        except DatasetError as error:
            if not self._has_valid_rows:
                raise (error.__cause__ or error) from None  # what a template raises is the user's
            row, problem = self._build.invalid_row(line, data), error
        key, is_duplicate = self._index.assign_key(row.key, is_custom_id=is_custom_id)
        if is_duplicate:
            problem = self._build.duplicate_error(row)
        number = self._state.seen
        if self._has_positions:
            self._index.set_position(key, number, line)
        if key != row.key:
            row = row._replace(key=key)
        if problem is not None:
            invalid = OpenRow(key, number, payload=row)
            failure = Failure(INVALID_ROW, str(problem))
            self._execute(self._core.reject_row(invalid, failure))
        else:
            self._execute(self._core.add_row(open_row(row, number, self._budget)))


def open_row(row: RequestRow, number: int, budget: BudgetTracker) -> OpenRow:
    """Return the row at a position in the source for the core.

    Raises:
        DatasetError: There is a budget, and the row has no limit of output tokens.
    """
    return OpenRow(
        row.key,
        number,
        budget.max_usage(row),
        row.estimated_tokens,
        row.max_completion_tokens,
        len(row.body),
        row,
        row.body,
    )
