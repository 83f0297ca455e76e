"""Fixtures of the tests over real connections."""

import pytest


@pytest.fixture(params=["httpx", "fast"])
def transport(request):
    """Name of the transport of the client."""
    return request.param
