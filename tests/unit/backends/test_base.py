"""The clock of backends, and time limits."""

import pytest

from tunesmith.backends.base import SYSTEM_CLOCK, get_clock
from tunesmith.clock import VirtualClock


class Layer:
    def __init__(self, inner=None, clock=None):
        self.inner = inner
        self.clock = clock


class Opaque:
    """A backend that neither has a clock nor wraps another one."""


@pytest.mark.parametrize(
    "wrap", [lambda clock: Layer(clock=clock), lambda clock: Layer(Layer(Layer(clock=clock)))]
)
def test_the_clock_is_that_of_the_first_layer_with_one(wrap):
    clock = VirtualClock()
    assert get_clock(wrap(clock)) is clock
    assert get_clock(Layer(wrap(VirtualClock()), clock)) is clock


@pytest.mark.parametrize("backend", [Opaque(), Layer(Opaque()), Layer()])
def test_other_backends_have_the_clock_of_the_system(backend):
    assert get_clock(backend) is SYSTEM_CLOCK
