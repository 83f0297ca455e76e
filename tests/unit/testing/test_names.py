"""The public names for tests."""

import subprocess
import sys

import pytest

import tunesmith.testing


def loaded_by(statement):
    """Every module that a statement loads, in a process of its own."""
    script = f"import sys; {statement}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_every_name_is_there():
    for name in tunesmith.testing.__all__:
        assert getattr(tunesmith.testing, name) is not None
    assert set(tunesmith.testing.__all__) <= set(dir(tunesmith.testing))


def test_importing_loads_neither_a_service_nor_pytest():
    loaded = loaded_by("import tunesmith.testing")
    ours = {name for name in loaded if name.startswith("tunesmith")}
    assert ours == {"tunesmith", "tunesmith.errors", "tunesmith._lazy", "tunesmith.testing"}
    assert not {"pytest", "pydantic", "httpx"} & loaded


@pytest.mark.parametrize(
    ("name", "needless"),
    [
        ("RecordingBackend", {"pytest", "httpx", "tunesmith.service.service"}),
        ("ReplayBackend", {"pytest", "httpx", "tunesmith.service.service"}),
        ("NetworkBlockedError", {"pytest", "httpx", "pydantic", "anyio"}),
    ],
)
def test_a_name_loads_only_what_it_needs(name, needless):
    assert not needless & loaded_by(f"from tunesmith.testing import {name}")
