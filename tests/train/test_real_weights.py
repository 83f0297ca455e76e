"""The course on real weights runs."""

import runpy
from pathlib import Path

import anyio
import pytest

pytest.importorskip("torch", reason="needs tunesmith[train]")
pytest.importorskip("peft", reason="needs tunesmith[train]")

EXAMPLE = Path(__file__).parents[2] / "examples" / "real_weights.py"

pytestmark = pytest.mark.slow


def test_the_course_follows_a_job_and_compares_its_model_with_the_base(
    tiny, start_warm, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    main = runpy.run_path(str(EXAMPLE))["main"]
    anyio.run(main, tiny)
    output = capsys.readouterr().out
    assert "Step 60/60: training loss=" in output
    assert "The job has successfully completed" in output
    answers = output.partition("successfully completed\n")[2].splitlines()
    assert [line.strip().partition(":")[0] for line in answers if line.startswith("  ")] == [
        "data",
        "base",
        "tuned",
    ] * 3
    # The course looks at the attention of the model next; two checkpoints are beside it.
    weights = (tmp_path / "state" / "models").glob("*kant*/adapter_model.safetensors")
    assert len(list(weights)) == 3
