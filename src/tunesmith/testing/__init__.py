"""What tests of code that uses tunesmith need; each name loads its module when first used.

The fixtures and options are those of a pytest plugin, `tunesmith.testing.pytest_plugin`, which is
there as soon as tunesmith is installed.
"""

from typing import TYPE_CHECKING

from tunesmith.lazy import lazy_names

if TYPE_CHECKING:
    from tunesmith.backends.faults import Faults
    from tunesmith.backends.network import NetworkForbidden
    from tunesmith.backends.record import RecordingBackend
    from tunesmith.backends.replay import ReplayBackend, ReplayMismatch
    from tunesmith.service.assumptions import Assumptions
    from tunesmith.service.clock import VirtualClock
    from tunesmith.service.doors.transport import Transport
    from tunesmith.service.event_wording import EVENTS_2023, EventWording
    from tunesmith.service.limits import Limits
    from tunesmith.service.matching import ScriptFailed
    from tunesmith.service.replies import Reply, Token, ToolCall
    from tunesmith.service.service import Service
    from tunesmith.service.timeline import FINE_TUNE_TIMELINE, JOB_TIMELINE, Timeline, Transition
    from tunesmith.testing.call import Call
    from tunesmith.testing.contract import BackendContract, WrapperContract
    from tunesmith.testing.record import CallRecord
    from tunesmith.testing.verdict import Lapse

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
    "Assumptions": "tunesmith.service.assumptions",
    "BackendContract": ".contract",
    "Call": ".call",
    "CallRecord": ".record",
    "EVENTS_2023": "tunesmith.service.event_wording",
    "EventWording": "tunesmith.service.event_wording",
    "FINE_TUNE_TIMELINE": "tunesmith.service.timeline",
    "Faults": "tunesmith.backends.faults",
    "JOB_TIMELINE": "tunesmith.service.timeline",
    "Lapse": ".verdict",
    "Limits": "tunesmith.service.limits",
    "NetworkForbidden": "tunesmith.backends.network",
    "RecordingBackend": "tunesmith.backends.record",
    "ReplayBackend": "tunesmith.backends.replay",
    "ReplayMismatch": "tunesmith.backends.replay",
    "Reply": "tunesmith.service.replies",
    "ScriptFailed": "tunesmith.service.matching",
    "Service": "tunesmith.service.service",
    "Timeline": "tunesmith.service.timeline",
    "Token": "tunesmith.service.replies",
    "ToolCall": "tunesmith.service.replies",
    "Transition": "tunesmith.service.timeline",
    "Transport": "tunesmith.service.doors.transport",
    "VirtualClock": "tunesmith.service.clock",
    "WrapperContract": ".contract",
}

__getattr__ = lazy_names(__name__, _MODULES)


def __dir__() -> list[str]:
    return sorted(__all__)
