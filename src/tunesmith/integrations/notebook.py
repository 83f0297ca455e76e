"""Live views in a notebook."""

import sys
import time
from typing import TYPE_CHECKING, Any

from tunesmith._charts import metric_charts
from tunesmith._extras import import_extra
from tunesmith._html import render_facts, render_fragment
from tunesmith.batch.report import OnProgress, Progress
from tunesmith.types.fine_tuning import FineTuningJob, FineTuningJobEvent
from tunesmith.types.results import StepMetrics

if TYPE_CHECKING:
    from tunesmith.client import AsyncClient

__all__ = ["follow_job", "show_progress"]

_REFRESH_S = 0.25
"""Shortest time between two updates of the output: browsers draw slower than jobs report."""

_MEASURES = (
    "train_loss",
    "train_mean_token_accuracy",
    "valid_loss",
    "valid_mean_token_accuracy",
)


async def follow_job(client: "AsyncClient", job: FineTuningJob | str) -> FineTuningJob:
    """Show the curves of a job in a notebook, live until it ends; needs IPython.

    Args:
        client: The client that reads the events.
        job: The job or its ID.

    Returns:
        The finished job, whether it succeeded or not.

    Raises:
        ConfigurationError: IPython is not installed: `pip install 'tunesmith[notebook]'`.
        NotFoundError: The job does not exist.

    Example:
        ```python
        from tunesmith.integrations.notebook import follow_job

        job = await follow_job(client, job)
        ```
    """
    display = import_extra("IPython.display", "notebook", "Live views")
    view = _JobView()
    output: Any = display.display(display.HTML(view.render()), display_id=True)
    shown_at = time.monotonic()
    async for event in client.fine_tuning.jobs.follow(job):
        view.add(event)
        if output and time.monotonic() >= shown_at + _REFRESH_S:
            output.update(display.HTML(view.render()))
            shown_at = time.monotonic()
    finished = await client.fine_tuning.jobs.retrieve(job if isinstance(job, str) else job.id)
    if output:  # None outside of a notebook
        output.update(display.HTML(view.render(finished)))
    return finished


def show_progress() -> OnProgress:
    """Return an `on_progress` that shows a batch job in a notebook; needs IPython.

    Outside of a notebook, the progress is a line of text on standard error.

    Raises:
        ConfigurationError: IPython is not installed: `pip install 'tunesmith[notebook]'`.

    Example:
        ```python
        from tunesmith.batch import BatchJob
        from tunesmith.integrations.notebook import show_progress

        rows, show = ["Space is"], show_progress()
        async with BatchJob(
            rows, "answers.jsonl", client=client, model="davinci-002", on_progress=show
        ) as job:
            await job.run()
        ```
    """
    display = import_extra("IPython.display", "notebook", "Live views")
    output: Any = display.display(display.HTML(""), display_id=True)

    def show(progress: Progress) -> None:
        if output:
            output.update(progress)
        else:  # None outside of a notebook
            sys.stderr.write(f"\r{progress}")

    return show


class _JobView:
    """Steps and latest message of a job."""

    def __init__(self) -> None:
        self._steps: dict[int, StepMetrics] = {}
        self._total: object = None
        self._message = "waiting for the first event"

    def add(self, event: FineTuningJobEvent) -> None:
        data = event.data or {}
        step = data.get("step")
        if event.type != "metrics" or not isinstance(step, int):
            self._message = event.message
            return
        self._total = data.get("total_steps")
        train_loss, train_accuracy, valid_loss, valid_accuracy = (
            float(value) if isinstance(value := data.get(name), int | float) else None
            for name in _MEASURES
        )
        self._steps[step] = StepMetrics(
            step, train_loss, train_accuracy, valid_loss, valid_accuracy, columns={}
        )

    def render(self, job: FineTuningJob | None = None) -> str:
        step = f"{max(self._steps):,}" if self._steps else None
        facts = {
            "Status": job.status if job else self._message,
            "Error": job.failure.message if job and job.failure else None,
            "Step": f"{step} of {self._total:,}" if step and isinstance(self._total, int) else step,
            "Fine-tuned model": job.fine_tuned_model if job else None,
        }
        return render_fragment(render_facts(facts), metric_charts(self._steps.values()))
