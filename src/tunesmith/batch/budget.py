"""Budget of a job: no request is sent that could exceed it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tunesmith.batch.results import Usage
from tunesmith.batch.rows import RequestRow
from tunesmith.errors import ConfigurationError, DatasetError

if TYPE_CHECKING:
    from tunesmith.datasets.cost import Prices

__all__ = ["Budget", "BudgetTracker"]


@dataclass(frozen=True, slots=True)
class Budget:
    """Maximum cost of a job over all its runs.

    Args:
        usd: In dollars, by the prices of the job.
        tokens: In input and output tokens.

    Raises:
        ConfigurationError: The budget is not above 0.

    Example:
        ```python
        budget = Budget.parse("5usd")
        assert budget == Budget(usd=5.0)
        assert Budget.parse("200000tokens") == Budget(tokens=200_000)
        ```
    """

    usd: float | None = None
    tokens: int | None = None

    def __post_init__(self) -> None:
        for amount in (self.usd, self.tokens):
            if amount is not None and not amount > 0:  # also refuses NaN
                raise ConfigurationError(f"a budget must be above 0, not {amount}")

    def __str__(self) -> str:
        usd = None if self.usd is None else f"${self.usd:,.2f}"
        tokens = None if self.tokens is None else f"{self.tokens:,} tokens"
        return ", ".join(filter(None, (usd, tokens)))

    @classmethod
    def parse(cls, text: str) -> "Budget":
        """Parse `5usd` or `200000tokens`.

        Raises:
            ConfigurationError: The text is neither.
        """
        written = text.strip().lower().replace("_", "").replace(",", "")
        try:
            if written.endswith("usd"):
                return cls(usd=float(written.removesuffix("usd")))
            if written.endswith("tokens"):
                return cls(tokens=int(written.removesuffix("tokens")))
        except ValueError:
            pass
        raise ConfigurationError(f"a budget must be like 5usd or 200000tokens, not {text!r}")


class BudgetTracker:
    """Budget with the prices of a model.

    Args:
        budget: The budget; None for no limit.
        prices: Prices of tokens.
        model: The model.

    Raises:
        ConfigurationError: A budget in dollars needs prices.
    """

    def __init__(
        self, budget: Budget | None = None, prices: "Prices | None" = None, model: str | None = None
    ) -> None:
        self.budget = budget
        self._per_token = prices.completion_prices(model) if prices and model else None
        if budget is not None and budget.usd is not None and self._per_token is None:
            remedy = (
                f"add usd_per_million_input_tokens and …_output_tokens of {model} to them"
                if prices and model
                else "pass a model"
                if prices
                else "pass prices=Prices(as_of=…, usd_per_million_input_tokens={…}, "
                "usd_per_million_output_tokens={…}) and the model"
            )
            raise ConfigurationError(
                f"a budget in dollars needs the prices of {model or 'a model'}: {remedy}, or set "
                "the budget in tokens"
            )

    def usd(self, usage: Usage) -> float | None:
        """Return the price of tokens; None without prices."""
        if self._per_token is None:
            return None
        per_prompt, per_completion = self._per_token
        return (usage.prompt * per_prompt + usage.completion * per_completion) / 1e6

    def max_usage(self, row: RequestRow) -> Usage | None:
        """Return the maximum tokens of a row, counting a token per byte of the request.

        Raises:
            DatasetError: There is a budget, and the row has no limit of output tokens.
        """
        if row.max_completion_tokens is not None:
            return Usage(len(row.body), row.max_completion_tokens)
        if self.budget is None:
            return None
        raise DatasetError(
            "Nothing bounds the tokens of this row's answer, so no budget can hold.",
            line=row.line,
            remedy=f"Give a parameter such as {row.endpoint.length_params[0]}, in the row or "
            "for all: params={…}.",
        )

    def allows(self, usage: Usage) -> bool:
        """Return whether a total is within the budget."""
        budget = self.budget
        if budget is None:
            return True
        if budget.tokens is not None and usage.total > budget.tokens:
            return False
        return budget.usd is None or (self.usd(usage) or 0.0) <= budget.usd
