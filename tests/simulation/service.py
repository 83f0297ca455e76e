"""A service that limits, refuses, loses, duplicates, lags and lies, as a seed decides."""

from dataclasses import dataclass, field

from tunesmith.batch.core.ledger import Usage


@dataclass
class Payment:
    """One time that a row was paid.

    `end` is how it ended: `pending`, `answered`, `unfit`, `lost`, `crashed`, `duplicate`.
    """

    key: str
    usage: Usage
    end: str = "pending"
    batch: str | None = None


@dataclass
class Batch:
    """A batch at the service."""

    id: str
    shard: int
    keys: list
    created_at: float
    visible_at: float
    ends_at: float
    end: str
    files_late: int = 0
    truncated: int = 0
    broken: int = 0
    doubled: bool = False
    counts: bool = True
    vanishes: bool = False
    cancelled: bool = False
    results: dict = field(default_factory=dict)
    payments: dict = field(default_factory=dict)


class Service:
    """Faults happen with probability `chaos`; with 0 every request is served."""

    def __init__(self, rng, rows):
        self.rng = rng
        self.rows = rows
        self.chaos = 0.0
        self.payments = []
        self.spent = 0
        self.batches = {}
        self.uploads = 0
        self.away_until = -1.0
        self.refused = self.served = 0

    def hits(self, weight=1.0):
        """Return whether a fault happens now."""
        return self.rng.random() < self.chaos * weight

    def pay(self, key, batch=None):
        """Charge for a row."""
        cost = self.rows[key]
        usage = Usage(self.rng.randint(0, cost.prompt), self.rng.randint(0, cost.completion))
        payment = Payment(key, usage, batch=batch)
        self.payments.append(payment)
        self.spent += usage.total
        return payment

    # --- live ---

    def answer(self, key, now):
        """Serve a request: a tuple of the latency, the kind of answer, and the payment."""
        rng = self.rng
        latency = rng.uniform(0.01, 2.0)
        if now < self.away_until:
            kind = rng.choice(["unreachable", "503", "503"])
            return latency, kind, None
        if self.hits(0.02):
            self.away_until = now + rng.choice([1.0, 30.0, 200.0])
        if not self.hits():
            return latency, "answer", self.pay(key)
        kind = rng.choice(
            [
                "429",
                "429",
                "429+",
                "500",
                "reset",
                "lost",
                "lost",
                "timeout",
                "unfit",
                "400",
                "bare",
            ]
        )
        paid = kind in {"unfit", "bare"} or (kind in {"lost", "timeout"} and rng.random() < 0.7)
        return latency, kind, self.pay(key) if paid else None

    # --- batches ---

    def create(self, shard, keys, now):
        """Create a batch; it is done, expired or gone after a while."""
        rng = self.rng
        end = "completed"
        if self.hits():
            end = rng.choice(["expired", "cancelled", "failed", "completed"])
        batch = Batch(
            id=f"batch_{len(self.batches) + 1}",
            shard=shard,
            keys=list(keys),
            created_at=now,
            visible_at=now + (rng.choice([0.0, 1.0, 20.0, 200.0]) if self.hits(2) else 0.0),
            ends_at=now + rng.choice([1.0, 600.0, 10_000.0]),
            end=end,
            files_late=rng.randint(1, 3) if self.hits() else 0,
            truncated=rng.randint(1, 8) if self.hits(0.7) else 0,
            broken=rng.randint(1, 2) if self.hits(0.5) else 0,
            doubled=self.hits(),
            counts=not self.hits(),
            vanishes=self.hits(0.3),
        )
        self.batches[batch.id] = batch
        for key in keys:
            self._do(batch, key)
        return batch

    def _do(self, batch, key):
        if batch.end == "failed":
            return
        if batch.end in {"expired", "cancelled"} and self.rng.random() < 0.5:
            if batch.end == "expired" and self.rng.random() < 0.5:
                batch.results[key] = "expired"
            return
        kind = "answer"
        if self.hits():
            kind = self.rng.choice(["500", "400", "unfit", "bare"])
        if kind in {"answer", "unfit", "bare"}:
            batch.payments[key] = self.pay(key, batch.id)
        batch.results[key] = kind

    def listed(self, shard, now):
        """Return the ids of a shard's batches that the list shows by now."""
        found = [b for b in self.batches.values() if b.shard == shard and b.visible_at <= now]
        return tuple(batch.id for batch in sorted(found, key=lambda b: b.created_at))
