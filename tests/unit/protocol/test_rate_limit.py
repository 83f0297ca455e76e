"""How many requests and tokens are left, as the headers tell."""

import pytest
from hypothesis import given, strategies as st

from tunesmith.types.rate_limits import RateLimits, parse_reset_s

UNITS = [("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1s", 1),
        ("6m0s", 360),
        ("120ms", 0.12),
        ("7.66s", 7.66),
        ("2m59.56s", 179.56),
        ("1h2m", 3720),
        ("1d", 86_400),
        ("0s", 0),
        ("59", 59),
        ("0.5", 0.5),
    ],
)
def test_durations_are_read_as_services_write_them(text, seconds):
    assert parse_reset_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:02:00Z", 80),
        ("1970-01-01T00:02:00.500Z", 80.5),
        ("1970-01-01T01:02:00+01:00", 80),
        ("1970-01-01T00:00:01Z", 0),
    ],
)
def test_a_time_is_counted_from_now_and_never_below_0(text, seconds):
    assert parse_reset_s(text, now=40.0) == seconds


@pytest.mark.parametrize(
    "text", [None, "", "soon", "-1", "1x", "s", "1s!", "m1s", "inf", "nan", "1_0"]
)
def test_what_is_no_duration_is_none(text):
    assert parse_reset_s(text) is None


def written(milliseconds):
    seconds, rest = divmod(milliseconds, 1000)
    text = ""
    for unit, length in UNITS:
        count, seconds = divmod(seconds, length)
        text += f"{count}{unit}" if count else ""
    return text + (f"{rest}ms" if rest or not text else "")


@given(st.integers(0, 10**10))
def test_any_duration_is_read_as_it_was_written(milliseconds):
    assert parse_reset_s(written(milliseconds)) == pytest.approx(milliseconds / 1000)


@given(st.text())
def test_any_text_is_a_time_that_is_left_or_nothing(text):
    seconds = parse_reset_s(text)
    assert seconds is None or seconds >= 0


def test_openais_headers_are_read():
    headers = {
        "x-ratelimit-limit-requests": "3500",
        "x-ratelimit-remaining-requests": "3499",
        "x-ratelimit-reset-requests": "17ms",
        "x-ratelimit-limit-tokens": "90000",
        "x-ratelimit-remaining-tokens": "89984",
        "x-ratelimit-reset-tokens": "6m0s",
    }
    assert RateLimits.from_headers(headers) == RateLimits(3500, 3499, 0.017, 90_000, 89_984, 360)


def test_what_is_not_told_is_none():
    headers = {"x-ratelimit-limit-requests": "many", "x-ratelimit-remaining-tokens": "5"}
    assert RateLimits.from_headers(headers) == RateLimits(remaining_tokens=5)


def test_the_limits_of_a_project_are_read():
    headers = {
        "x-ratelimit-limit-project-tokens": "150000",
        "x-ratelimit-remaining-project-tokens": "149000",
        "x-ratelimit-reset-project-tokens": "400ms",
    }
    assert RateLimits.from_headers(headers) == RateLimits(
        limit_project_tokens=150_000,
        remaining_project_tokens=149_000,
        reset_project_tokens=0.4,
    )


def test_below_0_nothing_is_left():
    limits = RateLimits.from_headers({"x-ratelimit-remaining-requests": "-1"})
    assert limits.remaining_requests == 0


def test_times_in_headers_are_counted_from_now():
    headers = {"x-ratelimit-reset-requests": "1970-01-01T00:02:00Z"}
    assert RateLimits.from_headers(headers, now=40.0).reset_requests == 80
