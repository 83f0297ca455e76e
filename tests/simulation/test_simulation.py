"""Some seeds of the simulation; `python -m tests.simulation` plays 10,000, or as many as wanted."""

import os

import pytest
from tests.simulation.scenario import Scenario, play
from tests.simulation.world import ViolationError

SEEDS = int(os.environ.get("SIMULATION_SEEDS", "300"))


@pytest.mark.parametrize("first", range(0, SEEDS, 50))
def test_every_row_ends_once_and_no_money_is_lost_whatever_happens(first):
    for seed in range(first, first + 50):
        found = play(seed)
        assert found is None, "\n".join([*found[1][-60:], found[0]])


def test_a_violation_prints_the_story_that_led_to_it(monkeypatch):
    def fail(self, world):
        raise ViolationError("made up")

    monkeypatch.setattr(Scenario, "check_end", fail)
    message, story = play(0)
    assert message == "seed 0: ViolationError: made up"
    assert any("RowRead" in line for line in story)


def test_a_seed_always_plays_the_same():
    first, second = [], []
    play(7, first)
    play(7, second)
    assert first == second
    assert first
