"""The public contract of backends, tested with every backend of the package."""

import pytest
from tests.contract import accesses
from tests.contract.wrappers import Wrapper

from tunesmith import MemoryBackend
from tunesmith.testing import (
    BackendContract,
    CallRecorder,
    Faults,
    RecordingBackend,
    ReplayBackend,
    WrapperContract,
)


class TestMemory(BackendContract):
    def backend(self, service):
        return MemoryBackend(service)


class TestTransport(BackendContract):
    def connect(self, service):
        return accesses.over_transport(service)


class TestSocket(BackendContract):
    def connect(self, service):
        return accesses.over_sockets(service)


class TestWrapper(WrapperContract):
    def wrap(self, inner):
        return Wrapper(inner)


class TestFaultless(WrapperContract):
    def wrap(self, inner):
        return Faults(inner)


class TestCallRecord(WrapperContract):
    def wrap(self, inner):
        return CallRecorder(inner)


class TestRecording(WrapperContract):
    @pytest.fixture(autouse=True)
    def _path(self, tmp_path):
        self.path = tmp_path / "cassette.json"

    def wrap(self, inner):
        return RecordingBackend(inner, self.path)


class TestReplaying(BackendContract):
    """Each test is recorded, and then run again on what was recorded."""

    @pytest.fixture(autouse=True)
    def _path(self, tmp_path):
        self.path = tmp_path / "cassette.json"

    async def run(self, test):
        self.replays = False
        await super().run(test)
        self.replays = True
        await super().run(test)

    def backend(self, service):
        if self.replays:
            return ReplayBackend(self.path, strict=False)
        return RecordingBackend(MemoryBackend(service), self.path)
