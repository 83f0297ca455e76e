"""Fixtures shared by the tests of test doubles."""

import pytest

from tunesmith import MemoryBackend
from tunesmith.testing import Faults


@pytest.fixture
def memory():
    return MemoryBackend(seed=1)


@pytest.fixture
def faults(memory):
    return Faults(memory)
