from tunesmith.backends.network import NetworkBlockedError as NetworkBlockedError
from tunesmith.clock import VirtualClock as VirtualClock
from tunesmith.service.core.behavior import (
    BEHAVIOR_2023 as BEHAVIOR_2023,
)
from tunesmith.service.core.behavior import (
    BEHAVIOR_2024 as BEHAVIOR_2024,
)
from tunesmith.service.core.behavior import (
    ServiceBehavior as ServiceBehavior,
)
from tunesmith.service.core.errors import StubError as StubError
from tunesmith.service.core.rate_limits import ServiceLimits as ServiceLimits
from tunesmith.service.fine_tuning.timeline import (
    FINE_TUNE_TIMELINE as FINE_TUNE_TIMELINE,
)
from tunesmith.service.fine_tuning.timeline import (
    JOB_TIMELINE as JOB_TIMELINE,
)
from tunesmith.service.fine_tuning.timeline import (
    Timeline as Timeline,
)
from tunesmith.service.fine_tuning.timeline import (
    Transition as Transition,
)
from tunesmith.service.http.httpx_transport import HttpxTransport as HttpxTransport
from tunesmith.service.inference.stubs import (
    Reply as Reply,
)
from tunesmith.service.inference.stubs import (
    Token as Token,
)
from tunesmith.service.inference.stubs import (
    ToolCall as ToolCall,
)
from tunesmith.service.service import Service as Service
from tunesmith.testing.cassettes.player import (
    ReplayBackend as ReplayBackend,
)
from tunesmith.testing.cassettes.player import (
    ReplayMismatchError as ReplayMismatchError,
)
from tunesmith.testing.cassettes.recorder import RecordingBackend as RecordingBackend
from tunesmith.testing.contract import (
    BackendContract as BackendContract,
)
from tunesmith.testing.contract import (
    WrapperContract as WrapperContract,
)
from tunesmith.testing.faults.faults import Faults as Faults
from tunesmith.testing.faults.file import load_faults as load_faults
from tunesmith.testing.recorder.call import Call as Call
from tunesmith.testing.recorder.recorder import CallRecorder as CallRecorder
from tunesmith.testing.recorder.violations import Violation as Violation
