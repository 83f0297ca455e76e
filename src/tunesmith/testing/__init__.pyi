from tunesmith.backends.network import NetworkBlockedError as NetworkBlockedError
from tunesmith.clock import VirtualClock as VirtualClock
from tunesmith.service.core.behavior import (
    BEHAVIOR_2023 as BEHAVIOR_2023,
    BEHAVIOR_2024 as BEHAVIOR_2024,
    ServiceBehavior as ServiceBehavior,
)
from tunesmith.service.core.errors import StubError as StubError
from tunesmith.service.core.rate_limits import ServiceLimits as ServiceLimits
from tunesmith.service.fine_tuning.timeline import (
    FINE_TUNE_TIMELINE as FINE_TUNE_TIMELINE,
    JOB_TIMELINE as JOB_TIMELINE,
    Timeline as Timeline,
    Transition as Transition,
)
from tunesmith.service.http.httpx_transport import HttpxTransport as HttpxTransport
from tunesmith.service.inference.stubs import (
    Reply as Reply,
    Token as Token,
    ToolCall as ToolCall,
)
from tunesmith.service.service import Service as Service
from tunesmith.testing.cassettes.player import (
    ReplayBackend as ReplayBackend,
    ReplayMismatchError as ReplayMismatchError,
)
from tunesmith.testing.cassettes.recorder import RecordingBackend as RecordingBackend
from tunesmith.testing.contract import (
    BackendContract as BackendContract,
    EngineContract as EngineContract,
    WrapperContract as WrapperContract,
)
from tunesmith.testing.faults.faults import Faults as Faults
from tunesmith.testing.faults.file import load_faults as load_faults
from tunesmith.testing.recorder.call import Call as Call
from tunesmith.testing.recorder.recorder import CallRecorder as CallRecorder
from tunesmith.testing.recorder.violations import Violation as Violation
