"""Metrics of a job, from its result file."""

import base64

import pytest

from tunesmith.errors import InvalidResponseError
from tunesmith.protocol.results import parse_results

HEAD = "step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy"
CSV = f"{HEAD}\n1,0.5,0.25,,\n2,0.4,0.5,0.6,0.75\n\n"


def facts_of(step):
    return (
        step.step,
        step.train_loss,
        step.train_accuracy,
        step.valid_loss,
        step.valid_accuracy,
    )


@pytest.mark.parametrize(
    "content",
    [
        CSV.encode(),
        b"\xef\xbb\xbf" + CSV.encode(),
        CSV.replace("\n", "\r\n").encode(),
        base64.b64encode(CSV.encode()),
        base64.encodebytes(CSV.encode()),
        base64.b64encode(b"\xef\xbb\xbf" + CSV.encode()),
    ],
)
def test_results_are_csv_plain_or_in_base64(content):
    first, second = parse_results(content)
    assert facts_of(first) == (1, 0.5, 0.25, None, None)
    assert facts_of(second) == (2, 0.4, 0.5, 0.6, 0.75)
    assert first.columns == {"step": "1", "train_loss": "0.5", "train_accuracy": "0.25"}


@pytest.mark.parametrize(
    ("column", "name"),
    [
        ("train_loss", "train_loss"),
        ("training_loss", "train_loss"),
        ("train_accuracy", "train_accuracy"),
        ("train_mean_token_accuracy", "train_accuracy"),
        ("training_token_accuracy", "train_accuracy"),
        ("valid_loss", "valid_loss"),
        ("validation_loss", "valid_loss"),
        ("valid_mean_token_accuracy", "valid_accuracy"),
        ("valid_accuracy", "valid_accuracy"),
        ("validation_token_accuracy", "valid_accuracy"),
    ],
)
def test_each_service_has_its_names_of_columns(column, name):
    (step,) = parse_results(f"step,{column}\n1.0,0.5\n".encode())
    found = {field: getattr(step, field) for field in ("step", name)}
    assert found == {"step": 1, name: 0.5}
    assert sum(value is not None for value in facts_of(step)) == 2


def test_rows_without_a_step_and_surplus_values_are_passed_over():
    (step,) = parse_results(b"step,train_loss\n,0.5\n3,0.5,,\n")
    assert (step.step, step.columns) == (3, {"step": "3", "train_loss": "0.5"})


def test_bytes_that_are_not_utf_8_are_replaced():
    (step,) = parse_results(b"step,note\n1,\xff\n")
    assert step.columns["note"] == "\ufffd"


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"<html>" + b"x" * 300])
def test_another_file_is_an_error_with_its_beginning(content):
    with pytest.raises(InvalidResponseError) as caught:
        parse_results(content)
    assert caught.value.message == "the result file must be CSV with a column 'step'"
    assert caught.value.excerpt == content[:200].decode()


def test_a_value_that_is_no_number_is_an_error_with_its_row():
    with pytest.raises(InvalidResponseError) as caught:
        parse_results(b"step,train_loss\n1,low\n")
    assert caught.value.message == (
        "invalid number in the result file: could not convert string to float: 'low'"
    )
    assert caught.value.excerpt == "{'step': '1', 'train_loss': 'low'}"


def test_a_lone_column_is_not_taken_for_base64():
    assert [step.step for step in parse_results(b"step\n1\n2\n33\n")] == [1, 2, 33]
