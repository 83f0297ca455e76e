"""Errors in terms of the command line: arguments of Python become options."""

import re
from collections.abc import Generator
from contextlib import contextmanager

import click

from tunesmith.errors import TunesmithError

__all__ = ["click_errors", "to_option_names"]

_OPTIONS = (
    (re.compile(r"rename=\{'([^']*)': '([^']*)'\}"), r"--rename \1=\2"),
    (re.compile(r"\bon_broken='skip'"), "--skip-broken"),
    (re.compile(r"\b(kind|encoding|output)='([^']*)'"), r"--\1 \2"),
    (re.compile(r"\bmode='offline'"), "--offline"),
    (re.compile(r"`(timeout|deadline)`"), r"--\1"),
    (re.compile(r"\bsystem=…"), "--system TEXT"),
    (re.compile(r"\bresume=True and retry_failed=True"), "--retry-failed"),
    (re.compile(r"\bresume=True"), "--resume"),
    (re.compile(r"\bendpoint='([^']*)'"), r"--endpoint \1"),
    (re.compile(r"\btemplate='([^']*)'"), r"--template '\1'"),
    (re.compile(r"\bmodel=\."), "--model."),
    (re.compile(r"\bparams=\{…\}"), "--param NAME=VALUE"),
    (re.compile(r"prices=Prices\([^)]*\)"), "--prices FILE"),
    (re.compile(r"raise max_line_bytes"), "read it in Python with a larger max_line_bytes"),
)


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
