"""Graders: scores, validation and limits."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from tunesmith.operations.graders import RunGrader, ValidateGrader
from tunesmith.service.core.errors import ServiceError
from tunesmith.service.grading.expressions import (
    ExpressionError,
    UndefinedExpressionError,
    evaluate,
)
from tunesmith.service.grading.text_similarity import lcs_length

pytestmark = pytest.mark.anyio

_TEXTS = {"input": "{{sample.output_text}}", "reference": "{{item.answer}}"}


def _check(operation="eq", name="check"):
    return {"type": "string_check", "name": name, "operation": operation, **_TEXTS}


def _similarity(metric, name="similar"):
    return {"type": "text_similarity", "name": name, "evaluation_metric": metric, **_TEXTS}


async def _reward(service, grader, sample, answer):
    run = RunGrader(grader=grader, model_sample=sample, item={"answer": answer})
    return (await service.execute(run)).reward


@pytest.mark.parametrize(
    ("operation", "sample", "answer", "reward"),
    [
        ("eq", "Kant", "Kant", 1),
        ("eq", "Kant", "kant", 0),
        ("ne", "Kant", "kant", 1),
        ("like", "It was Kant.", "Kant", 1),
        ("like", "It was Kant.", "kant", 0),
        ("ilike", "It was Kant.", "KANT", 1),
    ],
)
async def test_string_checks_score_0_or_1(service, operation, sample, answer, reward):
    assert await _reward(service, _check(operation), sample, answer) == reward


@pytest.mark.parametrize(
    "metric", ["fuzzy_match", "bleu", "gleu", "rouge_1", "rouge_2", "rouge_l", "cosine"]
)
async def test_measures_are_1_for_equal_texts_and_less_for_others(service, metric):
    text = "space is a form of outer intuition"
    assert await _reward(service, _similarity(metric), text, text) == pytest.approx(1)
    other = await _reward(service, _similarity(metric), "time is a form of inner sense", text)
    assert 0 < other < 1


@pytest.mark.parametrize(
    ("metric", "sample", "answer", "reward"),
    [
        ("fuzzy_match", "abcd", "abxd", 0.75),
        ("rouge_1", "a b c", "a b d", 2 / 3),
        ("rouge_2", "a b c", "a b d", 1 / 2),
        ("rouge_l", "a x b", "a b", 4 / 5),
        ("gleu", "a b", "a b c", 3 / 6),
        ("bleu", "x y", "a b", 0),
    ],
)
async def test_measures_equal_values_computed_by_hand(service, metric, sample, answer, reward):
    assert await _reward(service, _similarity(metric), sample, answer) == pytest.approx(reward)


async def test_a_multi_grader_evaluates_its_formula(service):
    grader = {
        "type": "multi",
        "name": "both",
        "graders": {"a": _check("ilike", "a"), "b": _check("eq", "b")},
        "calculate_output": "0.75 * a + 0.25 * b",
    }
    run = RunGrader(grader=grader, model_sample="It was Kant", item={"answer": "kant"})
    answer = await service.execute(run)
    assert answer.reward == 0.75
    assert answer.sub_rewards == {"a": 1.0, "b": 0.0}
    assert answer.metadata.name == "both"
    assert not any(answer.metadata.errors.values())


async def test_templates_read_json_samples_and_nested_items(service):
    grader = {**_check(), "input": "{{sample.output_json.who}}", "reference": "{{item.a.b}}"}
    run = RunGrader(grader=grader, model_sample='{"who": "Kant"}', item={"a": {"b": "Kant"}})
    assert (await service.execute(run)).reward == 1


async def test_a_python_grader_is_validated_but_never_run(service, tmp_path):
    trap = tmp_path / "trap"
    source = f"open({str(trap)!r}, 'w')\ndef grade(sample, item):\n    return 1.0\n"
    grader = {"type": "python", "name": "p", "source": source}
    assert (await service.execute(ValidateGrader(grader=grader))).grader == grader
    with pytest.raises(ServiceError, match="does not run Python code") as caught:
        await service.execute(RunGrader(grader=grader, model_sample="x"))
    assert caught.value.status == 400
    assert not trap.exists()


@pytest.mark.parametrize(
    ("grader", "message"),
    [
        ({"type": "python", "name": "p", "source": "def grade(:"}, "is not Python"),
        ({"type": "python", "name": "p", "source": "x = 1"}, "no function grade"),
        ({**_check(), "input": "{{answer}}"}, "Templates can use sample and item"),
        (
            {
                "type": "multi",
                "name": "m",
                "graders": {"a": _check(name="a")},
                "calculate_output": "a + b",
            },
            "unknown grader 'b'",
        ),
    ],
)
async def test_validation_names_the_mistake(service, grader, message):
    with pytest.raises(ServiceError, match=message):
        await service.execute(ValidateGrader(grader=grader))


@pytest.mark.parametrize(
    "grader",
    [
        {
            "type": "score_model",
            "name": "s",
            "model": "gpt-4o-mini",
            "input": [{"role": "user", "content": "Good?"}],
        },
        _similarity("meteor"),
    ],
)
async def test_unsupported_graders_are_refused(service, grader):
    with pytest.raises(ServiceError) as caught:
        await service.execute(RunGrader(grader=grader, model_sample="x"))
    assert (caught.value.status, caught.value.code) == (400, "grader_not_supported")


@pytest.mark.parametrize(
    ("formula", "value"),
    [("1 + 2 * 3", 7), ("-(a ** 2) / 4", -1), ("max(a, 1, min(5, 9))", 5), ("abs(-a)", 2)],
)
def test_expressions_are_evaluated(formula, value):
    assert evaluate(formula, {"a": 2}) == value


@pytest.mark.parametrize(
    "formula",
    [
        "__import__('os').system('true')",
        "a.__class__",
        "[a for a in (1,)]",
        "lambda: 1",
        "'text' * 9",
        "True",
        "max(*a)",
        "1 +",
        "(" * 500 + ")" * 500,
        "a if a else 1",
    ],
)
def test_invalid_expressions_are_refused(formula):
    with pytest.raises(ExpressionError):
        evaluate(formula, {"a": 2})


@pytest.mark.parametrize("formula", ["1 / 0", "9 ** 9 ** 9 ** 9", "sqrt(-1)", "min(1)"])
def test_expressions_without_a_value_are_refused(formula):
    with pytest.raises(UndefinedExpressionError):
        evaluate(formula, {})


# Limits.


def _multi(n):
    graders = {f"g{i}": _check(name=f"g{i}") for i in range(n)}
    return {"type": "multi", "name": "m", "graders": graders, "calculate_output": "g0"}


@pytest.mark.parametrize(
    ("grader", "sample", "param"),
    [
        (_similarity("fuzzy_match"), "a" * 50_001, "grader.input"),
        ({**_similarity("cosine"), "reference": "b" * 50_001}, "a", "grader.reference"),
        ({**_check(), "input": "a" * 1_000_001}, "a", "grader.input"),
        ({**_check(), "input": "{{sample.output_text}}" * 100}, "a" * 10_000, "grader.input"),
        (_multi(33), "a", "grader.graders"),
    ],
)
async def test_work_above_a_limit_is_refused_with_the_limit(service, grader, sample, param):
    with pytest.raises(ServiceError, match="at most") as caught:
        await service.execute(RunGrader(grader=grader, model_sample=sample, item={"answer": "x"}))
    assert (caught.value.status, caught.value.param) == (400, param)


@pytest.mark.parametrize(
    "source", ["-" * 200_000 + "1", "a" + ".b" * 100_000, "{" * 90 + ":", "1" + "+1" * 100_000]
)
async def test_source_that_is_too_deep_is_refused(service, source):
    grader = {"type": "python", "name": "p", "source": source}
    with pytest.raises(ServiceError, match="is not Python"):
        await service.execute(ValidateGrader(grader=grader))


async def test_source_that_is_too_long_is_refused(service):
    grader = {"type": "python", "name": "p", "source": "#" * (256 * 1024 + 1)}
    with pytest.raises(ServiceError, match="at most 262144 bytes"):
        await service.execute(ValidateGrader(grader=grader))


async def test_a_sample_with_deeply_nested_json_has_no_json_value(service):
    grader = {**_check(), "input": "{{sample.output_json.a}}", "reference": ""}
    assert await _reward(service, grader, "[" * 100_000, "x") == 1


@given(st.text("ab ", max_size=20), st.text("ab ", max_size=20))
def test_the_longest_common_subsequence_equals_the_usual_table(one, other):
    row = [0] * (len(other) + 1)
    for item in one:
        previous = row[:]
        for index, candidate in enumerate(other):
            row[index + 1] = (
                previous[index] + 1 if item == candidate else max(previous[index + 1], row[index])
            )
    assert lcs_length(one, other) == row[-1]
