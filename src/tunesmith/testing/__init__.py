"""What tests of code that uses tunesmith need; each name loads its module when first used.

The fixtures and options are those of a pytest plugin, `tunesmith.testing.pytest_plugin`, which is
there as soon as tunesmith is installed.
"""

from typing import TYPE_CHECKING

from tunesmith._lazy import lazy_names

if TYPE_CHECKING:
    from tunesmith.backends.network import NetworkForbidden
    from tunesmith.clock import VirtualClock
    from tunesmith.service.core.behavior import Assumptions
    from tunesmith.service.core.event_messages import EVENTS_2023, EventWording
    from tunesmith.service.core.rate_limits import Limits
    from tunesmith.service.fine_tuning.timeline import (
        FINE_TUNE_TIMELINE,
        JOB_TIMELINE,
        Timeline,
        Transition,
    )
    from tunesmith.service.http.httpx_transport import Transport
    from tunesmith.service.inference.stub_matching import ScriptFailed
    from tunesmith.service.inference.stubs import Reply, Token, ToolCall
    from tunesmith.service.service import Service
    from tunesmith.testing.cassettes.player import ReplayBackend, ReplayMismatch
    from tunesmith.testing.cassettes.recorder import RecordingBackend
    from tunesmith.testing.contract import BackendContract, WrapperContract
    from tunesmith.testing.faults.faults import Faults
    from tunesmith.testing.recorder.call import Call
    from tunesmith.testing.recorder.recorder import CallRecord
    from tunesmith.testing.recorder.violations import Lapse

__all__ = [
    "EVENTS_2023",
    "FINE_TUNE_TIMELINE",
    "JOB_TIMELINE",
    "Assumptions",
    "BackendContract",
    "Call",
    "CallRecord",
    "EventWording",
    "Faults",
    "Lapse",
    "Limits",
    "NetworkForbidden",
    "RecordingBackend",
    "ReplayBackend",
    "ReplayMismatch",
    "Reply",
    "ScriptFailed",
    "Service",
    "Timeline",
    "Token",
    "ToolCall",
    "Transition",
    "Transport",
    "VirtualClock",
    "WrapperContract",
]

_MODULES = {
    "Assumptions": "tunesmith.service.core.behavior",
    "BackendContract": ".contract",
    "Call": ".recorder.call",
    "CallRecord": ".recorder.recorder",
    "EVENTS_2023": "tunesmith.service.core.event_messages",
    "EventWording": "tunesmith.service.core.event_messages",
    "FINE_TUNE_TIMELINE": "tunesmith.service.fine_tuning.timeline",
    "Faults": "tunesmith.testing.faults.faults",
    "JOB_TIMELINE": "tunesmith.service.fine_tuning.timeline",
    "Lapse": ".recorder.violations",
    "Limits": "tunesmith.service.core.rate_limits",
    "NetworkForbidden": "tunesmith.backends.network",
    "RecordingBackend": "tunesmith.testing.cassettes.recorder",
    "ReplayBackend": "tunesmith.testing.cassettes.player",
    "ReplayMismatch": "tunesmith.testing.cassettes.player",
    "Reply": "tunesmith.service.inference.stubs",
    "ScriptFailed": "tunesmith.service.inference.stub_matching",
    "Service": "tunesmith.service.service",
    "Timeline": "tunesmith.service.fine_tuning.timeline",
    "Token": "tunesmith.service.inference.stubs",
    "ToolCall": "tunesmith.service.inference.stubs",
    "Transition": "tunesmith.service.fine_tuning.timeline",
    "Transport": "tunesmith.service.http.httpx_transport",
    "VirtualClock": "tunesmith.clock",
    "WrapperContract": ".contract",
}

__getattr__ = lazy_names(__name__, _MODULES)


def __dir__() -> list[str]:
    return sorted(__all__)
