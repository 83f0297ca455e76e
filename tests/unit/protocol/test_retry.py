"""Whether a failed attempt is followed by another, and after what pause."""

import pytest
from hypothesis import given, strategies as st

from tunesmith.errors import BackendError
from tunesmith.protocol.retry import RetryPolicy, may_have_been_processed, retry_delay

POLICY = RetryPolicy()


def pause(attempt=1, *, policy=POLICY, random=0.0, now=0.0, headers=None, **outcome):
    return retry_delay(policy, attempt, headers=headers, now=now, random=random, **outcome)


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 529])
def test_failures_that_pass_are_tried_again(status):
    assert pause(status=status) == 0.5


@pytest.mark.parametrize("status", [None, 301, 400, 401, 403, 404, 413, 422, 499, 501])
def test_failures_that_stay_are_not(status):
    assert pause(status=status) is None


@pytest.mark.parametrize("phase", ["connect", "connect_timeout", "write", "read", "timeout"])
def test_a_connection_that_fails_is_tried_again(phase):
    assert pause(error=BackendError("broken", phase=phase)) == 0.5


def test_a_closed_backend_stays_closed():
    assert pause(error=BackendError("closed", phase="closed")) is None


def test_the_pause_doubles_up_to_the_longest():
    policy = RetryPolicy(max_retries=7)
    pauses = [pause(attempt, policy=policy, status=500) for attempt in range(1, 9)]
    assert pauses == [0.5, 1, 2, 4, 8, 8, 8, None]


def test_a_thousand_attempts_are_no_overflow():
    assert pause(5000, policy=RetryPolicy(max_retries=10_000), status=500) == 8


def test_no_retries_means_one_attempt():
    assert pause(policy=RetryPolicy(max_retries=0), status=500) is None


@given(st.floats(0, 1), st.integers(1, 9))
def test_chance_takes_a_quarter_of_the_pause_at_most(random, attempt):
    policy = RetryPolicy(max_retries=9)
    longest = pause(attempt, policy=policy, status=500)
    assert 0.75 * longest <= pause(attempt, policy=policy, status=500, random=random) <= longest


@pytest.mark.parametrize(
    ("headers", "asked_s"),
    [
        ({"retry-after": "3"}, 3),
        ({"retry-after": "0.25"}, 0.25),
        ({"retry-after-ms": "1500", "retry-after": "60"}, 1.5),
        ({"retry-after": "Thu, 01 Jan 1970 00:01:40 GMT"}, 60),
        ({"retry-after": "120"}, 120),
    ],
)
def test_the_pause_is_the_one_the_service_asks_for(headers, asked_s):
    """Chance takes nothing off it: sooner would be refused again."""
    assert pause(status=429, headers=headers, now=40.0, random=1.0) == asked_s


def test_a_service_that_asks_for_more_than_two_minutes_is_not_waited_for():
    assert pause(status=429, headers={"retry-after": "120.5"}) is None


@pytest.mark.parametrize("value", ["0", "-5", "Thu, 01 Jan 1970 00:00:01 GMT", "soon", ""])
def test_a_service_that_asks_for_no_pause_gets_the_usual_one(value):
    """Else many callers would come back at once."""
    assert pause(status=429, headers={"retry-after": value}, now=40.0) == 0.5


def test_the_service_can_overrule_the_status():
    assert pause(status=500, headers={"x-should-retry": "false"}) is None
    assert pause(status=400, headers={"x-should-retry": "true"}) == 0.5
    assert pause(status=400, headers={"x-should-retry": "perhaps"}) is None


def test_an_exhausted_quota_is_never_tried_again():
    headers = {"retry-after": "1", "x-should-retry": "true"}
    assert pause(status=429, code="insufficient_quota", headers=headers) is None


def test_the_service_cannot_ask_for_more_attempts_than_the_policy_allows():
    assert pause(3, status=500, headers={"x-should-retry": "true"}) is None


@pytest.mark.parametrize("status", [408, 409, 500, 502, 503, 504, 520, 522, 524, 529])
def test_a_request_may_have_been_processed_although_it_failed(status):
    assert may_have_been_processed(status=status)


@pytest.mark.parametrize("status", [None, 400, 404, 410, 429, 499, 501, 521, 523, 525, 526])
def test_a_request_that_was_refused_was_not_processed(status):
    assert not may_have_been_processed(status=status)


@pytest.mark.parametrize(
    ("phase", "may_have_been"),
    [
        *[("connect", False), ("connect_timeout", False), ("closed", False)],
        *[("write", True), ("read", True), ("timeout", True)],
    ],
)
def test_a_request_was_not_processed_if_it_was_not_sent(phase, may_have_been):
    assert may_have_been_processed(error=BackendError("broken", phase=phase)) is may_have_been
