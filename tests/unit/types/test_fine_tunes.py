"""Fine-tunes of the legacy API, as it answered them."""

from datetime import UTC, datetime

import pytest

from tunesmith.types import FineTune, FineTuneEvent, Page

EVENT = {
    "object": "fine-tune-event",
    "created_at": 1676758827,
    "level": "info",
    "message": "Created fine-tune: ft-AF1WoRqd3aJAHsqc9NY7iL8F",
}
FINE_TUNE = {
    "id": "ft-AF1WoRqd3aJAHsqc9NY7iL8F",
    "object": "fine-tune",
    "model": "ada",
    "created_at": 1676758827,
    "updated_at": 1676758899,
    "fine_tuned_model": None,
    "organization_id": "org-123",
    "status": "pending",
    "hyperparams": {
        "batch_size": None,
        "learning_rate_multiplier": None,
        "n_epochs": 4,
        "prompt_loss_weight": 0.01,
    },
    "training_files": [
        {
            "id": "file-abc123",
            "object": "file",
            "bytes": 1547276,
            "created_at": 1676758826,
            "filename": "kant.jsonl",
            "purpose": "fine-tune-train",
        }
    ],
    "validation_files": [],
    "result_files": [],
    "events": [EVENT],
}


def fine_tune(**changes):
    return FineTune.model_validate({**FINE_TUNE, **changes})


def test_a_fine_tune_holds_whole_files_and_events():
    tuned = fine_tune()
    assert tuned.training_files[0].filename == "kant.jsonl"
    assert tuned.events == [FineTuneEvent.model_validate(EVENT)]
    assert tuned.model_dump(exclude_unset=True) == FINE_TUNE


def test_times_are_also_aware_datetimes():
    tuned = fine_tune()
    assert tuned.created_datetime == datetime(2023, 2, 18, 22, 20, 27, tzinfo=UTC)
    assert tuned.updated_datetime == datetime(2023, 2, 18, 22, 21, 39, tzinfo=UTC)
    assert FineTuneEvent.model_validate(EVENT).created_datetime == tuned.created_datetime


def test_hyperparams_are_null_until_the_fine_tune_runs():
    hyperparams = fine_tune().hyperparams
    assert hyperparams is not None
    assert (hyperparams.batch_size, hyperparams.n_epochs) == (None, 4)


def test_hyperparams_know_the_betas_that_the_schema_forgot():
    hyperparams = fine_tune(hyperparams={"classification_betas": [0.5, 1]}).hyperparams
    assert hyperparams is not None
    assert hyperparams.classification_betas == [0.5, 1]


@pytest.mark.parametrize(
    ("status", "over"),
    [
        ("created", False),
        ("pending", False),
        ("running", False),
        ("a state of yesterday", False),
        ("succeeded", True),
        ("failed", True),
        ("cancelled", True),
    ],
)
def test_every_status_is_borne_and_known_to_be_over_or_not(status, over):
    assert fine_tune(status=status).is_over is over


def test_in_lists_there_are_no_events_and_no_next_page():
    listed = {k: v for k, v in FINE_TUNE.items() if k != "events"}
    page = Page[FineTune].model_validate({"object": "list", "data": [listed]})
    assert page.data[0].events is None
    assert page.has_more is None


@pytest.mark.parametrize("files", ["training_files", "validation_files", "result_files"])
def test_files_that_are_null_are_an_empty_list(files):
    assert getattr(fine_tune(**{files: None}), files) == []


def test_a_fine_tune_may_have_nothing_but_id_and_status():
    tuned = FineTune.model_validate({"id": "ft-1", "status": "running"})
    assert (tuned.training_files, tuned.hyperparams, tuned.updated_datetime) == ([], None, None)
