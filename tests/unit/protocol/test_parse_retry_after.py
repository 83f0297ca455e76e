"""How long a service asks to wait."""

import pytest
from hypothesis import given, strategies as st

from tunesmith.protocol.retry import parse_retry_after


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "-3"}, 0),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "-1"}, 0),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9),
        ({"retry-after": "Thu, 01 Jan 1970 00:02:00 GMT"}, 80),
        ({"retry-after": "Thu, 01 Jan 1970 00:02:00 -0000"}, 80),
        ({"retry-after": "Thu, 01 Jan 1970 01:02:00 +0100"}, 80),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:01 GMT"}, 0),
    ],
)
def test_seconds_milliseconds_and_dates_are_read(headers, seconds):
    assert parse_retry_after(headers, 40.0) == seconds


@pytest.mark.parametrize(
    "value",
    [
        *["", "soon", "nan", "inf", "Mon, 99 Foo 2026", "1 s"],
        "Mon, 01 Jan 2026 00:00:00 +99999999999999999999",
    ],
)
def test_what_cannot_be_understood_asks_for_nothing(value):
    assert parse_retry_after({"retry-after": value}, 0.0) is None


def test_without_a_header_nothing_is_asked():
    assert parse_retry_after({}, 0.0) is None


@given(st.floats(0, 10**6))
def test_any_number_of_seconds_is_read_as_written(seconds):
    assert parse_retry_after({"retry-after": repr(seconds)}, 0.0) == seconds
