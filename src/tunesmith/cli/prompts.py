"""What is asked on the way, and what `-q` takes for granted."""

import click

from tunesmith.cli.messages import to_option_names
from tunesmith.datasets import Diagnosis, Finding, Plan

__all__ = ["Prompter", "show_findings"]

_COLOURS = {"fatal": "red", "error": "red", "warning": "yellow", "info": "cyan"}


class Prompter:
    """Asks, unless everything is accepted.

    Args:
        quiet: Whether to accept everything without asking.
    """

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet

    def confirm(self, question: str) -> bool:
        """Ask a question whose usual answer is yes.

        Raises:
            ClickException: The input is at its end.
        """
        return self._quiet or _confirm(question, default=True)

    def remedy(self, finding: Finding) -> bool:
        """Ask whether a remedy is to be applied."""
        return finding.remedy is None or self.confirm(finding.remedy.description)

    def broken_lines(self, diagnosis: Diagnosis, *, skip: bool) -> None:
        """Ask whether to go on without the lines that cannot be read; `-q` alone does not say so.

        Raises:
            ClickException: They are not to be left out.
        """
        for found in diagnosis.findings:
            if found.code != "broken-lines" or skip:
                continue
            lines = "this line" if found.count == 1 else f"these {found.count} lines"
            if self._quiet or not _confirm(f"Leave out {lines}", default=False):
                begins = f" It begins {found.excerpt!r}." if found.excerpt else ""
                raise click.ClickException(
                    f"{to_option_names(str(found))}{begins} "
                    f"Mend {lines}, or leave such lines out with --skip-broken."
                )

    def split(self, plan: Plan) -> bool:
        """Ask whether to hold out rows of a classification."""
        return plan.task == "classification" and self.confirm(
            "Split into a training and a validation file"
        )


def _confirm(question: str, *, default: bool) -> bool:
    try:
        return click.confirm(question, default=default, err=True)
    except click.Abort as abort:
        click.echo(err=True)  # ends the question's line
        if isinstance(abort.__context__, KeyboardInterrupt):
            raise
        raise click.ClickException(
            "Nobody answers, and nothing was written. Accept all remedies with -q."
        ) from None


def show_findings(diagnosis: Diagnosis) -> None:
    """Print what was found."""
    task = f" ({diagnosis.task})" if diagnosis.task else ""
    click.echo(f"{diagnosis.file}: {diagnosis.rows:,} rows, {diagnosis.format}{task}", err=True)
    for found in diagnosis.findings:
        severity = click.style(found.severity, fg=_COLOURS[found.severity])
        lines = ", ".join(map(str, found.lines))
        more = ", …" if found.count > len(found.lines) else ""
        where = f" [lines {lines}{more}]" if lines else ""
        message = to_option_names(found.message)
        click.echo(f"- {severity}: {message} ({found.code}){where}", err=True)
