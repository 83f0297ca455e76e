"""A deadline is for the whole call: attempts, pauses and reads together."""

import pytest
from tests.unit.calls.conftest import HANG, Script, answer, refusal

from tunesmith import errors
from tunesmith.calls.deadline import Deadline
from tunesmith.clock import VirtualClock

pytestmark = pytest.mark.anyio


async def test_it_ends_an_attempt_that_hangs():
    backend = Script(HANG)
    with pytest.raises(errors.DeadlineExceededError) as caught:
        await backend.client(deadline=30).models.retrieve("ada")
    assert backend.clock.monotonic() == pytest.approx(30)
    assert caught.value.deadline == 30
    assert caught.value.operation == "models.retrieve"


async def test_it_spans_all_attempts():
    """Three attempts of 10 s would take 31 s and more."""
    backend = Script(HANG, HANG, HANG)
    with pytest.raises(errors.DeadlineExceededError):
        await backend.client(timeout=10, deadline=25).models.retrieve("ada")
    assert backend.clock.monotonic() == pytest.approx(25)
    assert len(backend.requests) == 3


@pytest.mark.parametrize("timeout_s", [None, 600])
async def test_a_timer_that_goes_off_a_little_early_is_still_its_end(timeout_s):
    """The clock of uvloop's timers is behind by a millisecond or more."""
    clock = VirtualClock()
    deadline = Deadline(clock, 30, "models.retrieve")
    await clock.sleep(29.99)
    assert isinstance(deadline.error(timeout_s, 1), errors.DeadlineExceededError)


async def test_a_timeout_long_before_it_is_a_timeout():
    deadline = Deadline(VirtualClock(), 30, "models.retrieve")
    assert not isinstance(deadline.error(10, 1), errors.DeadlineExceededError)


async def test_a_pause_that_would_outlast_it_is_not_begun():
    backend = Script(refusal(429, retry_after="60"))
    with pytest.raises(errors.DeadlineExceededError, match="waiting to retry") as caught:
        await backend.client(deadline=30).models.retrieve("ada")
    assert backend.clock.monotonic() < 1
    assert isinstance(caught.value.__cause__, errors.RateLimitError)


async def test_it_is_also_a_timeout_error():
    with pytest.raises(TimeoutError):
        await Script(HANG).client(deadline=1).models.retrieve("ada")


async def test_with_options_sets_it_for_some_calls_and_shares_the_backend():
    backend = Script(HANG, answer())
    client = backend.client()
    with pytest.raises(errors.DeadlineExceededError):
        await client.with_options(deadline=5).models.retrieve("ada")
    assert (await client.models.retrieve("ada")).id == "ada"
    await client.with_options(deadline=5).aclose()
    assert not backend.closed
    await client.aclose()
    assert backend.closed


async def test_none_takes_a_limit_away():
    backend = Script(answer([1000.0, b'{"id":"ada"}']))
    client = backend.client(timeout=1, deadline=1)
    model = await client.with_options(timeout=None, deadline=None).models.retrieve("ada")
    assert model.id == "ada"
