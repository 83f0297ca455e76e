"""Cost of training: tokens, epochs, and prices from the user.

This package contains no prices: they change, and a price that is out of date is worse than none.
Price lists such as genai-prices have prices of completions, not of training.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from os import PathLike, fspath
from pathlib import Path
from typing import Annotated, Self

from annotated_types import Ge
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tunesmith.errors import DatasetError

__all__ = ["Cost", "Prices", "default_epochs", "training_cost"]

TARGET_EPOCHS = 3
MIN_EXAMPLES_SEEN = 100
MAX_EXAMPLES_SEEN = 25_000
MAX_EPOCHS = 25


def default_epochs(examples: int) -> int:
    """Return the number of epochs that the service chooses.

    Three; more for few examples (until a hundred are seen, at most 25 epochs), fewer for many (so
    that 25,000 are seen, at least one epoch).

    Source: https://github.com/openai/openai-cookbook/blob/main/examples/Chat_finetuning_data_prep.ipynb

    Example:
        ```python
        assert [default_epochs(n) for n in (5, 280, 10_000, 1_000_000)] == [20, 3, 2, 1]
        ```
    """
    seen = examples * TARGET_EPOCHS
    if seen < MIN_EXAMPLES_SEEN:
        return min(MAX_EPOCHS, MIN_EXAMPLES_SEEN // max(examples, 1))
    if seen > MAX_EXAMPLES_SEEN:
        return max(1, MAX_EXAMPLES_SEEN // examples)
    return TARGET_EPOCHS


ByModel = Mapping[str, Annotated[float, Ge(0)]]


_EXAMPLE = (
    '{"as_of": "2026-11-01", "usd_per_million_input_tokens": {"MODEL": 0.5}, '
    '"usd_per_million_output_tokens": {"MODEL": 1.5}} for completions, '
    '{"as_of": "2026-11-01", "usd_per_million_training_tokens": {"MODEL": 2.5}} for training.'
)


class Prices(BaseModel):
    """Prices and the day they were looked up.

    Attributes:
        as_of: The day the prices were looked up; it is shown with every sum.
        usd_per_million_training_tokens: The price of training by model; the name of a model also
            stands for its dated snapshots and for models fine-tuned from it.
        usd_per_million_input_tokens: The price of input by model.
        usd_per_million_output_tokens: The price of output by model.

    Example:
        ```python
        prices = Prices(as_of="2026-11-01", usd_per_million_training_tokens={"my-model": 2.5})
        ```
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    as_of: date
    usd_per_million_training_tokens: ByModel = Field(default_factory=dict[str, float])
    usd_per_million_input_tokens: ByModel = Field(default_factory=dict[str, float])
    usd_per_million_output_tokens: ByModel = Field(default_factory=dict[str, float])

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if not (self.usd_per_million_training_tokens or self.usd_per_million_input_tokens):
            raise ValueError(
                "usd_per_million_training_tokens or usd_per_million_input_tokens is required"
            )
        return self

    @classmethod
    def read(cls, path: str | PathLike[str]) -> "Prices":
        """Read prices from a JSON file with the fields of this class.

        Raises:
            DatasetError: The file cannot be read, or has other fields.
        """
        try:
            return cls.model_validate_json(Path(path).read_bytes())
        except OSError as error:
            raise DatasetError(
                f"The prices cannot be read: {error.strerror or error}.",
                file=fspath(path),
                remedy=f"Pass a JSON file: {_EXAMPLE}",
            ) from error
        except ValidationError as error:
            first = error.errors()[0]
            raise DatasetError(
                f"The prices are not valid: {first['msg'].removeprefix('Value error, ')}.",
                file=fspath(path),
                field=".".join(map(str, first["loc"])) or None,
                remedy=f"Write {_EXAMPLE}",
            ) from None

    def training_price(self, model: str) -> float | None:
        """Return the price of a million training tokens; None for a model that is not listed."""
        return _price(self.usd_per_million_training_tokens, model)

    def completion_prices(self, model: str) -> tuple[float, float] | None:
        """Return the prices of a million input and output tokens; None for an unlisted model.

        Where only input has a price, as for embeddings, output costs nothing.
        """
        input_price = _price(self.usd_per_million_input_tokens, model)
        output_price = _price(self.usd_per_million_output_tokens, model)
        return None if input_price is None else (input_price, output_price or 0.0)


def _price(listed: Mapping[str, float], model: str) -> float | None:
    base = model.removeprefix("ft:").split(":")[0]
    for name in (model, base, _without_date(base)):
        if name in listed:
            return listed[name]
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Cost of training.

    Attributes:
        tokens: The tokens of all examples.
        epochs: The number of epochs.
        exact: Whether the tokens were counted rather than estimated.
        model: The model, if it is known.
        usd: The price; None if it is not known.
        as_of: The day of the price.
    """

    tokens: int
    epochs: int
    exact: bool
    model: str | None = None
    usd: float | None = None
    as_of: date | None = None

    @property
    def trained_tokens(self) -> int:
        """The tokens of all epochs, which are paid for."""
        return self.tokens * self.epochs

    def __str__(self) -> str:
        about = "" if self.exact else "about "
        epochs = "1 epoch" if self.epochs == 1 else f"{self.epochs} epochs"
        formula = (
            f"{about}{self.tokens:,} tokens × {epochs} = "  # noqa: RUF001 — times
            f"{about}{self.trained_tokens:,} trained tokens"
        )
        if self.usd is None:
            return f"{formula}; the price is not known"
        cents = 4 if self.usd < 1 else 2
        return f"{formula} = {about}${self.usd:,.{cents}f} (prices of {self.as_of})"


def training_cost(
    tokens: int,
    examples: int,
    *,
    exact: bool = True,
    epochs: int | None = None,
    model: str | None = None,
    prices: Prices | None = None,
) -> Cost:
    """Compute the cost of supervised or preference training; reinforcement is paid by time.

    Args:
        tokens: The tokens of all examples.
        examples: The number of examples.
        exact: Whether the tokens were counted rather than estimated.
        epochs: The number of epochs; without it, `default_epochs`.
        model: The model.
        prices: Your prices; without them, or without the model among them, `usd` is None.

    Example:
        ```python
        cost = training_cost(20_000, 280, model="babbage-002")
        print(cost)
        ```
    """
    cost = Cost(tokens=tokens, epochs=epochs or default_epochs(examples), exact=exact, model=model)
    price = prices.training_price(model) if prices and model else None
    if prices is None or price is None:
        return cost
    return replace(cost, usd=cost.trained_tokens * price / 1e6, as_of=prices.as_of)


def _without_date(model: str) -> str:
    name, *parts = model.rsplit("-", 3)
    return name if len(parts) == 3 and all(part.isdigit() for part in parts) else model  # noqa: PLR2004 — year, month, day
