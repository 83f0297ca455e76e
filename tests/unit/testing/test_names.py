"""The public names for tests."""

import subprocess
import sys

import tunesmith.testing


def test_every_name_is_there():
    for name in tunesmith.testing.__all__:
        assert getattr(tunesmith.testing, name) is not None
    assert set(tunesmith.testing.__all__) <= set(dir(tunesmith.testing))


def test_importing_loads_neither_a_service_nor_pytest():
    script = "import sys, tunesmith.testing; print(*(m for m in sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout.split()
    ours = {name for name in loaded if name.startswith("tunesmith")}
    assert ours == {"tunesmith", "tunesmith.errors", "tunesmith.lazy", "tunesmith.testing"}
    assert not {"pytest", "pydantic", "httpx"} & set(loaded)
