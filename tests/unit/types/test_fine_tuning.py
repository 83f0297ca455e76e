"""Fine-tuning jobs, events and checkpoints, as services answer them."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, strategies as st
from pydantic import ValidationError

from tunesmith.types import (
    CheckpointPermission,
    CheckpointPermissionDeleted,
    FineTuningJob,
    FineTuningJobCheckpoint,
    FineTuningJobError,
    FineTuningJobEvent,
    Page,
    RunGraderResponse,
    ValidateGraderResponse,
)

JOB = {
    "object": "fine_tuning.job",
    "id": "ftjob-abc123",
    "model": "gpt-4o-mini-2024-07-18",
    "created_at": 1721764800,
    "finished_at": 1721765400,
    "estimated_finish": 1721765300,
    "fine_tuned_model": "ft:gpt-4o-mini-2024-07-18:acme:kant:7q8mpxmy",
    "organization_id": "org-123",
    "result_files": ["file-results"],
    "status": "succeeded",
    "error": None,
    "validation_file": None,
    "training_file": "file-abc123",
    "hyperparameters": {"n_epochs": 4, "batch_size": 1, "learning_rate_multiplier": 1.8},
    "trained_tokens": 5768,
    "seed": 683058546,
    "integrations": [
        {"type": "wandb", "wandb": {"project": "kant", "name": None, "entity": None, "tags": ["a"]}}
    ],
    "method": {
        "type": "dpo",
        "dpo": {"hyperparameters": {"n_epochs": "auto", "beta": 0.1}},
    },
    "metadata": {"topic": "kant"},
    "user_provided_suffix": "kant",
    "usage_metrics": None,
    "shared_with_openai": False,
}


def job(**changes):
    return FineTuningJob.model_validate({**JOB, **changes})


def without(*names):
    return FineTuningJob.model_validate({k: v for k, v in JOB.items() if k not in names})


def test_a_job_loses_nothing_that_the_service_sent():
    assert job().model_dump(exclude_unset=True) == JOB


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@pytest.mark.slow
@given(status=st.text(), unknown=JSON)
def test_whatever_a_newer_service_adds_is_kept(status, unknown):
    answered = job(status=status, new_field=unknown, method={"type": status, "new": unknown})
    assert answered.model_dump(exclude_unset=True) == {
        **JOB,
        "status": status,
        "new_field": unknown,
        "method": {"type": status, "new": unknown},
    }


def test_a_job_is_typed_down_to_its_method_and_integrations():
    answered = job()
    assert answered.method is not None
    assert answered.method.dpo is not None
    assert answered.method.dpo.hyperparameters is not None
    assert answered.method.dpo.hyperparameters.beta == 0.1
    assert answered.integrations[0].wandb is not None
    assert answered.integrations[0].wandb.tags == ["a"]


def test_times_are_also_aware_datetimes():
    answered = job()
    assert answered.created_datetime == datetime(2024, 7, 23, 20, 0, tzinfo=UTC)
    assert answered.finished_datetime == datetime(2024, 7, 23, 20, 10, tzinfo=UTC)
    assert answered.estimated_finish_datetime == datetime(2024, 7, 23, 20, 8, 20, tzinfo=UTC)


def test_a_job_that_is_not_finished_has_no_time_of_it():
    assert job(finished_at=None, estimated_finish=None).finished_datetime is None


@pytest.mark.parametrize("error", [None, {}, {"code": None, "message": None, "param": None}])
def test_an_error_that_says_nothing_is_no_failure(error):
    assert job(error=error).failure is None


def test_a_job_without_an_error_is_no_failure():
    assert without("error").failure is None


def test_a_failed_job_says_why():
    error = {
        "code": "invalid_n_examples",
        "message": "Training file has 7 example(s), but must have at least 10 examples",
        "param": "training_file",
    }
    failed = job(error=error, status="failed", fine_tuned_model=None)
    assert failed.failure == FineTuningJobError.model_validate(error)
    assert failed.is_finished


def test_an_error_of_unknown_shape_is_still_a_failure():
    failure = job(error={"reason": "no space left"}).failure
    assert failure is not None
    assert failure.model_extra == {"reason": "no space left"}


@pytest.mark.parametrize(
    "names",
    [
        ("finished_at", "hyperparameters", "trained_tokens", "seed", "error"),
        ("integrations", "result_files", "method", "metadata", "estimated_finish"),
        ("object", "model", "created_at", "organization_id", "training_file", "fine_tuned_model"),
    ],
)
def test_a_job_may_lack_what_real_servers_leave_out(names):
    answered = without(*names)
    assert answered.id == "ftjob-abc123"
    assert not any(getattr(answered, name) for name in names if name != "object")


@pytest.mark.parametrize("name", ["result_files", "integrations"])
def test_lists_that_are_null_are_empty(name):
    assert getattr(job(**{name: None}), name) == []


def test_the_hyperparameters_of_a_dpo_job_are_null():
    assert job(hyperparameters=None).hyperparameters is None


def test_hyperparameters_are_auto_until_the_service_has_chosen():
    auto = dict.fromkeys(("n_epochs", "batch_size", "learning_rate_multiplier"), "auto")
    answered = job(hyperparameters=auto).hyperparameters
    assert answered is not None
    assert answered.model_dump(exclude_unset=True) == auto


@pytest.mark.parametrize(
    ("status", "over"),
    [
        ("validating_files", False),
        ("queued", False),
        ("running", False),
        ("paused", False),
        ("created", False),
        ("a state of tomorrow", False),
        ("succeeded", True),
        ("failed", True),
        ("cancelled", True),
    ],
)
def test_every_status_is_borne_and_known_to_be_over_or_not(status, over):
    assert job(status=status).is_finished is over


@pytest.mark.parametrize("name", ["id", "status"])
def test_a_job_needs_an_id_and_a_status(name):
    with pytest.raises(ValidationError, match=name):
        without(name)


def test_a_reinforcement_job_keeps_its_grader():
    grader = {"type": "string_check", "name": "a", "operation": "eq", "input": "", "reference": ""}
    method = {"type": "reinforcement", "reinforcement": {"grader": grader}}
    answered = job(method=method).method
    assert answered is not None
    assert answered.reinforcement is not None
    assert answered.reinforcement.grader == grader


@pytest.mark.parametrize("data", [None, {}, {"step": 1, "train_loss": 2.5, "total_steps": 90}])
@pytest.mark.parametrize("id", ["ftevent-abc", "ft-event-abc"])
def test_events_come_with_data_and_ids_of_several_kinds(data, id):
    event = FineTuningJobEvent.model_validate(
        {
            "object": "fine_tuning.job.event",
            "id": id,
            "created_at": 1721764800,
            "level": "info",
            "message": "Fine-tuning job started",
            "type": "message",
            "data": data,
        }
    )
    assert (event.id, event.data) == (id, data)
    assert event.created_datetime == datetime(2024, 7, 23, 20, 0, tzinfo=UTC)


def test_lists_of_jobs_and_events_have_no_first_and_last_id():
    page = Page[FineTuningJob].model_validate({"object": "list", "data": [JOB], "has_more": True})
    assert (page.data[0].id, page.first_id, page.last_id) == ("ftjob-abc123", None, None)


@pytest.mark.parametrize("metrics", [None, {}, {"full_valid_loss": 0.567, "step": 2000}])
def test_all_metrics_of_a_checkpoint_may_be_missing(metrics):
    checkpoint = FineTuningJobCheckpoint.model_validate(
        {
            "object": "fine_tuning.job.checkpoint",
            "id": "ftckpt_1",
            "created_at": 1721764867,
            "fine_tuned_model_checkpoint": "ft:gpt-4o-mini:acme:kant:96olL566:ckpt-step-2000",
            "metrics": metrics,
            "fine_tuning_job_id": "ftjob-abc123",
            "step_number": 2000,
        }
    )
    assert checkpoint.step_number == 2000
    assert checkpoint.created_datetime == datetime(2024, 7, 23, 20, 1, 7, tzinfo=UTC)
    if metrics:
        assert checkpoint.metrics is not None
        assert checkpoint.metrics.full_valid_loss == 0.567


def test_a_permission_names_its_project():
    permission = CheckpointPermission.model_validate(
        {
            "object": "checkpoint.permission",
            "id": "cp_1",
            "created_at": 1721764867,
            "project_id": "proj_1",
        }
    )
    assert permission.project_id == "proj_1"
    assert permission.created_datetime == datetime(2024, 7, 23, 20, 1, 7, tzinfo=UTC)


def test_a_permission_taken_back():
    answer = {"object": "checkpoint.permission", "id": "cp_1", "deleted": True}
    assert CheckpointPermissionDeleted.model_validate(answer).deleted


def test_a_grader_answers_a_reward_and_how_it_came_to_it():
    answer = RunGraderResponse.model_validate(
        {
            "reward": 1,
            "metadata": {
                "name": "exact",
                "type": "string_check",
                "errors": {"invalid_variable_error": False},
                "execution_time": 0.02,
                "scores": {},
                "token_usage": None,
                "sampled_model_name": None,
            },
            "sub_rewards": {},
            "model_grader_token_usage_per_model": {},
        }
    )
    assert answer.reward == 1.0
    assert answer.metadata is not None
    assert answer.metadata.execution_time == 0.02


def test_a_validated_grader_comes_back_as_understood():
    assert ValidateGraderResponse.model_validate({"grader": {"type": "multi"}}).grader is not None
