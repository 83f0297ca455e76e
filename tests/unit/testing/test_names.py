"""What `tunesmith.testing` exports, and that it is cheap to import."""

import subprocess
import sys
from importlib import import_module

import pytest

import tunesmith.testing


def test_every_name_is_there_and_in_order():
    assert tunesmith.testing.__all__ == sorted(tunesmith.testing.__all__)
    assert dir(tunesmith.testing) == tunesmith.testing.__all__
    for name in tunesmith.testing.__all__:
        module = import_module(tunesmith.testing._MODULES[name], "tunesmith.testing")
        assert getattr(tunesmith.testing, name) is getattr(module, name)


@pytest.mark.parametrize(
    ("name", "needless"),
    [
        ("RecordingBackend", {"pytest", "httpx", "tunesmith.service.service"}),
        ("ReplayBackend", {"pytest", "httpx", "tunesmith.service.service"}),
        ("NetworkForbidden", {"pytest", "httpx", "pydantic", "anyio"}),
    ],
)
def test_a_name_loads_only_what_it_needs(name, needless):
    script = f"import sys; from tunesmith.testing import {name}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert not needless & set(done.stdout.split())
