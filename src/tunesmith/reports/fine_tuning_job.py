"""HTML report of a fine-tuning job: facts, curves, checkpoints, samples, events."""

from collections.abc import Sequence
from datetime import datetime
from math import isfinite

from tunesmith._charts import metric_charts
from tunesmith._html import Html, render_facts, render_page, render_table, tag
from tunesmith.client import AsyncClient
from tunesmith.datasets.cost import Prices
from tunesmith.errors import APIError
from tunesmith.types.fine_tuning import FineTuningJob, FineTuningJobCheckpoint, FineTuningJobEvent
from tunesmith.types.results import JobResults

__all__ = ["job_report"]

_OVERFIT_RATIO = 1.05
"""Growth of the validation loss after its minimum that counts as overfitting."""

_GAP_RATIO = 2.0
"""Validation loss as a multiple of training loss that counts as memorized data."""

_SAMPLE_TOKENS = 64


async def job_report(
    client: AsyncClient,
    job: FineTuningJob | str,
    *,
    prompts: Sequence[str] = (),
    prices: Prices | None = None,
) -> str:
    """Write a page about a job: facts, cost, curves, checkpoints, samples and events.

    Args:
        client: The client to fetch them with.
        job: The job or its id; it may be still running.
        prompts: Prompts to complete with the base model and the fine-tuned one.
        prices: Prices, for the cost of training.

    Returns:
        The page, as HTML.

    Raises:
        NotFoundError: The job does not exist.

    Example:
        ```python
        from tunesmith.reports.fine_tuning_job import job_report

        page = await job_report(client, job, prompts=["Kant was"])
        Path("job.html").write_text(page, encoding="utf-8")
        ```
    """
    jobs = client.fine_tuning.jobs
    state = await jobs.retrieve(job if isinstance(job, str) else job.id)
    results = await jobs.results(state) if state.result_files else None
    checkpoints = [checkpoint async for checkpoint in jobs.checkpoints.list(state.id)]
    events = [event async for event in jobs.list_events(state.id)]
    samples = await _samples(client, state, prompts)
    return render_page(
        f"Fine-tuning job {state.id}",
        _facts(state, checkpoints, prices),
        *([_curves(results, checkpoints)] if results else []),
        *([_checkpoints(checkpoints)] if checkpoints else []),
        *samples,
        _events(events),
    )


def _facts(
    job: FineTuningJob, checkpoints: Sequence[FineTuningJobCheckpoint], prices: Prices | None
) -> Html:
    parameters = job.hyperparameters.model_dump(exclude_none=True) if job.hyperparameters else {}
    best = _best(checkpoints)
    return render_facts(
        {
            "Status": job.status,
            "Error": job.failure.message if job.failure else None,
            "Model": job.model,
            "Fine-tuned model": job.fine_tuned_model,
            "Best checkpoint": best and f"step {best.step_number}: {_loss_of(best)}",
            "Created": _time(job.created_datetime),
            "Finished": _time(job.finished_datetime),
            "Duration": _duration(job),
            "Trained tokens": f"{job.trained_tokens:,}" if job.trained_tokens else None,
            "Cost of training": _cost(job, prices),
            "Hyperparameters": ", ".join(f"{name} {value}" for name, value in parameters.items()),
            "Seed": job.seed,
            "Training file": job.training_file,
            "Validation file": job.validation_file,
            "Metadata": ", ".join(f"{name}: {text}" for name, text in (job.metadata or {}).items()),
        }
    )


def _time(time: datetime | None) -> Html:
    return Html("") if time is None else tag("time", f"{time:%Y-%m-%d %H:%M:%S}Z")


def _duration(job: FineTuningJob) -> str | None:
    if not (job.created_at and job.finished_at):
        return None
    minutes, seconds = divmod(round(job.finished_at - job.created_at), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"


def _cost(job: FineTuningJob, prices: Prices | None) -> str | None:
    price = prices.training_price(job.model) if prices and job.model else None
    if price is None or prices is None or not job.trained_tokens:
        return None
    return f"${price * job.trained_tokens / 1e6:,.2f} (prices as of {prices.as_of})"


def _valid_loss(checkpoint: FineTuningJobCheckpoint) -> float | None:
    metrics = checkpoint.metrics
    if metrics is None:
        return None
    loss = metrics.valid_loss if metrics.full_valid_loss is None else metrics.full_valid_loss
    return loss if loss is not None and isfinite(loss) else None


def _best(checkpoints: Sequence[FineTuningJobCheckpoint]) -> FineTuningJobCheckpoint | None:
    """Return the checkpoint with the lowest validation loss."""
    losses = [(loss, c) for c in checkpoints if (loss := _valid_loss(c)) is not None]
    return min(losses, key=lambda pair: pair[0])[1] if losses else None


def _loss_of(checkpoint: FineTuningJobCheckpoint) -> str:
    return (
        f"{checkpoint.fine_tuned_model_checkpoint} "
        f"(validation loss {_number(_valid_loss(checkpoint))})"
    )


def _final_training_loss(results: JobResults) -> float | None:
    """Return the mean over the last tenth of the steps; one step is noise."""
    losses = [step.train_loss for step in results if step.train_loss is not None]
    last = losses[-max(len(losses) // 10, 1) :]
    return sum(last) / len(last) if last else None


def _overfitting_note(results: JobResults, checkpoints: Sequence[FineTuningJobCheckpoint]) -> Html:
    """Write whether the validation loss rose after its minimum, or stays far above the other."""
    ordered = sorted(checkpoints, key=lambda checkpoint: checkpoint.step_number or 0)
    losses = [
        (checkpoint.step_number, loss)
        for checkpoint in ordered
        if (loss := _valid_loss(checkpoint)) is not None
    ]
    if not losses:
        return tag(
            "p", "No validation loss: pass a validation file to detect overfitting.", class_="note"
        )
    (last_step, last), (best_step, best) = losses[-1], min(losses, key=lambda pair: pair[1])
    if last > best * _OVERFIT_RATIO:
        return tag(
            "p",
            tag("span", "Overfitting: ", class_="warn"),
            f"validation loss rose from {best:.3f} at step {best_step} to {last:.3f} at step "
            f"{last_step}. Use the checkpoint of step {best_step}, fewer epochs or more data.",
        )
    learned = _final_training_loss(results)
    if learned is not None and last > learned * _GAP_RATIO:
        return tag(
            "p",
            tag("span", "Memorized: ", class_="warn"),
            f"validation loss is {last:.3f} at the last checkpoint, and training loss "
            f"{learned:.3f} over the last steps: the model knows the training data better than "
            "what they have in common. Use more varied data or fewer epochs.",
        )
    return tag(
        "p",
        tag("span", "No overfitting: ", class_="good"),
        f"validation loss is {last:.3f} at the last checkpoint, and was not lower before by more "
        "than 5 %.",
    )


def _curves(results: JobResults, checkpoints: Sequence[FineTuningJobCheckpoint]) -> Html:
    return Html(
        tag("h2", "Curves") + _overfitting_note(results, checkpoints) + metric_charts(results)
    )


def _checkpoints(checkpoints: Sequence[FineTuningJobCheckpoint]) -> Html:
    best = _best(checkpoints)
    rows = (
        (
            checkpoint.step_number,
            checkpoint.fine_tuned_model_checkpoint,
            _number(checkpoint.metrics.train_loss if checkpoint.metrics else None),
            tag(
                "td",
                _number(_valid_loss(checkpoint)),
                class_="good" if checkpoint is best else None,
            ),
        )
        for checkpoint in checkpoints
    )
    columns = ("Step", "Model", "Training loss", "Validation loss")
    return Html(tag("h2", "Checkpoints") + render_table(columns, rows))


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


async def _samples(
    client: AsyncClient, job: FineTuningJob, prompts: Sequence[str]
) -> tuple[Html, ...]:
    """Complete prompts before and after training."""
    if not prompts or not job.model or not job.fine_tuned_model:
        return ()
    rows = [
        [tag("td", tag("pre", prompt))]
        + [
            tag("td", tag("pre", await _complete(client, model, prompt)))
            for model in (job.model, job.fine_tuned_model)
        ]
        for prompt in prompts
    ]
    columns = ("Prompt", "Base model", "Fine-tuned model")
    return tag("h2", "Samples before and after"), render_table(columns, rows)


async def _complete(client: AsyncClient, model: str, prompt: str) -> str:
    base = model.removeprefix("ft:").partition(":")[0]
    try:
        if base.endswith("-002"):
            completion = await client.completions.create(
                model=model, prompt=prompt, max_tokens=_SAMPLE_TOKENS, temperature=0
            )
            return completion.choices[0].text if completion.choices else ""
        chat = await client.chat.completions.create(
            model=model,
            messages=[{"role": "user", "content": prompt}],
            max_completion_tokens=_SAMPLE_TOKENS,
        )
        return (chat.choices[0].message.content or "") if chat.choices else ""
    except APIError as error:
        return f"not available: {error}"


def _events(events: Sequence[FineTuningJobEvent]) -> Html:
    oldest_first = list(reversed(events))
    steps = [event for event in oldest_first if event.type == "metrics"]
    others = [event for event in oldest_first if event.type != "metrics"]
    folded = (
        [tag("details", tag("summary", f"{len(steps):,} step events"), _event_table(steps))]
        if steps
        else []
    )
    return Html("".join([tag("h2", "Events"), _event_table(others), *folded]))


def _event_table(events: Sequence[FineTuningJobEvent]) -> Html:
    rows = (
        (
            tag("td", _time(event.created_datetime)),
            tag("td", event.message, class_=event.level),
        )
        for event in events
    )
    return render_table(("Time", "Message"), rows)
