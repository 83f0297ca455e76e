"""Where each operation goes and where its parameters go, against the API's reference."""

import pytest

from tunesmith.operations.base import StreamOperation
from tunesmith.operations.registry import all_operations
from tunesmith.types import (
    Batch,
    CheckpointPermission,
    FileDeleted,
    FileObject,
    FineTune,
    FineTuneEvent,
    FineTuningJob,
    FineTuningJobCheckpoint,
    FineTuningJobEvent,
    Page,
    Upload,
    UploadPart,
)

JOB = "/fine_tuning/jobs/{fine_tuning_job_id}"
PERMISSIONS = "/fine_tuning/checkpoints/{fine_tuned_model_checkpoint}/permissions"

# name: (method, path, query or body beside the path, answer)
REFERENCE = {
    "files.create": ("POST", "/files", "file purpose expires_after", FileObject),
    "files.retrieve": ("GET", "/files/{file_id}", "", FileObject),
    "files.list": ("GET", "/files", "after limit order purpose", Page[FileObject]),
    "files.delete": ("DELETE", "/files/{file_id}", "", FileDeleted),
    "files.content": ("GET", "/files/{file_id}/content", "", bytes),
    "uploads.create": (
        "POST",
        "/uploads",
        "bytes filename mime_type purpose expires_after",
        Upload,
    ),
    "uploads.parts.create": ("POST", "/uploads/{upload_id}/parts", "data", UploadPart),
    "uploads.complete": ("POST", "/uploads/{upload_id}/complete", "part_ids md5", Upload),
    "uploads.cancel": ("POST", "/uploads/{upload_id}/cancel", "", Upload),
    "fine_tuning.jobs.create": (
        "POST",
        "/fine_tuning/jobs",
        (
            "model training_file hyperparameters integrations metadata method seed suffix"
            " tunesmith validation_file"
        ),
        FineTuningJob,
    ),
    "fine_tuning.jobs.retrieve": ("GET", JOB, "", FineTuningJob),
    "fine_tuning.jobs.list": (
        "GET",
        "/fine_tuning/jobs",
        "after limit metadata",
        Page[FineTuningJob],
    ),
    "fine_tuning.jobs.cancel": ("POST", f"{JOB}/cancel", "", FineTuningJob),
    "fine_tuning.jobs.pause": ("POST", f"{JOB}/pause", "", FineTuningJob),
    "fine_tuning.jobs.resume": ("POST", f"{JOB}/resume", "", FineTuningJob),
    "fine_tuning.jobs.list_events": (
        "GET",
        f"{JOB}/events",
        "after limit",
        Page[FineTuningJobEvent],
    ),
    "fine_tuning.jobs.checkpoints.list": (
        "GET",
        f"{JOB}/checkpoints",
        "after limit",
        Page[FineTuningJobCheckpoint],
    ),
    "fine_tuning.checkpoints.permissions.create": (
        "POST",
        PERMISSIONS,
        "project_ids",
        Page[CheckpointPermission],
    ),
    "fine_tuning.checkpoints.permissions.list": (
        "GET",
        PERMISSIONS,
        "after limit order project_id",
        Page[CheckpointPermission],
    ),
    "fine_tuning.checkpoints.permissions.delete": (
        "DELETE",
        PERMISSIONS + "/{permission_id}",
        "",
        None,
    ),
    "fine_tuning.graders.run": (
        "POST",
        "/fine_tuning/alpha/graders/run",
        "grader model_sample item",
        None,
    ),
    "fine_tuning.graders.validate": (
        "POST",
        "/fine_tuning/alpha/graders/validate",
        "grader",
        None,
    ),
    "fine_tunes.create": (
        "POST",
        "/fine-tunes",
        (
            "training_file batch_size classification_betas classification_n_classes"
            " classification_positive_class compute_classification_metrics hyperparameters"
            " learning_rate_multiplier model n_epochs prompt_loss_weight suffix validation_file"
        ),
        FineTune,
    ),
    "fine_tunes.list": ("GET", "/fine-tunes", "", Page[FineTune]),
    "fine_tunes.retrieve": ("GET", "/fine-tunes/{fine_tune_id}", "", FineTune),
    "fine_tunes.cancel": ("POST", "/fine-tunes/{fine_tune_id}/cancel", "", FineTune),
    "fine_tunes.list_events": ("GET", "/fine-tunes/{fine_tune_id}/events", "", Page[FineTuneEvent]),
    "batches.create": (
        "POST",
        "/batches",
        "completion_window endpoint input_file_id metadata output_expires_after",
        Batch,
    ),
    "batches.retrieve": ("GET", "/batches/{batch_id}", "", Batch),
    "batches.list": ("GET", "/batches", "after limit", Page[Batch]),
    "batches.cancel": ("POST", "/batches/{batch_id}/cancel", "", Batch),
    "models.list": ("GET", "/models", "", None),
    "models.retrieve": ("GET", "/models/{model}", "", None),
    "models.delete": ("DELETE", "/models/{model}", "", None),
}


def spec_of(name):
    return next(each.spec for each in all_operations() if each.spec.name == name)


@pytest.mark.parametrize("name", REFERENCE)
def test_an_operation_is_sent_as_the_reference_says(name):
    method, path, rest, answer = REFERENCE[name]
    spec = spec_of(name)
    assert (spec.method, spec.path) == (method, path)
    in_body = method == "POST"
    assert spec.body_params == (tuple(rest.split()) if in_body else ())
    assert spec.query_params == (() if in_body else tuple(rest.split()))
    if answer is not None:
        assert spec.response_type == answer


def test_only_files_and_parts_are_sent_as_forms():
    forms = {each.spec.name for each in all_operations() if each.spec.multipart}
    assert forms == {"files.create", "uploads.parts.create"}


def test_what_makes_an_object_is_known_to():
    creates = {name for name in REFERENCE if spec_of(name).is_create}
    assert creates == {
        "batches.create",
        "files.create",
        "fine_tunes.create",
        "fine_tuning.checkpoints.permissions.create",
        "fine_tuning.jobs.create",
        "uploads.create",
        "uploads.parts.create",
    }


def test_of_these_only_the_legacy_events_stream():
    streams = {name for name in REFERENCE if spec_of(name).event_type is not None}
    assert streams == {"fine_tunes.list_events"}
    assert spec_of("fine_tunes.list_events").event_type is FineTuneEvent


def test_names_and_routes_are_used_once():
    operations = all_operations()
    assert len({each.spec.name for each in operations}) == len(operations)
    assert len({(each.spec.method, each.spec.path) for each in operations}) == len(operations)


def test_all_operations_are_those_that_stream_and_those_that_do_not():
    assert {each.spec.name for each in all_operations() if issubclass(each, StreamOperation)} == {
        each.spec.name for each in all_operations() if each.spec.event_type is not None
    }
