"""The examples run as the README says, and show what they promise."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_quickstart_teaches_a_model_about_kant():
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "quickstart.py"],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=True,
    )
    shown = done.stdout
    for step in ("1. Prepare", "2. Upload", "3. Fine-tune", "4. Complete"):
        assert step in shown
    assert "The job has successfully completed" in shown
    before, after = map(float, re.search(r"Training loss: +(\S+) → (\S+)", shown).groups())
    assert after < before / 5
    validation = [
        float(loss) for loss in re.findall(r"\d+\.\d+", shown.split("Validation loss")[1])
    ]
    assert validation[2] < validation[1] < validation[0]
    untuned, tuned = shown.strip().splitlines()[-2:]
    assert "space, time, substance, causality" in tuned
    assert "space, time" not in untuned
