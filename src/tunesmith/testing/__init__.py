"""What tests of code that uses tunesmith need; each name loads its module when first used.

The fixtures and options are those of a pytest plugin, `tunesmith.testing.pytest_plugin`, which is
there as soon as tunesmith is installed.
"""

from typing import TYPE_CHECKING

from tunesmith.lazy import lazy_names

if TYPE_CHECKING:
    from tunesmith.backends.network import NetworkForbidden
    from tunesmith.backends.record import RecordingBackend
    from tunesmith.backends.replay import ReplayBackend, ReplayMismatch
    from tunesmith.testing.contract import BackendContract, WrapperContract

__all__ = [
    "BackendContract",
    "NetworkForbidden",
    "RecordingBackend",
    "ReplayBackend",
    "ReplayMismatch",
    "WrapperContract",
]

_MODULES = {
    "BackendContract": ".contract",
    "NetworkForbidden": "tunesmith.backends.network",
    "RecordingBackend": "tunesmith.backends.record",
    "ReplayBackend": "tunesmith.backends.replay",
    "ReplayMismatch": "tunesmith.backends.replay",
    "WrapperContract": ".contract",
}

__getattr__ = lazy_names(__name__, _MODULES)


def __dir__() -> list[str]:
    return sorted(__all__)
