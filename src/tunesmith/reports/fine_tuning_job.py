"""A fine-tuning job as a page for the browser: one file, which fetches nothing and runs nothing."""

import io
from collections.abc import Mapping
from html import escape
from typing import Any

import anyio.to_thread

from tunesmith.client import AsyncClient
from tunesmith.types.fine_tuning import FineTuningJob, FineTuningJobCheckpoint, FineTuningJobEvent
from tunesmith.types.results import JobResults

__all__ = ["job_report"]

_STYLE = """
:root{color-scheme:light dark;--line:#8884}
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;vertical-align:top;padding:.35rem .6rem;border-bottom:1px solid var(--line)}
svg{width:100%;height:auto;background:#fff;border-radius:.4rem}
time{white-space:nowrap;font-variant-numeric:tabular-nums}.error{color:#c33}.warn{color:#b60}
"""


async def job_report(client: AsyncClient, job: FineTuningJob | str) -> str:
    """Write a page about a job: what it was, its curves, its checkpoints, its events.

    Needs the extra `plot` for the curves of a job that has results.

    Args:
        client: Where the job is.
        job: The job or its id; it need not be over.

    Returns:
        The page, as HTML.

    Raises:
        ConfigurationError: matplotlib is not installed.
        NotFoundError: There is no such job.

    Example:
        ```python
        from tunesmith.reports.fine_tuning_job import job_report

        Path("job.html").write_text(await job_report(client, job), encoding="utf-8")
        ```
    """
    jobs = client.fine_tuning.jobs
    state = await jobs.retrieve(job if isinstance(job, str) else job.id)
    results = await jobs.results(state) if state.result_files else None
    checkpoints = [each async for each in jobs.checkpoints.list(state.id)]
    events = [each async for each in jobs.list_events(state.id)]
    curves = await anyio.to_thread.run_sync(_curves, results) if results else ""
    title = escape(f"Fine-tuning job {state.id}")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        # Even what might slip through the escaping could fetch or run nothing.
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width">'
        f"<title>{title}</title><style>{_STYLE}</style></head><body><h1>{title}</h1>"
        f"{_summary_table(state)}{curves}{_checkpoints(checkpoints)}{_events(events)}</body></html>\n"
    )


def _summary_table(job: FineTuningJob) -> str:
    parameters = job.hyperparameters.model_dump(exclude_none=True) if job.hyperparameters else {}
    facts: Mapping[str, object] = {
        "Status": job.status,
        "Reason": job.failure.message if job.failure else None,
        "Model": job.model,
        "Tuned model": job.fine_tuned_model,
        "Created": job.created_datetime,
        "Finished": job.finished_datetime,
        "Trained tokens": f"{job.trained_tokens:,}" if job.trained_tokens else None,
        "Hyperparameters": ", ".join(f"{name} {value}" for name, value in parameters.items()),
        "Seed": job.seed,
        "Training file": job.training_file,
        "Validation file": job.validation_file,
        "Metadata": ", ".join(f"{name}: {text}" for name, text in (job.metadata or {}).items()),
    }
    rows = "".join(
        f"<tr><th>{name}</th><td>{escape(str(fact))}</td></tr>"
        for name, fact in facts.items()
        if fact not in {None, ""}
    )
    return f"<table>{rows}</table>"


def _curves(results: JobResults) -> str:
    drawn = io.StringIO()
    figure: Any = results.plot()  # matplotlib types its options only in part
    figure.savefig(drawn, format="svg", metadata={"Date": None})
    svg = drawn.getvalue()
    return f"<h2>Curves</h2>{svg[svg.index('<svg') :]}"


def _checkpoints(checkpoints: list[FineTuningJobCheckpoint]) -> str:
    if not checkpoints:
        return ""
    rows = "".join(
        f"<tr><td>{each.step_number}</td><td>{escape(each.fine_tuned_model_checkpoint)}</td>"
        f"<td>{_number(each.metrics.train_loss if each.metrics else None)}</td>"
        f"<td>{_number(each.metrics.full_valid_loss if each.metrics else None)}</td></tr>"
        for each in checkpoints
    )
    return (
        "<h2>Checkpoints</h2><table><tr><th>Step</th><th>Model</th><th>Training loss</th>"
        f"<th>Validation loss</th></tr>{rows}</table>"
    )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _events(events: list[FineTuningJobEvent]) -> str:
    # The list is newest first; people read from the beginning.
    rows = "".join(
        f"<tr><td><time>{each.created_datetime}</time></td>"
        f'<td class="{escape(each.level or "")}">{escape(each.message)}</td></tr>'
        for each in reversed(events)
    )
    return f"<h2>Events</h2><table>{rows}</table>"
