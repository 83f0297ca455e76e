"""Errors in terms of the command line: what Python calls an argument is an option here."""

import re
from collections.abc import Generator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

import click

from tunesmith.errors import TunesmithError

__all__ = ["click_errors", "strip_url_secrets", "to_option_names"]

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
    """A message that names arguments of Python, with options instead."""
    for argument, option in _OPTIONS:
        message = argument.sub(option, message)
    return message


def strip_url_secrets(url: str) -> str:
    """A URL to be shown: without who signs in, and without its query, which may hold a signature.

    Raises:
        ClickException: It is no URL.
    """
    try:
        scheme, netloc, path, _, _ = urlsplit(url)
    except ValueError as error:
        raise click.ClickException(f"That is no URL: {error}") from None
    return urlunsplit((scheme, netloc.rpartition("@")[2], path, "", ""))


@contextmanager
def click_errors() -> Generator[None, None, None]:
    """Show errors as messages, and leave with code 1."""
    try:
        yield
    except TunesmithError as error:
        raise click.ClickException(to_option_names(str(error))) from error
