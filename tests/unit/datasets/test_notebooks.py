"""Datasets and diagnoses as notebooks show them."""

import sys

import pytest

from tunesmith.datasets import Dataset, diagnose, example
from tunesmith.errors import ConfigurationError


def test_representations_are_short():
    dataset = Dataset.open([{"prompt": "a", "completion": "b"}])
    assert repr(dataset) == "Dataset('rows')"
    assert repr(diagnose(example("kant"))).startswith("<Diagnosis of ")
    assert len(repr(diagnose(example("kant")))) < 100


def test_a_diagnosis_is_a_table_of_findings_and_text_is_escaped():
    rows = [{"prompt": "a", "completion": "b", "<i>": "c"}] * 12
    html = diagnose(Dataset.open(rows))._repr_html_()
    assert '<th scope="col">Severity</th>' in html
    assert "<i>" not in html


def test_rows_become_a_data_frame_indexed_by_line(tmp_path):
    file = tmp_path / "t.csv"
    file.write_text('prompt,completion\n"a\nb",c\nd,e\n')
    frame = Dataset.open(file).to_pandas()
    assert list(frame.index) == [2, 4]
    assert frame.to_dict("list") == {"prompt": ["a\nb", "d"], "completion": ["c", "e"]}


def test_a_data_frame_without_pandas_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ConfigurationError, match="notebook"):
        Dataset.open([{"prompt": "a", "completion": "b"}]).to_pandas()


def test_an_example_has_the_name_of_its_file():
    assert repr(example("kant")) == "Dataset('kant.csv')"
