"""A client of the server that the environment names; without one the tests are skipped."""

import os
from collections.abc import AsyncIterator

import pytest

from tunesmith import AsyncClient

HOW_TO_RUN = (
    "no server: set TUNESMITH_TEST_SERVER_URL, and if it needs them TUNESMITH_TEST_SERVER_KEY and "
    "TUNESMITH_TEST_SERVER_MODEL; tests/servers/README.md tells how to start one"
)


@pytest.fixture
async def client() -> AsyncIterator[AsyncClient]:
    url = os.environ.get("TUNESMITH_TEST_SERVER_URL")
    if not url:
        pytest.skip(HOW_TO_RUN)
    key = os.environ.get("TUNESMITH_TEST_SERVER_KEY", "none-needed")
    async with AsyncClient(api_key=key, base_url=url, max_retries=0, timeout=60) as client:
        yield client


@pytest.fixture
async def model(client: AsyncClient) -> str:
    named = os.environ.get("TUNESMITH_TEST_SERVER_MODEL")
    if named:
        return named
    models = await client.models.list()
    if not models.data:
        pytest.skip("the server lists no model: set TUNESMITH_TEST_SERVER_MODEL")
    return models.data[0].id
