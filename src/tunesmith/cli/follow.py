"""Live view of a job: its events as lines, and its loss as a curve on a terminal."""

import math
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager
from itertools import groupby
from typing import TYPE_CHECKING

from tunesmith.cli.braille_plot import Point, braille_plot
from tunesmith.cli.command import EXIT_JOB_FAILED, CommandError
from tunesmith.cli.messages import clean
from tunesmith.cli.output import SERVICE_ENDS, Output

if TYPE_CHECKING:
    from rich.console import Group, RenderableType

    from tunesmith import AsyncClient
    from tunesmith.types import FineTuningJobEvent

__all__ = ["follow_job"]

_MAX_STEP_LINES = 20
_MAX_MESSAGES = 8
_HEIGHT = 8
_MARGIN = 10


async def follow_job(client: "AsyncClient", output: Output, job_id: str) -> None:
    """Show a job's events until it ends.

    Raises:
        CommandError: The job failed or was cancelled.
    """
    command = output.connection.command
    output.when_interrupted = (
        (SERVICE_ENDS,)
        if output.connection.ends_with_command
        else (
            f"The job continues. To follow it again: {command('fine-tunes', 'follow', job_id)}",
            f"To cancel it: {command('fine-tunes', 'cancel', job_id)}",
        )
    )
    with _view(output) as show:
        async for event in client.fine_tuning.jobs.follow(job_id):
            show.event(event)
    job = await client.fine_tuning.jobs.retrieve(job_id)
    output.when_interrupted = ()
    if output.as_json:
        output.json(job)
    if job.status == "cancelled":
        raise CommandError(f"The job {job_id} was cancelled.", EXIT_JOB_FAILED)
    if job.status != "succeeded":
        reason = job.error and job.error.message
        code = f" ({job.error.code})" if job.error and job.error.code else ""
        raise CommandError(
            f"The job {job_id} failed: {reason or 'the service gives no reason'}{code}",
            EXIT_JOB_FAILED,
        )
    if not output.as_json and job.fine_tuned_model:
        output.text(f"Fine-tuned model: {job.fine_tuned_model}")
        command_name = "complete" if _base(job.model or "").endswith("-002") else "chat"
        output.suggest_command(command_name, "-m", job.fine_tuned_model, "YOUR PROMPT")
        if command_name == "complete" and not output.connection.ends_with_command:
            output.info("Prompts should end like the prompts in the training data.")


def _base(model: str) -> str:
    """Return the base of a model that may be fine-tuned itself: `ft:BASE:…`."""
    return model.removeprefix("ft:").partition(":")[0]


@contextmanager
def _view(output: Output) -> Generator["_JsonView | _PlainView | _LiveView"]:
    if output.as_json:
        yield _JsonView(output)
    elif not output.is_terminal:
        yield _PlainView(output)
    else:
        from rich.live import Live

        from tunesmith.cli.console import CleanConsole

        console = CleanConsole()
        screen = _LiveView(console.width)
        with Live(screen, console=console, refresh_per_second=8):
            yield screen


class _JsonView:
    """An event per line."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def event(self, event: "FineTuningJobEvent") -> None:
        self._output.json(event)


class _PlainView:
    """An event per line; about twenty of the steps."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def event(self, event: "FineTuningJobEvent") -> None:
        step, total = _number(event, "step"), _number(event, "total_steps")
        if step and total and step not in (1, total) and step % max(total // _MAX_STEP_LINES, 1):
            return
        self._output.text(_line(event))


class _LiveView:
    """Loss curve, progress and latest events."""

    def __init__(self, width: int) -> None:
        self._width = max(width - _MARGIN, 20)
        self._training: list[Point] = []
        self._validation: list[Point] = []
        self._messages: deque[str] = deque(maxlen=_MAX_MESSAGES)
        self._step = 0.0
        self._total = 0.0

    def event(self, event: "FineTuningJobEvent") -> None:
        step = _number(event, "step")
        if event.type != "metrics" or not step:
            self._messages.append(_line(event))
            return
        self._step, self._total = step, _number(event, "total_steps") or step
        for name, points in (
            ("train_loss", self._training),
            ("full_valid_loss", self._validation),
            ("valid_loss", self._validation),
        ):
            loss = _number(event, name)
            if loss is not None and not (points and points[-1][0] == step):
                points.append((step, loss))

    def __rich__(self) -> "Group":
        from rich.console import Group
        from rich.text import Text

        parts: list[RenderableType] = [Text(message) for message in self._messages]
        if self._training:
            parts += ["", *self._curves(), self._progress()]
        return Group(*parts)

    def _curves(self) -> "list[RenderableType]":
        from rich.text import Text

        losses = [loss for _, loss in (*self._training, *self._validation)]
        bottom, top = 0.0, max(losses)
        curves = [
            braille_plot(
                points,
                x=(1, max(self._total, 2)),
                y=(bottom, top),
                width=self._width,
                height=_HEIGHT,
            )
            for points in (self._training, self._validation)
        ]
        lines: list[RenderableType] = []
        for number, (training, validation) in enumerate(zip(*curves, strict=True)):
            label = (
                f"{top:.2f}" if number == 0 else f"{bottom:.2f}" if number == _HEIGHT - 1 else ""
            )
            line = Text(no_wrap=True).append(f"{label:>6} │", style="dim")
            both = zip(training, validation, strict=True)
            for is_covered, pairs in groupby(both, key=lambda pair: pair[1] != " "):
                text = "".join(pair[is_covered] for pair in pairs)
                line.append(text, style="magenta" if is_covered else "cyan")
            lines.append(line)
        return lines

    def _progress(self) -> "RenderableType":
        from rich.text import Text

        text = Text(f"{'':>6}   step {self._step:,.0f} of {self._total:,.0f}   ")
        text.append(f"training loss {self._training[-1][1]:.2f}", style="cyan")
        if self._validation:
            text.append(f"   validation loss {self._validation[-1][1]:.2f}", style="magenta")
        return text


def _line(event: "FineTuningJobEvent") -> str:
    time = f"{event.created_datetime:%H:%M:%S}  " if event.created_datetime else ""
    level = f"{event.level}: " if event.level in {"warn", "error"} else ""
    return clean(f"{time}{level}{event.message}")


def _number(event: "FineTuningJobEvent", name: str) -> float | None:
    value = (event.data or {}).get(name)
    return value if isinstance(value, int | float) and math.isfinite(value) else None
