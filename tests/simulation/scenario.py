"""A seed's scenario: runs that end by crashes, stops and full disks, and a last good one."""

import random
from dataclasses import dataclass, field
from math import inf

from tests.simulation.disk import Crash, Disk
from tests.simulation.service import Service
from tests.simulation.world import ViolationError, World

from tunesmith.batch.core.ledger import Usage


@dataclass
class Settings:
    """Settings of one run."""

    source: list
    mode: str = "live"
    concurrency: object = 4
    max_retries: int = 2
    budget: int | None = None
    deadline: float = inf
    patience: float = 5000.0
    poll_s: float = 5.0
    enqueued_tokens: int | None = None
    shard_rows: int = 5
    retry_failed: bool = False
    stop_after: float | None = None
    cancel_after: float | None = None
    jumps: float = 0.0
    is_strict: bool = True
    names_crashes: bool = True
    may_duplicate: bool = False
    was_over: bool = False
    duplicates: set = field(default_factory=set)
    excused: list = field(default_factory=list)
    unnamed: list = field(default_factory=list)


class Scenario:
    """Everything that a seed decides."""

    def __init__(self, seed, story=None):
        self.seed = seed
        self.story = story
        self.rng = rng = random.Random(seed)
        count = rng.choice([1, 3, 8, 20])
        self.rows = {f"r{i}": Usage(rng.randint(1, 9), rng.randint(1, 9)) for i in range(count)}
        self.disk = Disk(rng)
        self.service = Service(rng, self.rows)
        self.excused = []
        self.unnamed = []
        self.duplicates = set()
        self.now = 0.0

    def settings(self, number):
        """Return the settings of a run; its mode stays, or changes to one that collects."""
        rng = self.rng
        source = list(self.rows.items())
        if rng.random() < 0.2:
            rng.shuffle(source)
        return Settings(
            source,
            mode=self.mode if not number else rng.choice(self.modes),
            concurrency=rng.choice([1, 2, 4, "auto"]),
            max_retries=rng.choice([0, 1, 3]),
            budget=rng.choice([None, None, 15, 60, 200, 1000]),
            deadline=rng.choice([inf, inf, 20.0, 3000.0]),
            patience=rng.choice([0.0, 100.0, 50_000.0]),
            poll_s=rng.choice([5.0, 60.0]),
            enqueued_tokens=rng.choice([None, None, 20]),
            shard_rows=rng.choice([2, 5, 50]),
            retry_failed=rng.random() < 0.2,
            stop_after=rng.choice([None, None, 2.0, 500.0]),
            cancel_after=rng.choice([None, None, None, 100.0]),
            jumps=rng.choice([0.0, 0.0, 0.02]),
            is_strict=rng.random() < 0.7,
            duplicates=self.duplicates,
            excused=self.excused,
            unnamed=self.unnamed,
        )

    def run(self):
        """Run all runs, and check the end.

        Raises:
            ViolationError: An invariant does not hold.
        """
        rng = self.rng
        self.mode = rng.choice(["live", "live", "batch", "auto"])
        self.modes = ["live"] if self.mode == "live" else ["batch", "auto"]
        highest = 0
        for number in range(rng.choice([0, 1, 1, 2, 3])):
            self.service.chaos = rng.choice([0.0, 0.05, 0.3])
            settings = self.settings(number)
            settings.was_over = settings.budget is not None and settings.budget < highest
            highest = max(highest, settings.budget or 10**9)
            self.run_once(settings, crash=rng.choice([None, "kill", "power"]))
        self.service.chaos = 0.0
        self.service.away_until = -1.0
        for _ in range(3):
            last = Settings(
                list(self.rows.items()),
                mode=self.modes[0],
                duplicates=self.duplicates,
                excused=self.excused,
                unnamed=self.unnamed,
            )
            world = self.run_once(last)
            if world.core.state.stopped != "cancelled":  # batches that the service cancelled
                break
        self.check_end(world)

    def run_once(self, settings, crash=None):
        """Make one run."""
        disk, rng = self.disk, self.rng
        disk.restart()
        if crash is not None:
            disk.crash_at = int(rng.expovariate(1 / 40)) + 1
        elif self.service.chaos and rng.random() < 0.1:
            disk.full_from = int(rng.expovariate(1 / 40)) + 1
        if self.story is not None:
            self.story.append(f"{self.now:12.3f}  run {settings}")
        world = World(rng, disk, self.service, settings, self.now, self.story)
        world.usages = {}
        try:
            world.run()
        except Crash:
            world.tell_story(f"the process dies: {crash}")
            self.crash(crash, settings)
        self.now = world.now + 1.0
        for payment in self.service.payments:  # what was in flight has nobody who waits for it
            if payment.end == "pending" and payment.batch is None:
                payment.end = "crashed"
        return world

    def crash(self, kind, settings):
        """Lose what the kind of crash loses, and note what no journal can know of it."""
        before = {name: list(lines) for name, lines in self.disk.files.items()}
        if kind == "power":
            self.disk.lose_power()
        lost_answers = {k for k, _ in before.get("answers", [])} - {
            k for k, _ in self.disk.read("answers")
        }
        for payment in self.service.payments:
            if payment.end == "answered" and payment.key in lost_answers:
                payment.end = "crashed" if payment.batch is None else "pending"
        if kind == "power" and not settings.is_strict:
            for payment in self.service.payments:
                if payment.batch is None:  # entries of the last moment are lost
                    self.unnamed.append(payment)
                    self.excused.append(self.rows[payment.key])

    def check_end(self, world):
        """Every row ended exactly once, and the job says so."""
        answers = [key for key, _ in self.disk.read("answers")]
        errors = [key for key, _ in self.disk.read("errors")]
        if sorted(answers + errors) != sorted(self.rows):
            raise ViolationError(
                f"rows without or with two outcomes: {sorted(answers)}, failed {sorted(errors)}"
            )
        if world.core.state.stopped is not None:
            raise ViolationError(f"the last run stopped by {world.core.state.stopped}")
        again = JobReplay(self)
        again.check(world)


class JobReplay:
    """A core made from the files alone has the same money as the one that wrote them."""

    def __init__(self, scenario):
        settings = Settings([], excused=scenario.excused, duplicates=scenario.duplicates)
        self.world = World(
            scenario.rng, scenario.disk, scenario.service, settings, scenario.now, None
        )

    def check(self, before):
        self.world.restore()
        ours, theirs = self.world.core.ledger, before.core.ledger
        if ours.committed != theirs.committed:
            raise ViolationError(f"replayed {ours.committed}, and the run had {theirs.committed}")
        if self.world.core.batches.shards:
            raise ViolationError("shards are left")


def play(seed, story=None):
    """Play a seed.

    Returns:
        None, or the violation and the story that led to it.
    """
    try:
        Scenario(seed, story).run()
    except Exception as error:  # noqa: BLE001 - a failure of any kind is told with its story
        if story is None:
            return play(seed, [])
        return f"seed {seed}: {type(error).__name__}: {error}", story
    return None
