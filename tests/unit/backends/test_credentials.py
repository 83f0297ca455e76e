"""API keys: given as text, or by a function that returns the current one."""

import pytest
from pydantic import SecretStr

from tunesmith import BackendError, ConfigurationError
from tunesmith.backends.credentials import conceal, resolve_api_key, validate_api_key

pytestmark = pytest.mark.anyio


def returning(key):
    return lambda: key


def promising(key):
    async def promise():
        return key

    return promise


@pytest.mark.parametrize("wrap", [conceal, returning, promising])
async def test_the_current_key_is_resolved(wrap):
    assert await resolve_api_key(wrap("sk-1")) == "sk-1"


@pytest.mark.parametrize("wrap", [returning, promising])
@pytest.mark.parametrize("key", [None, "", " ", b"sk-1", 7])
async def test_a_function_that_returns_no_key_is_an_error(wrap, key):
    with pytest.raises(BackendError) as caught:
        await resolve_api_key(wrap(key))
    assert str(caught.value) == "nothing was sent: api_key must return a key as text"
    assert caught.value.phase == "closed"


@pytest.mark.parametrize("key", [None, SecretStr("sk-1"), lambda: "sk-1"])
def test_a_key_is_text_or_a_function(key):
    validate_api_key(key)


@pytest.mark.parametrize("key", [SecretStr("sk-1\n"), SecretStr("sk-ü"), conceal(b"sk-1"), 7])
def test_an_invalid_key_is_an_error_that_does_not_show_it(key):
    with pytest.raises(ConfigurationError) as caught:
        validate_api_key(key)
    message = "api_key must be one line of ASCII text, or a function that returns it"
    assert str(caught.value) == message
