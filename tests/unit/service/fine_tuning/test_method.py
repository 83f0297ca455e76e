"""Parameters of a job become the engine's training spec."""

import json

from tunesmith.service.fine_tuning.method import load_training_spec
from tunesmith.testing import Service
from tunesmith.types.fine_tuning import (
    FineTuneMethod,
    FineTuningHyperparameters,
    FineTuningJob,
    SupervisedMethod,
)


class Files:
    """Files of which each has the same rows."""

    def read(self, _):
        row = {"prompt": "1 + 1 =", "completion": " 2"}
        yield from [json.dumps(row).encode() + b"\n"] * 10


def test_prompts_have_no_weight_as_only_the_legacy_api_has_the_parameter():
    models = Service().models
    method = SupervisedMethod(hyperparameters=FineTuningHyperparameters(n_epochs="auto"))
    job = FineTuningJob.model_construct(
        training_file="file-1",
        validation_file=None,
        seed=1,
        method=FineTuneMethod(type="supervised", supervised=method),
    )
    spec = load_training_spec(job, Files(), models.info_of("davinci-002"))
    assert (spec.format, len(spec.examples), spec.prompt_loss_weight) == ("completions", 10, 0)
