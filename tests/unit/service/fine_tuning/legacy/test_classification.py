"""Classification metrics of the legacy API."""

import csv
from math import log

import pytest

from tunesmith.operations.files import DownloadFile
from tunesmith.operations.fine_tunes import CreateFineTune, RetrieveFineTune
from tunesmith.service.engines import TrainingSpec
from tunesmith.service.fine_tuning.legacy.classification import (
    ClassificationConfig,
    ClassificationEvaluator,
)
from tunesmith.service.fine_tuning.training_data import InvalidTrainingFileError

pytestmark = pytest.mark.anyio

_SPORTS = [
    {"prompt": f"{ball} game {i} ->", "completion": f" {ball}ball"}
    for i in range(10)
    for ball in ("base", "hand")
]


class FixedScores:
    """Model with given log-probabilities of each text."""

    def __init__(self, logprobs):
        self.logprobs = logprobs
        self.tokenizer = self

    def encode(self, text):
        return [text]

    async def score(self, tokens):
        class Token:
            def __init__(self, logprob):
                self.token = self
                self.logprob = logprob

        prompt, name = tokens
        return [Token(0.0), Token(self.logprobs[prompt][name])]


def _spec(truth):
    examples = [{"prompt": "x", "completion": name} for name in ("yes", "no")]
    validation = [{"prompt": prompt, "completion": name} for prompt, name in truth.items()]
    return TrainingSpec("completions", examples, validation)


async def _finished(service, training_file, validation_file, **parameters):
    fine_tune = await service.execute(
        CreateFineTune(
            model="ada",
            training_file=training_file,
            validation_file=validation_file,
            compute_classification_metrics=True,
            **parameters,
        )
    )
    service.clock.jump(36_000)
    return await service.execute(RetrieveFineTune(fine_tune.id))


async def _rows(service, fine_tune):
    content = await service.execute(DownloadFile(fine_tune.result_files[0].id))
    return list(csv.DictReader(content.decode().splitlines()))


async def test_binary_metrics_are_in_the_result_file_after_each_epoch(service, upload):
    done = await _finished(
        service,
        await upload(_SPORTS),
        await upload(_SPORTS[:4]),
        n_epochs=2,
        batch_size=5,
        classification_positive_class="baseball",
        classification_betas=[0.5, 2],
    )
    assert done.hyperparams.classification_positive_class == "baseball"
    rows = await _rows(service, done)
    columns = [name for name in rows[0] if name.startswith("classification/")]
    assert columns == [
        f"classification/{name}"
        for name in ("accuracy", "precision", "recall", "auroc", "auprc", "f0.5", "f2")
    ]
    assert [row["step"] for row in rows if row["classification/accuracy"]] == ["4", "8"]
    assert float(rows[-1]["classification/accuracy"]) == 1


async def test_multiclass_metrics_are_accuracy_and_weighted_f1(service, upload):
    done = await _finished(
        service, await upload(_SPORTS), await upload(_SPORTS[:4]), classification_n_classes=2
    )
    rows = await _rows(service, done)
    columns = [name for name in rows[0] if name.startswith("classification/")]
    assert columns == ["classification/accuracy", "classification/weighted_f1_score"]
    assert float(rows[-1]["classification/weighted_f1_score"]) == 1


async def test_a_wrong_number_of_classes_fails_the_fine_tune(service, upload):
    file = await upload(_SPORTS)
    done = await _finished(service, file, file, classification_n_classes=3)
    assert done.status == "failed"
    assert "number of classes in the training file is 2" in done.events[-1].message


async def test_binary_metrics_equal_values_computed_by_hand():
    probabilities = {"a": 0.9, "b": 0.6, "c": 0.7, "d": 0.1}
    truth = {"a": "yes", "b": "yes", "c": "no", "d": "no"}
    model = FixedScores({p: {"yes": log(c), "no": log(1 - c)} for p, c in probabilities.items()})
    config = ClassificationConfig(n_classes=None, positive_class="yes", betas=(1,))
    metrics = await ClassificationEvaluator(config, _spec(truth)).evaluate(model)
    assert metrics == pytest.approx(
        {
            "classification/accuracy": 3 / 4,
            "classification/precision": 2 / 3,
            "classification/recall": 1,
            "classification/auroc": 3 / 4,
            "classification/auprc": (1 + 2 / 3) / 2,
            "classification/f1": 4 / 5,
        }
    )


@pytest.mark.parametrize(
    ("config", "truth", "message"),
    [
        (ClassificationConfig(2, "maybe", ()), {"a": "yes"}, "no class 'maybe'"),
        (
            ClassificationConfig(2, None, ()),
            {"a": "maybe"},
            "that is missing in the training file: 'maybe'",
        ),
    ],
)
def test_unknown_classes_are_named(config, truth, message):
    with pytest.raises(InvalidTrainingFileError, match=message):
        ClassificationEvaluator(config, _spec(truth))
