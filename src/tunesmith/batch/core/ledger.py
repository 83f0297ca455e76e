"""Double-entry accounts of a job: reserved, paid, perhaps paid, and returned tokens."""

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["NOTHING", "Ledger", "Usage"]


@dataclass(slots=True, unsafe_hash=True)  # a frozen one takes four times as long to create
class Usage:
    """Tokens of a request; never changed.

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
        if other is NOTHING or self is NOTHING:
            return self if other is NOTHING else other
        return Usage(self.prompt + other.prompt, self.completion + other.completion)

    def __sub__(self, other: "Usage") -> "Usage":
        if other is NOTHING:
            return self
        return Usage(self.prompt - other.prompt, self.completion - other.completion)

    def capped(self, limit: "Usage") -> "Usage":
        """Return this usage, each part at most that of `limit`."""
        if self.prompt <= limit.prompt and self.completion <= limit.completion:
            return self
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
    def committed(self) -> Usage:
        """Sum of the accounts that count against the budget."""
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
        """Reserve the maximum cost of a request before it is sent."""
        if amount is not NOTHING:
            self.entered += amount
            self.reserved += amount

    def pay(self, reserved: Usage, usage: Usage) -> None:
        """Replace a reservation by the paid tokens; the rest is returned."""
        used = NOTHING if reserved is NOTHING else usage.capped(reserved)
        if used is not usage:
            self.entered += usage - used
        self.reserved -= reserved
        self._return(reserved - used)
        self.paid += usage

    def hold(self, reserved: Usage) -> None:
        """Move a reservation to perhaps paid: the outcome of its request is unknown."""
        self.reserved -= reserved
        self.perhaps_paid += reserved

    def refund(self, reserved: Usage) -> None:
        """Return a reservation: its request was not paid."""
        self.reserved -= reserved
        self._return(reserved)

    def release(self, synced: Usage) -> None:
        """Return tokens whose entries are safe from a power loss."""
        self.returning -= synced
        self.returned += synced

    def _return(self, amount: Usage) -> None:
        if self._allows is None:
            self.returned += amount
        elif amount is not NOTHING:
            self.returning += amount
