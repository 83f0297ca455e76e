"""HTML report of a fine-tuning job: facts, curves, checkpoints, events."""

from tunesmith.client import AsyncClient
from tunesmith.reports._charts import Series, line_chart
from tunesmith.reports._html import Html, render_facts, render_page, render_table, tag
from tunesmith.types.fine_tuning import FineTuningJob, FineTuningJobCheckpoint, FineTuningJobEvent
from tunesmith.types.results import JobResults

__all__ = ["job_report"]


async def job_report(client: AsyncClient, job: FineTuningJob | str) -> str:
    """Write a page about a job: its facts, curves, checkpoints and events.

    Args:
        client: The client to fetch them with.
        job: The job or its id; it may be still running.

    Returns:
        The page, as HTML.

    Raises:
        NotFoundError: The job does not exist.

    Example:
        ```python
        from tunesmith.reports.fine_tuning_job import job_report

        Path("job.html").write_text(await job_report(client, job), encoding="utf-8")
        ```
    """
    jobs = client.fine_tuning.jobs
    state = await jobs.retrieve(job if isinstance(job, str) else job.id)
    results = await jobs.results(state) if state.result_files else None
    checkpoints = [checkpoint async for checkpoint in jobs.checkpoints.list(state.id)]
    events = [event async for event in jobs.list_events(state.id)]
    return render_page(
        f"Fine-tuning job {state.id}",
        _facts(state),
        *([_curves(results)] if results else []),
        *([_checkpoints(checkpoints)] if checkpoints else []),
        _events(events),
    )


def _facts(job: FineTuningJob) -> Html:
    parameters = job.hyperparameters.model_dump(exclude_none=True) if job.hyperparameters else {}
    return render_facts(
        {
            "Status": job.status,
            "Error": job.failure.message if job.failure else None,
            "Model": job.model,
            "Fine-tuned model": job.fine_tuned_model,
            "Created": job.created_datetime,
            "Finished": job.finished_datetime,
            "Trained tokens": f"{job.trained_tokens:,}" if job.trained_tokens else None,
            "Hyperparameters": ", ".join(f"{name} {value}" for name, value in parameters.items()),
            "Seed": job.seed,
            "Training file": job.training_file,
            "Validation file": job.validation_file,
            "Metadata": ", ".join(f"{name}: {text}" for name, text in (job.metadata or {}).items()),
        }
    )


def _curves(results: JobResults) -> Html:
    charts = [
        line_chart(
            title,
            [
                Series("training", _points(results, f"train_{measure}")),
                Series("validation", _points(results, f"valid_{measure}"), is_dashed=True),
            ],
            x_label="step",
            y_label=unit,
        )
        for title, measure, unit in (
            ("Loss", "loss", "nats per token"),
            ("Token accuracy", "accuracy", "fraction of tokens"),
        )
    ]
    return Html(tag("h2", "Curves") + tag("div", *charts, class_="grid"))


def _points(results: JobResults, measure: str) -> list[tuple[float, float]]:
    points = ((step.step, getattr(step, measure)) for step in results)
    return [(step, value) for step, value in points if value is not None]


def _checkpoints(checkpoints: list[FineTuningJobCheckpoint]) -> Html:
    rows = (
        (
            checkpoint.step_number,
            checkpoint.fine_tuned_model_checkpoint,
            _number(checkpoint.metrics.train_loss if checkpoint.metrics else None),
            _number(checkpoint.metrics.full_valid_loss if checkpoint.metrics else None),
        )
        for checkpoint in checkpoints
    )
    columns = ("Step", "Model", "Training loss", "Validation loss")
    return Html(tag("h2", "Checkpoints") + render_table(columns, rows))


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _events(events: list[FineTuningJobEvent]) -> Html:
    rows = (
        (
            tag("td", tag("time", event.created_datetime)),
            tag("td", event.message, class_=event.level),
        )
        for event in reversed(events)  # oldest first
    )
    return Html(tag("h2", "Events") + render_table(("Time", "Message"), rows))
