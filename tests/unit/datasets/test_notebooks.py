"""Datasets and diagnoses as notebooks show them."""

from tunesmith.datasets import Dataset, diagnose, example


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
