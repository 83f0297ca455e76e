"""Objects in notebooks: short texts, tables and curves."""

import pytest

from tunesmith.errors import ConfigurationError
from tunesmith.types import FileObject, FineTuningJob
from tunesmith.types.base import Page
from tunesmith.types.results import JobResults, StepMetrics

RESULTS = JobResults(
    "ftjob-1",
    tuple(StepMetrics(step, 8 / step, step / 9, None, None, columns={}) for step in range(1, 9)),
)


def test_the_repr_of_an_object_leaves_out_fields_without_a_value():
    job = FineTuningJob(id="ftjob-1", status="queued", created_at=1)
    assert "fine_tuned_model" not in repr(job)
    assert "status='queued'" in repr(job)


def test_the_repr_of_results_is_one_line():
    assert repr(RESULTS) == "<JobResults of ftjob-1: 8 steps, train_loss 8.000 → 1.000>"
    assert repr(JobResults("ftjob-1", ())) == "<JobResults of ftjob-1: 0 steps>"


def test_an_object_is_a_table_of_its_fields_with_readable_times():
    job = FineTuningJob(id="ftjob-1", status="queued", created_at=1_700_000_000)
    shown = job._repr_html_()
    assert '<th scope="row">status</th><td>queued</td>' in shown
    assert "2023-11-14 22:13:20 UTC" in shown
    assert shown.index("ftjob-1") < shown.index("2023-11-14")
    assert "fine_tuned_model" not in shown


def test_text_of_a_service_stays_text():
    file = FileObject(id="file-1", filename="<script>alert(1)</script>", created_at=1)
    assert "<script>" not in file._repr_html_()
    assert "<script>" not in Page[FileObject](data=[file])._repr_html_()


def test_long_fields_are_shortened():
    assert len(FileObject(id="file-1", filename="a " * 9999)._repr_html_()) < 9999


def test_a_page_is_a_table_of_its_objects():
    files = [FileObject(id=f"file-{n}", bytes=n, created_at=1) for n in range(2)]
    shown = Page[FileObject](data=files, has_more=True)._repr_html_()
    assert "2 objects. More follow on the next page." in shown
    assert shown.count("<tr>") == 3


def test_results_are_curves():
    shown = RESULTS._repr_html_()
    assert shown.count("<polyline") == 2
    assert "nats per token" in shown


def test_the_style_of_a_cell_stays_inside_of_it():
    style = RESULTS._repr_html_().split("<style>")[1].split("</style>")[0]
    outside = style.replace("@media(prefers-color-scheme:dark){.tunesmith{", "").split(
        ".tunesmith{"
    )
    assert outside[0].strip() == ""
    assert style.count("{") == style.count("}")


def test_results_become_a_data_frame_with_a_row_for_each_step():
    frame = RESULTS.to_pandas()
    assert frame.index.name == "step"
    assert list(frame.train_loss) == [8 / step for step in range(1, 9)]
    assert frame.valid_loss.isna().all()


def test_without_pandas_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(ConfigurationError, match=r"tunesmith\[notebook\]"):
        RESULTS.to_pandas()
