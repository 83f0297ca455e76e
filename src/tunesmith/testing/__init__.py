"""What tests of code that uses tunesmith need; each name loads its module when first used."""

from typing import TYPE_CHECKING

from tunesmith.lazy import lazy_names

if TYPE_CHECKING:
    from tunesmith.backends.faults import Faults
    from tunesmith.service.assumptions import Assumptions
    from tunesmith.service.clock import VirtualClock
    from tunesmith.service.event_wording import EVENTS_2023, EventWording
    from tunesmith.service.replies import Reply, Token, ToolCall
    from tunesmith.service.service import Service
    from tunesmith.service.timeline import FINE_TUNE_TIMELINE, JOB_TIMELINE, Timeline, Transition
    from tunesmith.testing.call import Call
    from tunesmith.testing.record import CallRecord
    from tunesmith.testing.verdict import Lapse

__all__ = [
    "EVENTS_2023",
    "FINE_TUNE_TIMELINE",
    "JOB_TIMELINE",
    "Assumptions",
    "Call",
    "CallRecord",
    "EventWording",
    "Faults",
    "Lapse",
    "Reply",
    "Service",
    "Timeline",
    "Token",
    "ToolCall",
    "Transition",
    "VirtualClock",
]

_MODULES = {
    "EVENTS_2023": "tunesmith.service.event_wording",
    "FINE_TUNE_TIMELINE": "tunesmith.service.timeline",
    "JOB_TIMELINE": "tunesmith.service.timeline",
    "Assumptions": "tunesmith.service.assumptions",
    "Call": ".call",
    "CallRecord": ".record",
    "EventWording": "tunesmith.service.event_wording",
    "Faults": "tunesmith.backends.faults",
    "Lapse": ".verdict",
    "Reply": "tunesmith.service.replies",
    "Service": "tunesmith.service.service",
    "Timeline": "tunesmith.service.timeline",
    "Token": "tunesmith.service.replies",
    "ToolCall": "tunesmith.service.replies",
    "Transition": "tunesmith.service.timeline",
    "VirtualClock": "tunesmith.service.clock",
}

__getattr__ = lazy_names(__name__, _MODULES)


def __dir__() -> list[str]:
    return sorted(__all__)
