"""Stubs are used in their order of precedence."""

import pytest

from tunesmith.service.inference.stub_queue import StubQueue


@pytest.fixture
def queue():
    return StubQueue[str]()


def use(queue, count):
    return [queue.next() for _ in range(count)]


def test_an_empty_queue_has_no_stub(queue):
    assert queue.next() is None


def test_the_last_unlimited_stub_comes_first(queue):
    queue.add("old")
    queue.add("new")
    assert use(queue, 2) == ["new", "new"]


def test_limited_stubs_come_first_in_the_order_they_were_added(queue):
    queue.add("one", times=1)
    queue.add("always")
    queue.add("two", times=2)
    assert use(queue, 5) == ["one", "two", "two", "always", "always"]


def test_a_stub_that_does_not_match_keeps_its_uses(queue):
    queue.add("long", times=1)
    queue.add("b")
    assert queue.match(lambda item: item if len(item) == 1 else None) == "b"
    assert queue.next() == "long"


def test_less_than_one_use_is_refused(queue):
    with pytest.raises(ValueError, match="times must be at least 1"):
        queue.add("never", times=0)


def test_a_cleared_queue_is_empty(queue):
    queue.add("one", times=1)
    queue.add("always")
    queue.clear()
    assert queue.next() is None
