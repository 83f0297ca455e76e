"""Curves of a fine-tuning job, thinned to the number of points that a chart shows."""

from collections.abc import Iterable, Sequence
from typing import Any

from tunesmith.client import AsyncClient
from tunesmith.errors import APIError, JobError

__all__ = ["job_metrics"]

_MAX_POINTS = 1000
_PAGE = 100
_MAX_PAGES = 50

_COLUMNS = {
    "train_loss": ("train_loss",),
    "train_accuracy": ("train_mean_token_accuracy", "train_accuracy"),
    "valid_loss": ("full_valid_loss", "valid_loss"),
    "valid_accuracy": ("full_valid_mean_token_accuracy", "valid_mean_token_accuracy"),
    "train_reward": ("train_mean_reward",),
    "valid_reward": ("full_valid_mean_reward", "valid_mean_reward"),
}

Point = dict[str, float | None]


async def job_metrics(client: AsyncClient, job_id: str, after_step: int = 0) -> dict[str, Any]:
    """Return the metrics of a job's steps after a step.

    A finished job's come from its result file; the others from the newest events, at most 5,000.

    Args:
        client: The client.
        job_id: ID of the job.
        after_step: The last step that is known; 0 for none.

    Raises:
        APIError: The service failed.
    """
    job = await client.fine_tuning.jobs.retrieve(job_id)
    points: list[Point] = []
    is_complete = True
    if job.status == "succeeded" and job.result_files and not after_step:
        points = await _read_results(client, job_id)
    if not points:
        points, is_complete = await _read_events(client, job_id, after_step)
    return {
        "points": _thin(points),
        "last_step": points[-1]["step"] if points else after_step,
        "is_complete": is_complete,
    }


async def _read_results(client: AsyncClient, job_id: str) -> list[Point]:
    try:
        results = await client.fine_tuning.jobs.results(job_id)
    except (APIError, JobError):
        return []  # an unreadable file; the events have the same
    return [
        {
            "step": step.step,
            "train_loss": step.train_loss,
            "train_accuracy": step.train_accuracy,
            "valid_loss": step.valid_loss,
            "valid_accuracy": step.valid_accuracy,
        }
        for step in results
    ]


async def _read_events(
    client: AsyncClient, job_id: str, after_step: int
) -> tuple[list[Point], bool]:
    """Return the points of the newest events in order, and whether none was left out."""
    points: dict[int, Point] = {}
    seen = 0
    async for event in client.fine_tuning.jobs.list_events(job_id, limit=_PAGE):
        seen += 1
        data = event.data or {}
        step = data.get("step")
        if isinstance(step, int):
            if step <= after_step:
                break
            # The newest event of a step is its last word.
            points.setdefault(step, {"step": step, **_values(data)})
        if seen >= _PAGE * _MAX_PAGES:
            return [points[step] for step in sorted(points)], False
    return [points[step] for step in sorted(points)], True


def _values(data: dict[str, Any]) -> Point:
    return {
        name: next((data[key] for key in keys if isinstance(data.get(key), int | float)), None)
        for name, keys in _COLUMNS.items()
    }


def _thin(points: Sequence[Point]) -> list[Point]:
    """Average neighbours where there are more points than a chart shows."""
    size = -(-len(points) // _MAX_POINTS)
    if size <= 1:
        return list(points)
    return [_average(points[i : i + size]) for i in range(0, len(points), size)]


def _average(group: Sequence[Point]) -> Point:
    names: Iterable[str] = dict.fromkeys(name for point in group for name in point)
    averaged: Point = {}
    for name in names:
        values = [value for point in group if (value := point.get(name)) is not None]
        averaged[name] = sum(values) / len(values) if values else None
    averaged["step"] = group[-1]["step"]
    return averaged
