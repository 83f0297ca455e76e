"""Seeds of the simulation; `python -m tests.simulation` plays as many as wanted.

`SIMULATION_SEEDS` sets their number. A part runs always, the others as slow tests.
"""

import os

import pytest
from tests.simulation.scenario import Scenario, play
from tests.simulation.world import ViolationError

SEEDS = int(os.environ.get("SIMULATION_SEEDS", "10000"))
CHUNK = 100
ALWAYS = 3

CHUNKS = [
    pytest.param(first, marks=() if number < ALWAYS else pytest.mark.slow)
    for number, first in enumerate(range(0, SEEDS, CHUNK))
]

VIOLATED_ONCE = {
    19447: "a truncated file of answers passed for whole, since expired rows had lines as well",
    75164: "a full disk refused a run that was to retry failed rows",
    48739: "the same, with a batch that expired",
    130973: "rows that failed for the lack of a result were not paid when it came after a crash",
    168282: "the same, with a batch without counts",
    804653: "a batch was created again though rows of the first one had their outcome",
    238724: "a retry of a failed row returned what an attempt with a lost end may have cost",
}


@pytest.mark.parametrize("first", CHUNKS)
def test_every_row_ends_once_and_no_money_is_lost_whatever_happens(first):
    for seed in range(first, first + CHUNK):
        assert_no_violation(seed)


@pytest.mark.parametrize("seed", VIOLATED_ONCE, ids=str)
def test_seeds_that_once_violated_an_invariant_do_so_no_more(seed):
    assert_no_violation(seed)


def assert_no_violation(seed):
    violation = play(seed)
    assert violation is None, "\n".join([*violation[1][-60:], violation[0]])


def test_a_violation_prints_the_story_that_led_to_it(monkeypatch):
    def fail(self, world):
        raise ViolationError("made up")

    monkeypatch.setattr(Scenario, "check_end", fail)
    message, story = play(0)
    assert message == "seed 0: ViolationError: made up"
    assert any("add_row" in line for line in story)


def test_a_seed_always_plays_the_same():
    first, second = [], []
    play(7, first)
    play(7, second)
    assert first == second
    assert first
