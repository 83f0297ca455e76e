"""The table of file kinds lists every example file, and its verdicts hold."""

import re
from pathlib import Path

import pytest

from tunesmith.datasets import Dataset, diagnose, write
from tunesmith.errors import DatasetError
from tunesmith.service.fine_tuning.training_data import TrainingFile, validate_example_count

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-to" / "prepare" / "formats.md").read_text()
FILES = ROOT / "tests" / "data" / "formats"
ROW = re.compile(r"^\| `([\w.]+\.\w+)` \| (.+) \| (.+) \| (.+) \| (.+) \|$", re.MULTILINE)
TABLE = ROW.findall(PAGE)


def test_the_table_lists_every_file():
    assert sorted(name for name, *_ in TABLE) == sorted(path.name for path in FILES.iterdir())


@pytest.mark.parametrize(("name", "_", "source", "format", "verdict"), TABLE, ids=lambda v: v)
def test_a_verdict_holds(tmp_path, name, _, source, format, verdict):
    if source == "—":
        with pytest.raises(DatasetError, match=verdict.removeprefix("error: ")):
            diagnose(Dataset.open(FILES / name))
        return
    diagnosis = diagnose(Dataset.open(FILES / name))
    plan = diagnosis.plan()

    assert f"`{diagnosis.source_format}`" == source
    assert diagnosis.format == format
    assert plan.has_changes == (verdict != "ready as it is")
    written = write(plan, tmp_path / "out.jsonl")
    if error := re.match("error: `(.+)`", verdict):
        assert [finding.code for finding in written.errors] == [error[1]]
        return
    assert not written.errors
    content = written.files[0].read_bytes()
    examples = list(TrainingFile(lambda: [content], diagnosis.format))
    validate_example_count(len(examples))
    messages = " ".join(finding.message for finding in diagnosis.findings)
    for left_out in re.findall(r"`([^`]+)`", verdict):
        assert f"`{left_out}`" in messages
