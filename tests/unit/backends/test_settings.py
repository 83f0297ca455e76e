"""Base URLs, timeouts and limits of HTTP connections."""

import httpx
import pytest
from pydantic import SecretStr

from tunesmith import ConfigurationError
from tunesmith.backends.settings import (
    attempt_timeouts,
    connect_timeout_s,
    connection_limits,
    parse_base_url,
)

RULE = "base_url must be an http or https URL without a query, such as https://api.openai.com/v1"


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://service.test/v1", "https://service.test/v1"),
        ("https://service.test/v1/", "https://service.test/v1"),
        ("https://service.test/X/", "https://service.test/X"),
        ("http://127.0.0.1:65535/", "http://127.0.0.1:65535"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1"),
    ],
)
def test_a_base_url_ends_without_a_slash(url, address):
    assert parse_base_url(SecretStr(url)) == (address, None)


def test_user_and_password_are_taken_out_of_the_base_url():
    address, authorization = parse_base_url(SecretStr("https://Aladdin:open%20sesame@host/X/"))
    assert address == "https://host/X"
    # As in RFC 7617, section 2.
    assert authorization.get_secret_value() == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="


@pytest.mark.parametrize("port", [0, 65536])
def test_a_port_that_does_not_exist_is_refused(port):
    with pytest.raises(ConfigurationError):
        parse_base_url(SecretStr(f"http://host:{port}/v1"))


@pytest.mark.parametrize(
    ("url", "quoted"),
    [
        (SecretStr("ftp://host/v1"), ", not 'ftp://host/v1'"),
        (SecretStr(""), ", not ''"),
        (7, ", not '7'"),
        (SecretStr("ftp://user:password@host"), ""),
        (SecretStr("http://host/v1?key=secret"), ""),
        (SecretStr("http://host/v1#secret"), ""),
    ],
)
def test_an_invalid_base_url_is_quoted_unless_it_may_hold_a_secret(url, quoted):
    with pytest.raises(ConfigurationError) as caught:
        parse_base_url(url)
    assert str(caught.value) == RULE + quoted


@pytest.mark.parametrize(
    ("timeout_s", "connect_s"), [(None, 10), (600, 10), (10, 9.5), (2, pytest.approx(1.9))]
)
def test_connecting_may_take_most_of_the_timeout_but_at_most_ten_seconds(timeout_s, connect_s):
    assert connect_timeout_s(timeout_s) == connect_s
    others = dict.fromkeys(("read", "write", "pool"), timeout_s)
    assert attempt_timeouts(timeout_s) == {"connect": connect_s, **others}


def test_connections_are_kept_alive_for_half_a_minute():
    assert connection_limits(7) == httpx.Limits(
        max_connections=7, max_keepalive_connections=7, keepalive_expiry=30
    )
