"""One service, reached through every door, on both event loops."""

import pytest
from tests.contract.doors import DOORS

from tunesmith import AsyncClient
from tunesmith.service.service import Service


@pytest.fixture
def service():
    return Service(seed=1)


@pytest.fixture(params=DOORS)
def door(request):
    """A way to reach a service: an asynchronous context manager that gives a backend."""
    return DOORS[request.param]


@pytest.fixture
async def backend(door, service, anyio_backend):
    async with door(service) as backend:
        yield backend


@pytest.fixture
async def client(backend):
    async with AsyncClient(backend=backend) as client:
        yield client
