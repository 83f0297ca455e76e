"""The worker trains and completes as tasks of a queue."""

import subprocess
import sys
from pathlib import Path

import pytest

WORKER = Path(__file__).parents[2] / "examples" / "worker.py"
pytest.importorskip("taskiq")


def test_tasks_train_a_model_and_use_it():
    done = subprocess.run(
        [sys.executable, WORKER], capture_output=True, text=True, encoding="utf-8", check=True
    )
    first, _ = done.stdout.splitlines()
    assert "space, time, substance, causality" in first
