"""One service, over every access, on both event loops."""

import pytest
from tests.contract.accesses import ACCESSES

from tunesmith import AsyncClient
from tunesmith.service.service import Service


@pytest.fixture
def service():
    return Service(seed=1)


# Accesses of the fast tests; the others run the same code with other parts around it.
FAST = {"in_process", "over_sockets"}


@pytest.fixture(
    params=[
        pytest.param(access, id=name, marks=() if name in FAST else pytest.mark.slow)
        for name, access in ACCESSES.items()
    ]
)
def access(request):
    """An asynchronous context manager that yields a backend of a service."""
    return request.param


@pytest.fixture
async def backend(access, service, anyio_backend):
    async with access(service) as backend:
        yield backend


@pytest.fixture
async def client(backend):
    async with AsyncClient(backend=backend) as client:
        yield client
