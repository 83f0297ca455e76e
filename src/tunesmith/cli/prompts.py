"""Questions to the user, and the findings that they are about."""

import signal
from collections.abc import Generator
from contextlib import contextmanager

import click

from tunesmith.cli.messages import clean, to_option_names
from tunesmith.cli.output import echo
from tunesmith.datasets import Diagnosis, Finding, Plan
from tunesmith.datasets.findings import format_lines

__all__ = ["Prompter", "default_sigint", "show_findings"]

_COLOURS = {"fatal": "red", "error": "red", "warning": "yellow", "info": "cyan"}


class Prompter:
    """Questions of `prepare`.

    Args:
        quiet: Whether to accept everything without asking.
    """

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._accept_all = quiet
        self._explained = quiet

    def confirm(self, prompt: str) -> bool:
        """Prompt for yes, no, all (yes to this and all later prompts) or quit; default: yes.

        Raises:
            ClickException: The answer is quit, or the input has ended.
        """
        if not self._explained:
            self._explained = True
            echo("Answer y (yes), n (no), a (yes to all) or q (quit).", err=True)
        while not self._accept_all:
            answer = _read(f"{prompt} [Y/n/a/q]", "yes").strip().lower()
            if answer and "quit".startswith(answer):
                raise click.ClickException("Nothing was written.")
            if answer and "no".startswith(answer):
                return False
            if answer and "all".startswith(answer):
                self._accept_all = True
            elif answer and "yes".startswith(answer):
                return True
            else:
                echo("Type yes, no, all or quit, or the first letter.", err=True)
        return True

    def confirm_fix(self, finding: Finding) -> bool:
        """Prompt whether to apply a finding's fix."""
        return finding.fix is None or self.confirm(finding.fix.description)

    def confirm_skipping(self, diagnosis: Diagnosis, *, skip: bool) -> None:
        """Prompt whether to leave out unreadable lines; `quiet` alone does not accept that.

        Raises:
            ClickException: They must not be left out.
        """
        for finding in diagnosis.findings:
            if finding.code != "broken-lines" or skip:
                continue
            lines = "this line" if finding.count == 1 else f"these {finding.count} lines"
            if self._quiet or not _read(f"Leave out {lines} [y/N]", "no").lower().startswith("y"):
                excerpt = f" It begins {finding.excerpt!r}." if finding.excerpt else ""
                raise click.ClickException(
                    f"{to_option_names(str(finding))}{excerpt} "
                    f"Correct {lines}, or leave such lines out with --skip-broken."
                )

    def confirm_split(self, plan: Plan) -> bool:
        """Prompt whether to hold out rows of a classification."""
        return plan.task == "classification" and self.confirm(
            "Split into a training and a validation file"
        )


def _read(prompt: str, default: str) -> str:
    try:
        return str(click.prompt(clean(prompt), default=default, show_default=False, err=True))
    except click.Abort as abort:
        echo(err=True)  # ends the question's line
        if isinstance(abort.__context__, KeyboardInterrupt):
            raise
        raise click.ClickException(
            "No answer, nothing was written. Accept all fixes with -q."
        ) from None


def show_findings(diagnosis: Diagnosis) -> None:
    """Print what was found."""
    task = f" ({diagnosis.task})" if diagnosis.task else ""
    echo(f"{diagnosis.file}: {diagnosis.rows:,} rows, {diagnosis.format}{task}", err=True)
    for finding in diagnosis.findings:
        more = ", …" if finding.count > len(finding.lines) else ""
        position = f" [{format_lines(finding.lines)}{more}]" if finding.lines else ""
        message = f": {to_option_names(finding.message)} ({finding.code}){position}"
        label = f"- {finding.severity}"
        echo(message, err=True, label=label, fg=_COLOURS[finding.severity], wrap=True)


@contextmanager
def default_sigint() -> Generator[None]:
    """Interrupt a blocking question at once.

    The event loop's own handler takes effect only when the loop runs, after the answer.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
