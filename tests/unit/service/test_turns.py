"""Whose turn it is among scripts."""

import pytest

from tunesmith.service.inference.stub_queue import StubQueue


@pytest.fixture
def turns():
    return StubQueue[str]()


def taken(turns, count):
    return [turns.next() for _ in range(count)]


def test_nobody_has_a_turn_at_first(turns):
    assert turns.next() is None


def test_the_last_one_for_ever_comes_first(turns):
    turns.add("old")
    turns.add("new")
    assert taken(turns, 2) == ["new", "new"]


def test_those_for_some_times_come_before_in_the_order_they_were_added(turns):
    turns.add("one", times=1)
    turns.add("always")
    turns.add("two", times=2)
    assert taken(turns, 5) == ["one", "two", "two", "always", "always"]


def test_one_that_does_not_suit_keeps_its_turn(turns):
    turns.add("long", times=1)
    turns.add("b")
    assert turns.match(lambda item: item if len(item) == 1 else None) == "b"
    assert turns.next() == "long"


def test_less_than_once_is_refused(turns):
    with pytest.raises(ValueError, match="times is 1 or more"):
        turns.add("never", times=0)


def test_clearing_forgets_all(turns):
    turns.add("one", times=1)
    turns.add("always")
    turns.clear()
    assert turns.next() is None
