"""Money of a job as double entry: what is reserved, paid, perhaps paid, or returned."""

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["NOTHING", "Ledger", "Usage"]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of a request.

    Args:
        prompt: Input tokens.
        completion: Output tokens.
    """

    prompt: int = 0
    completion: int = 0

    @property
    def total(self) -> int:
        """Input and output tokens together."""
        return self.prompt + self.completion

    def __add__(self, other: "Usage") -> "Usage":
        if other is NOTHING:
            return self
        return Usage(self.prompt + other.prompt, self.completion + other.completion)

    def __sub__(self, other: "Usage") -> "Usage":
        return Usage(self.prompt - other.prompt, self.completion - other.completion)

    def capped(self, limit: "Usage") -> "Usage":
        """Return this usage, each part at most that of `limit`."""
        return Usage(min(self.prompt, limit.prompt), min(self.completion, limit.completion))


NOTHING = Usage()


class Ledger:
    """Accounts of one job over all its runs.

    Every token that enters stands in exactly one account: `reserved` (a request is in flight),
    `paid`, `perhaps_paid` (the outcome is unknown), `returning` (reserved and not used, by an
    entry that is not yet safe from a power loss), or `returned`. The sum of all but the last never
    exceeds the budget, provided that no service charges more than the most a request can cost.

    Args:
        allows: Whether a total stays within the budget; None without a budget.
    """

    __slots__ = (
        "_allows",
        "entered",
        "paid",
        "perhaps_paid",
        "reserved",
        "returned",
        "returning",
    )

    def __init__(self, allows: Callable[[Usage], bool] | None = None) -> None:
        self._allows = allows
        self.entered = NOTHING
        self.reserved = NOTHING
        self.paid = NOTHING
        self.perhaps_paid = NOTHING
        self.returning = NOTHING
        self.returned = NOTHING

    @property
    def has_budget(self) -> bool:
        """Whether there is a limit."""
        return self._allows is not None

    @property
    def committed(self) -> Usage:
        """Everything that counts against the budget."""
        return self.reserved + self.paid + self.perhaps_paid + self.returning

    @property
    def is_balanced(self) -> bool:
        """Whether every token stands in exactly one account, and none is negative."""
        accounts = (
            self.reserved,
            self.paid,
            self.perhaps_paid,
            self.returning,
            self.returned,
        )
        total = self.committed + self.returned
        return total == self.entered and all(a.prompt >= 0 <= a.completion for a in accounts)

    def can_reserve(self, amount: Usage) -> bool:
        """Return whether the budget allows one more request that costs at most `amount`."""
        return self._allows is None or self._allows(self.committed + amount)

    def reserve(self, amount: Usage) -> None:
        """Enter the most that a request can cost, before it is sent."""
        if amount is not NOTHING:
            self.entered += amount
            self.reserved += amount

    def pay(self, reserved: Usage, usage: Usage) -> None:
        """Exchange a reservation for what was paid; the rest is returned."""
        used = usage.capped(reserved)
        self.entered += usage - used
        self.reserved -= reserved
        self._give(reserved - used)
        self.paid += usage

    def doubt(self, reserved: Usage) -> None:
        """Keep a reservation as perhaps paid: the outcome of its request is unknown."""
        self.reserved -= reserved
        self.perhaps_paid += reserved

    def give_back(self, reserved: Usage) -> None:
        """Return a reservation: its request was not paid."""
        self.reserved -= reserved
        self._give(reserved)

    def release(self, synced: Usage) -> None:
        """Return what entries allowed that are safe from a power loss by now."""
        self.returning -= synced
        self.returned += synced

    def _give(self, amount: Usage) -> None:
        if self._allows is None:
            self.returned += amount
        else:
            self.returning += amount
