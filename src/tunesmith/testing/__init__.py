"""What tests of code that uses tunesmith need; each name loads its module when first used.

The fixtures and options are those of a pytest plugin, `tunesmith.testing.pytest_plugin`, which is
there as soon as tunesmith is installed.
"""

from typing import TYPE_CHECKING

from tunesmith._lazy import lazy_names

if TYPE_CHECKING:
    from tunesmith.backends.network import NetworkBlockedError
    from tunesmith.clock import VirtualClock
    from tunesmith.service.core.behavior import ServiceBehavior
    from tunesmith.service.core.event_messages import EVENT_MESSAGES_2023, EventMessages
    from tunesmith.service.core.rate_limits import ServiceLimits
    from tunesmith.service.fine_tuning.timeline import (
        FINE_TUNE_TIMELINE,
        JOB_TIMELINE,
        Timeline,
        Transition,
    )
    from tunesmith.service.http.httpx_transport import HttpxTransport
    from tunesmith.service.inference.stub_matching import StubError
    from tunesmith.service.inference.stubs import Reply, Token, ToolCall
    from tunesmith.service.service import Service
    from tunesmith.testing.cassettes.player import ReplayBackend, ReplayMismatchError
    from tunesmith.testing.cassettes.recorder import RecordingBackend
    from tunesmith.testing.contract import BackendContract, WrapperContract
    from tunesmith.testing.faults.faults import Faults
    from tunesmith.testing.recorder.call import Call
    from tunesmith.testing.recorder.recorder import CallRecorder
    from tunesmith.testing.recorder.violations import Violation

__all__ = [
    "EVENT_MESSAGES_2023",
    "FINE_TUNE_TIMELINE",
    "JOB_TIMELINE",
    "BackendContract",
    "Call",
    "CallRecorder",
    "EventMessages",
    "Faults",
    "HttpxTransport",
    "NetworkBlockedError",
    "RecordingBackend",
    "ReplayBackend",
    "ReplayMismatchError",
    "Reply",
    "Service",
    "ServiceBehavior",
    "ServiceLimits",
    "StubError",
    "Timeline",
    "Token",
    "ToolCall",
    "Transition",
    "Violation",
    "VirtualClock",
    "WrapperContract",
]

_MODULES = {
    "ServiceBehavior": "tunesmith.service.core.behavior",
    "BackendContract": ".contract",
    "Call": ".recorder.call",
    "CallRecorder": ".recorder.recorder",
    "EVENT_MESSAGES_2023": "tunesmith.service.core.event_messages",
    "EventMessages": "tunesmith.service.core.event_messages",
    "FINE_TUNE_TIMELINE": "tunesmith.service.fine_tuning.timeline",
    "Faults": "tunesmith.testing.faults.faults",
    "JOB_TIMELINE": "tunesmith.service.fine_tuning.timeline",
    "Violation": ".recorder.violations",
    "ServiceLimits": "tunesmith.service.core.rate_limits",
    "NetworkBlockedError": "tunesmith.backends.network",
    "RecordingBackend": "tunesmith.testing.cassettes.recorder",
    "ReplayBackend": "tunesmith.testing.cassettes.player",
    "ReplayMismatchError": "tunesmith.testing.cassettes.player",
    "Reply": "tunesmith.service.inference.stubs",
    "StubError": "tunesmith.service.inference.stub_matching",
    "Service": "tunesmith.service.service",
    "Timeline": "tunesmith.service.fine_tuning.timeline",
    "Token": "tunesmith.service.inference.stubs",
    "ToolCall": "tunesmith.service.inference.stubs",
    "Transition": "tunesmith.service.fine_tuning.timeline",
    "HttpxTransport": "tunesmith.service.http.httpx_transport",
    "VirtualClock": "tunesmith.clock",
    "WrapperContract": ".contract",
}

__getattr__ = lazy_names(__name__, _MODULES)


def __dir__() -> list[str]:
    return sorted(__all__)
