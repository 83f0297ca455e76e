"""Proxies of the environment, which hosts bypass them, and a network that is forbidden."""

import pytest

from tunesmith.backends.network import blocked_error_for, find_proxy, forbid_network

URL = "http://service.test/v1"


@pytest.fixture
def set_proxies(monkeypatch):
    def set_variables(**variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return set_variables


def test_without_variables_there_is_no_proxy():
    assert find_proxy(URL) is None


@pytest.mark.parametrize(
    ("variables", "url", "variable", "proxy"),
    [
        ({"HTTP_PROXY": "http://p:1"}, URL, "HTTP_PROXY", "http://p:1"),
        ({"http_proxy": "http://p:1"}, URL, "HTTP_PROXY", "http://p:1"),
        ({"ALL_PROXY": "socks5://p:1"}, URL, "ALL_PROXY", "socks5://p:1"),
        ({"HTTP_PROXY": "http://p:1", "ALL_PROXY": "http://q:1"}, URL, "HTTP_PROXY", "http://p:1"),
        ({"HTTPS_PROXY": "http://p:1"}, "https://service.test", "HTTPS_PROXY", "http://p:1"),
        ({"HTTP_PROXY": "p:1"}, URL, "HTTP_PROXY", "http://p:1"),
    ],
)
def test_the_variable_of_the_scheme_comes_before_all_proxy(
    set_proxies, variables, url, variable, proxy
):
    set_proxies(**variables)
    assert find_proxy(url) == (variable, proxy)


def test_the_proxy_of_another_scheme_is_not_used(set_proxies):
    set_proxies(HTTPS_PROXY="http://p:1")
    assert find_proxy(URL) is None


@pytest.mark.parametrize(
    ("host", "entries"),
    [
        ("service.test", "service.test"),
        ("service.test", "localhost, .test"),
        ("a.service.test", "service.test"),
        ("service.test", "*"),
        ("service.test:8000", "service.test:8000"),
        ("service.test", "service.test:80"),
        ("10.1.2.3", "10.1.2.3"),
        ("10.1.2.3", "192.168.0.0/16,10.0.0.0/8"),
        ("10.1.2.3", "10.0.0.1/8"),
        ("[::1]", "::1"),
        ("[::1]", "[::1]"),
        ("[::1]", "::1/128"),
        ("[fe80::7]", "not an entry/x, fe80::/10"),
        ("a.b.test", "*.b.test"),
        ("a.test", "*.a.test"),
        ("a.test", "b.test a.test"),
        ("a.test", "http://a.test"),
        ("a.test", "a.test."),
        ("A.test.", "a.TEST"),
        ("[::1]", "[::1]:80"),
    ],
)
def test_a_host_of_no_proxy_is_connected_to_directly(set_proxies, host, entries):
    set_proxies(HTTP_PROXY="http://p:1", NO_PROXY=entries)
    assert find_proxy(f"http://{host}/v1") is None


@pytest.mark.parametrize(
    ("host", "entries"),
    [
        ("service.test", "fe80::/10,::1/128,[::1],10.0.0.0/8"),
        ("service.test", "other.test"),
        ("myservice.test", "service.test"),
        ("service.test", "service.test:8000"),
        ("service.test", "service.test:443"),
        ("10.1.2.3", ""),
        ("11.1.2.3", "10.0.0.0/8"),
        ("10.1.2.3", "fe80::/10,10.1.2.3/x"),
        ("[fd00::1]", "fe80::/10"),
        ("[::1]", "[::1]:81"),
        ("ab.test", "*b.test"),
        ("a.test", "*. . :80 http://"),
    ],
)
def test_other_hosts_go_through_the_proxy(set_proxies, host, entries):
    set_proxies(HTTP_PROXY="http://p:1", NO_PROXY=entries)
    assert find_proxy(f"http://{host}/v1") == ("HTTP_PROXY", "http://p:1")


def test_the_port_of_https_is_443(set_proxies):
    set_proxies(HTTPS_PROXY="http://p:1", NO_PROXY="a.test:443, b.test:80")
    assert find_proxy("https://a.test/v1") is None
    assert find_proxy("https://b.test/v1") == ("HTTPS_PROXY", "http://p:1")


def test_without_no_proxy_an_address_goes_through_the_proxy(set_proxies):
    set_proxies(HTTP_PROXY="http://p:1")
    assert find_proxy("http://10.1.2.3/v1") == ("HTTP_PROXY", "http://p:1")


def test_the_repr_of_a_proxy_hides_its_password(set_proxies):
    set_proxies(HTTP_PROXY="http://user:verysecret@p:1")
    assert repr(find_proxy(URL)) == "<Proxy from HTTP_PROXY>"


@pytest.fixture
def forbidden():
    previous = forbid_network(lambda host: RuntimeError(f"no way to {host!r}"))
    yield
    forbid_network(previous)


@pytest.mark.usefixtures("forbidden")
@pytest.mark.parametrize("host", ["service.test", "10.1.2.3", "[fe80::7]", "notlocalhost"])
def test_a_forbidden_network_is_an_error_that_names_the_host(host):
    error = blocked_error_for(f"https://{host}:8000/v1")()
    assert str(error) == f"no way to {host.strip('[]')!r}"


@pytest.mark.usefixtures("forbidden")
@pytest.mark.parametrize("host", ["localhost", "a.localhost", "127.0.0.1", "127.9.9.9", "[::1]"])
def test_this_machine_is_never_forbidden(host):
    assert blocked_error_for(f"http://{host}:8000/v1") is None


@pytest.mark.usefixtures("forbidden")
def test_forbidding_the_network_returns_the_previous_setting():
    previous = forbid_network(None)
    assert blocked_error_for("https://service.test") is None
    assert forbid_network(previous) is None
    assert str(blocked_error_for("https://service.test")()) == "no way to 'service.test'"
