"""Estimate of a job: rows, tokens and cost, without sending anything."""

from contextlib import aclosing
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from pydantic_core import from_json, to_json

from tunesmith._json_types import is_list
from tunesmith.batch.index import KeyIndex
from tunesmith.batch.requests import RequestBuilder
from tunesmith.batch.row_source import RowSource
from tunesmith.batch.rows import RequestRow
from tunesmith.datasets.cost import Prices
from tunesmith.datasets.rows import Row as Example
from tunesmith.datasets.tokens import TokenCounter, default_counter
from tunesmith.errors import DatasetError

__all__ = ["Estimate", "estimate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Estimate of a job.

    Args:
        rows: Number of valid rows.
        duplicates: Number of them that are equal to an earlier one.
        prompt_tokens: Their input tokens.
        answer_tokens: Their maximum output tokens; None if there is no limit.
        is_exact: Whether the input tokens were counted, not estimated.
        usd: The maximum cost; None without prices, or without a limit of the output tokens.
        as_of: The day of the prices.
        invalid: Number of further rows that are invalid and would fail.
        first_problem: Problem of the first invalid row; None if there is none.
    """

    rows: int
    duplicates: int
    prompt_tokens: int
    answer_tokens: int | None
    is_exact: bool
    usd: float | None
    as_of: date | None
    invalid: int = 0
    first_problem: str | None = None

    def to_json(self) -> str:
        """Return JSON."""
        return to_json(asdict(self)).decode()

    def __str__(self) -> str:
        about = "" if self.is_exact else "about "
        limit = (
            "no limit of the output tokens"
            if self.answer_tokens is None
            else f"at most {self.answer_tokens:,} output tokens"
        )
        text = f"{self.rows:,} rows, {about}{self.prompt_tokens:,} input tokens, {limit}"
        if self.duplicates:
            text = f"{text}; {self.duplicates:,} equal to an earlier row"
        if self.invalid:
            text = f"{text}; {self.invalid:,} invalid rows would fail, first: {self.first_problem}"
        if self.usd is None:
            return text
        return f"{text}; at most {about}${self.usd:,.4f} (prices of {self.as_of})"


async def estimate(
    rows: RowSource, build: RequestBuilder, model: str | None, prices: Prices | None
) -> Estimate:
    """Read all rows, and count them and their tokens.

    Args:
        rows: The source.
        build: Builds requests from its rows.
        model: Model for tokens and prices.
        prices: Prices of tokens; None for no cost.

    Raises:
        DatasetError: The first row is invalid, or the source cannot be read.
    """
    counter = default_counter(model)
    count = equal = invalid = prompt_tokens = 0
    first_problem: str | None = None
    answer_tokens: int | None = 0
    index = KeyIndex()
    try:
        async with aclosing(rows.chunks()) as pieces:
            async for piece in pieces:
                built: list[RequestRow] = []
                for line, data in piece:
                    try:
                        row, is_custom_id = build(line, data)
                        key, is_duplicate = index.assign_key(row.key, is_custom_id=is_custom_id)
                        if is_duplicate:
                            raise build.duplicate_error(row)
                    except DatasetError as problem:
                        if not count and not built:
                            raise
                        invalid += 1
                        first_problem = first_problem or str(problem)
                    else:
                        equal += key != row.key
                        built.append(row)
                count += len(built)
                prompt_tokens += _prompt_tokens(counter, built)
                bounds: list[int | None] = [
                    answer_tokens,
                    *(row.max_completion_tokens for row in built),
                ]
                known = [bound for bound in bounds if bound is not None]
                answer_tokens = sum(known) if len(known) == len(bounds) else None
    finally:
        index.close()
    usd = None
    per_token = prices.completion_prices(model) if prices and model else None
    if per_token is not None and answer_tokens is not None:
        usd = (prompt_tokens * per_token[0] + answer_tokens * per_token[1]) / 1e6
    return Estimate(
        rows=count,
        duplicates=equal,
        invalid=invalid,
        first_problem=first_problem,
        prompt_tokens=prompt_tokens,
        answer_tokens=answer_tokens,
        is_exact=counter.exact,
        usd=usd,
        as_of=prices.as_of if prices and usd is not None else None,
    )


def _prompt_tokens(counter: TokenCounter, rows: list[RequestRow]) -> int:
    texts: list[str] = []
    conversations: list[Example] = []
    ids = 0
    for row in rows:
        body: Any = from_json(row.body)
        prompt: Any = body.get(row.endpoint.prompt)
        if row.endpoint.prompt == "messages":
            conversations.append(Example(row.line, body))
            continue
        for part in prompt if is_list(prompt) else [prompt]:
            if isinstance(part, str):
                texts.append(part)
            else:  # token ids, or a list of them
                ids += len(part) if is_list(part) else 1
    counted = sum(counter.texts(texts)) + sum(count.total for count in counter.rows(conversations))
    return counted + ids
