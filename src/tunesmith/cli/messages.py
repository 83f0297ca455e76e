"""Text of messages: without control characters, with options for arguments of Python, and hints."""

import re
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime

import click

from tunesmith.errors import TunesmithError

__all__ = ["clean", "click_errors", "describe_shutdown", "to_option_names"]

_OPTIONS = (
    (re.compile(r"rename=\{'([^' ]*)': '([^']*)'\}"), r"--rename \1=\2"),
    (re.compile(r"rename=\{'([^']*)': '([^']*)'\}"), r"--rename '\1=\2'"),
    (re.compile(r"\bon_broken='skip'"), "--skip-broken"),
    (re.compile(r"\b(kind|format|encoding|output)='([^']*)'"), r"--\1 \2"),
    (re.compile(r"\btarget_format='(\w+)'"), r"--to \1"),
    (re.compile(r"\bmode='offline'"), "--offline"),
    (re.compile(r"\bmode='(live|batch|auto)'"), r"--mode \1"),
    (re.compile(r"`(timeout|deadline)`"), r"--\1"),
    (re.compile(r"\bsystem=…"), "--system TEXT"),
    (re.compile(r"\bresume=True and retry_failed=True(?: \(--retry-failed\))?"), "--retry-failed"),
    (re.compile(r"\bresume=True"), "--resume"),
    (re.compile(r"\bendpoint='([^']*)'"), r"--endpoint \1"),
    (re.compile(r"\btemplate='([^']*)'"), r"--template '\1'"),
    (re.compile(r"\bmodel=\."), "--model."),
    (re.compile(r"\bparams=\{…\}"), "--param NAME=VALUE"),
    (re.compile(r"prices=Prices\([^)]*\)"), "--prices FILE"),
    (re.compile(r"raise max_line_bytes"), "read it in Python with a larger max_line_bytes"),
)


_SEQUENCES = re.compile(
    r"(?:\x1b\]|\x9d)[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"  # OSC: title, link, clipboard
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""Characters that steer a terminal or reverse its text; tabs and line ends are kept."""


def clean(text: str) -> str:
    """Remove control characters and terminal sequences, other than tabs and line ends."""
    return _CONTROL.sub("", _SEQUENCES.sub("", text))


def to_option_names(message: str) -> str:
    """Replace arguments of Python in a message by options."""
    for argument, option in _OPTIONS:
        message = argument.sub(option, message)
    return message


@contextmanager
def click_errors() -> Generator[None]:
    """Turn errors of the package into errors of the command line with exit code 1."""
    try:
        yield
    except TunesmithError as error:
        raise click.ClickException(to_option_names(str(error))) from error


def describe_shutdown(name: str, *, tuning: bool = False) -> str | None:
    """Return when a model was shut down and which one to use; None if it was not.

    Args:
        name: Name of the model, or of one that was fine-tuned from it.
        tuning: Whether the replacement must be a model that can be fine-tuned, if there is one.

    Example:
        ```python
        print(describe_shutdown("gpt-4"))
        ```
    """
    from tunesmith.known_models import find_model

    model = find_model(name)
    if model is None or not model.is_shut_down(datetime.now(UTC).date()):
        return None
    text = f"{name!r} was shut down on {model.shutdown}"
    replacement = find_model(model.replacement or "")
    if replacement is None:
        return f"{text}."
    if tuning and not replacement.can("supervised", "dpo", "reinforcement"):
        return f"{text}. Its replacement {replacement.name} cannot be fine-tuned."
    return f"{text}. Use -m {replacement.name}."
