"""Which parameters are taken, and that wrong ones are refused by name."""

import io
from pathlib import Path

import pytest
from pydantic import ValidationError

from tunesmith.operations.batches import CreateBatch
from tunesmith.operations.files import CreateFile, ListFiles, RetrieveFile
from tunesmith.operations.fine_tunes import CreateFineTune
from tunesmith.operations.fine_tuning import (
    CreateCheckpointPermissions,
    CreateFineTuningJob,
    DeleteCheckpointPermission,
    ListCheckpointPermissions,
    ListFineTuningJobEvents,
    ListFineTuningJobs,
)
from tunesmith.operations.graders import RunGrader
from tunesmith.operations.uploads import CreateUpload, CreateUploadPart

EXPIRES = {"anchor": "created_at", "seconds": 3_600}


def create_job(**parameters):
    return CreateFineTuningJob(model="davinci-002", training_file="file-1", **parameters)


def create_batch(**parameters):
    given = {"completion_window": "24h", "endpoint": "/v1/completions", "input_file_id": "file-1"}
    return CreateBatch(**(given | parameters))


def create_upload(**parameters):
    given = {"bytes": 1, "filename": "a", "mime_type": "text/jsonl", "purpose": "fine-tune"}
    return CreateUpload(**(given | parameters))


def create_file(**parameters):
    return CreateFile(**({"file": b"{}", "purpose": "fine-tune"} | parameters))


def create_fine_tune(**parameters):
    return CreateFineTune(**({"training_file": "file-1"} | parameters))


def supervised(**hyperparameters):
    return {"type": "supervised", "supervised": {"hyperparameters": hyperparameters}}


def dpo(**hyperparameters):
    return {"type": "dpo", "dpo": {"hyperparameters": hyperparameters}}


STRING_CHECK = {
    "type": "string_check",
    "name": "exact",
    "input": "{{sample.output_text}}",
    "reference": "{{item.answer}}",
    "operation": "eq",
}


def reinforcement(**hyperparameters):
    method = {"grader": STRING_CHECK, "hyperparameters": hyperparameters}
    return {"type": "reinforcement", "reinforcement": method}


async def chunks():
    yield b"{}"


@pytest.mark.parametrize(
    "file",
    [
        "kant.jsonl",
        Path("kant.jsonl"),
        b"{}",
        io.BytesIO(b"{}"),
        chunks(),
        ("kant.jsonl", b"{}"),
        ("kant.jsonl", io.BytesIO(b"{}"), "application/jsonl"),
        (None, Path("kant.jsonl"), None),
    ],
)
def test_a_file_is_handed_on_untouched_in_any_of_its_forms(file):
    assert CreateFile(file=file, purpose="fine-tune").file is file
    assert CreateUploadPart("upload_1", data=file).data is file


def test_the_name_of_an_object_is_positional():
    assert RetrieveFile("file-1") == RetrieveFile(file_id="file-1")
    assert ListFineTuningJobEvents("ftjob-1", limit=5).limit == 5


def test_a_permission_is_named_first_as_in_the_official_client():
    delete = DeleteCheckpointPermission("cp_1", fine_tuned_model_checkpoint="ft:a")
    assert (delete.permission_id, delete.fine_tuned_model_checkpoint) == ("cp_1", "ft:a")


def test_what_is_not_given_is_none():
    job = create_job()
    names = [n for n in job.spec.body_params if n not in {"model", "training_file"}]
    assert [getattr(job, name) for name in names] == [None] * 8


@pytest.mark.parametrize("value", ["auto", 1, 50])
def test_epochs_are_a_number_or_auto_in_every_method(value):
    for method in (supervised, dpo, reinforcement):
        assert create_job(method=method(n_epochs=value)).method == method(n_epochs=value)
    assert create_job(hyperparameters={"n_epochs": value}).hyperparameters == {"n_epochs": value}
    assert create_fine_tune(hyperparameters={"n_epochs": value}).n_epochs is None


def test_reinforcement_takes_all_its_hyperparameters():
    method = reinforcement(
        batch_size=256,
        compute_multiplier=0.5,
        eval_interval=1,
        eval_samples="auto",
        learning_rate_multiplier=2.0,
        n_epochs=3,
        reasoning_effort="low",
    )
    assert create_job(method=method).method == method


@pytest.mark.parametrize("metadata", ["null", {"topic": "kant"}, {}])
def test_jobs_are_listed_by_metadata_or_by_having_none(metadata):
    assert ListFineTuningJobs(metadata=metadata).metadata == metadata


def test_metadata_at_its_limits_is_taken():
    metadata = {f"{i:064}": "v" * 512 for i in range(16)}
    assert create_batch(metadata=metadata).metadata == metadata


def test_wandb_is_the_one_integration():
    integrations = [{"type": "wandb", "wandb": {"project": "kant", "name": None, "tags": ["a"]}}]
    assert create_job(integrations=integrations).integrations == integrations


@pytest.mark.parametrize(
    ("ask", "parameters", "place"),
    [
        (create_file, {"purpose": "fine_tune"}, ("purpose",)),
        (create_file, {"expires_after": EXPIRES | {"seconds": 60}}, ("expires_after", "seconds")),
        (create_file, {"expires_after": {"seconds": 3_600}}, ("expires_after", "anchor")),
        (create_file, {"filename": "a"}, ("filename",)),
        (create_upload, {"bytes": -1}, ("bytes",)),
        (create_upload, {"purpose": "results"}, ("purpose",)),
        (create_upload, {"mime_type": None}, ("mime_type",)),
        (ListFiles, {"limit": 0}, ("limit",)),
        (ListFiles, {"order": "descending"}, ("order",)),
        (create_job, {"suffix": ""}, ("suffix",)),
        (create_job, {"suffix": "k" * 65}, ("suffix",)),
        (create_job, {"seed": -1}, ("seed",)),
        (create_job, {"seed": 2**31}, ("seed",)),
        (create_job, {"n_epochs": 3}, ("n_epochs",)),
        (create_job, {"metadata": {"k" * 65: "v"}}, ("metadata", "k" * 65, "[key]")),
        (create_job, {"metadata": {"k": "v" * 513}}, ("metadata", "k")),
        (create_job, {"metadata": {str(i): "" for i in range(17)}}, ("metadata",)),
        (create_job, {"method": {"type": "ppo"}}, ("method", "type")),
        (create_job, {"integrations": [{"type": "wandb"}]}, ("integrations", 0, "wandb")),
        (create_batch, {"completion_window": "1h"}, ("completion_window",)),
        (create_batch, {"endpoint": "/completions"}, ("endpoint",)),
        (
            create_batch,
            {"output_expires_after": EXPIRES | {"seconds": 2_592_001}},
            ("output_expires_after", "seconds"),
        ),
        (create_fine_tune, {"suffix": "k" * 41}, ("suffix",)),
        (create_fine_tune, {"training_file": None}, ("training_file",)),
        (create_fine_tune, {"stream": True}, ("stream",)),
    ],
)
def test_a_wrong_parameter_is_refused_by_name(ask, parameters, place):
    with pytest.raises(ValidationError) as refused:
        ask(**parameters)
    assert refused.value.errors()[0]["loc"] == place


@pytest.mark.parametrize(
    ("method", "hyperparameters"),
    [
        (supervised, {"batch_size": 0}),
        (supervised, {"batch_size": 257}),
        (supervised, {"n_epochs": 51}),
        (supervised, {"learning_rate_multiplier": 0}),
        (supervised, {"n_epoch": 3}),
        (supervised, {"beta": 0.1}),
        (dpo, {"beta": 0}),
        (dpo, {"beta": 2.1}),
        (reinforcement, {"compute_multiplier": 0}),
        (reinforcement, {"compute_multiplier": 11}),
        (reinforcement, {"eval_interval": 0}),
        (reinforcement, {"eval_samples": 0}),
        (reinforcement, {"reasoning_effort": "minimal"}),
    ],
)
def test_a_wrong_hyperparameter_is_refused_by_its_place(method, hyperparameters):
    asked = method(**hyperparameters)
    with pytest.raises(ValidationError) as refused:
        create_job(method=asked)
    place = ("method", asked["type"], "hyperparameters", *hyperparameters)
    assert refused.value.errors()[0]["loc"][:4] == place


def test_permissions_are_listed_in_their_own_words():
    assert ListCheckpointPermissions("ft:a", order="ascending").order == "ascending"
    with pytest.raises(ValidationError, match="order"):
        ListCheckpointPermissions("ft:a", order="asc")


def test_one_project_in_place_of_a_list_is_refused():
    with pytest.raises(ValidationError, match="project_ids"):
        CreateCheckpointPermissions("ft:a", project_ids="proj_1")


SCORE_MODEL = {
    "type": "score_model",
    "name": "judge",
    "model": "o4-mini",
    "input": [{"role": "user", "content": "Is this right? {{sample.output_text}}"}],
    "range": [0, 10],
    "sampling_params": {"temperature": 0, "seed": 1, "max_completions_tokens": 100},
}
LABEL_MODEL = {
    "type": "label_model",
    "name": "kind",
    "model": "o4-mini",
    "input": [{"role": "user", "content": [{"type": "input_text", "text": "…"}]}],
    "labels": ["analytic", "synthetic"],
    "passing_labels": ["synthetic"],
}
SIMILARITY = {
    "type": "text_similarity",
    "name": "alike",
    "input": "{{sample.output_text}}",
    "reference": "{{item.answer}}",
    "evaluation_metric": "rouge_l",
}
PYTHON = {"type": "python", "name": "code", "source": "def grade(sample, item): return 1.0"}
MULTI = {
    "type": "multi",
    "name": "both",
    "graders": {"exact": STRING_CHECK, "kind": LABEL_MODEL},
    "calculate_output": "0.5 * exact + 0.5 * kind",
}


@pytest.mark.parametrize(
    "grader", [STRING_CHECK, SIMILARITY, PYTHON, PYTHON | {"image_tag": "1"}, SCORE_MODEL, MULTI]
)
def test_all_graders_are_taken(grader):
    assert RunGrader(grader=grader, model_sample="A 26", item={"answer": "A 26"}).grader == grader


@pytest.mark.parametrize(
    ("grader", "place"),
    [
        ({"type": "exact"}, ()),
        (STRING_CHECK | {"operation": "equal"}, ("string_check", "operation")),
        (SIMILARITY | {"evaluation_metric": "rouge"}, ("text_similarity", "evaluation_metric")),
        (PYTHON | {"code": "1"}, ("python", "code")),
        (SCORE_MODEL | {"range": [0]}, ("score_model", "range")),
        (SCORE_MODEL | {"input": []}, ("score_model", "input")),
        (LABEL_MODEL, ()),
        (MULTI | {"graders": {"both": MULTI}}, ("multi", "graders", "both")),
    ],
)
def test_a_wrong_grader_is_refused_by_its_place(grader, place):
    with pytest.raises(ValidationError) as refused:
        RunGrader(grader=grader, model_sample="A 26")
    assert refused.value.errors()[0]["loc"] == ("grader", *place)


def test_a_question_shows_neither_files_nor_names():
    assert repr(create_file(file=b"secret")) == "<files.create>"
