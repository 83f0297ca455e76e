"""Options that `complete` and `chat` share: how a model answers."""

import re
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

__all__ = ["prompt_argument", "sampling_options"]

C = TypeVar("C", bound=Callable[..., Any])

_ESCAPES = {r"\n": "\n", r"\t": "\t", r"\\": "\\"}
_MAX_STOPS = 4


def _stops(_: click.Context, __: click.Parameter, texts: tuple[str, ...]) -> list[str] | None:
    if len(texts) > _MAX_STOPS:
        raise click.BadParameter(f"There may be {_MAX_STOPS} at most.")
    return [re.sub(r"\\[nt\\]", lambda m: _ESCAPES[m[0]], text) for text in texts] or None


def prompt_argument(_: click.Context, __: click.Parameter, prompt: str | None) -> str | None:
    """Take the prompt from standard input where it is `-`."""
    try:
        text = sys.stdin.read() if prompt == "-" else prompt
        (text or "").encode()
    except UnicodeError:
        raise click.BadParameter("That is no text in UTF-8.") from None
    return text


def sampling_options(command: C) -> C:
    """Add the options to a command."""
    for option in reversed(
        (
            click.option("--stream", is_flag=True, help="Print the answer as it comes."),
            click.option(
                "-t", "--temperature", type=click.FloatRange(0, 2), help="0: the likeliest answer."
            ),
            click.option(
                "-P", "--top-p", type=click.FloatRange(0, 1), help="Sample from the likeliest."
            ),
            click.option(
                "--stop",
                multiple=True,
                callback=_stops,
                metavar="TEXT",
                help=r"End there; \n is a new line. May be given four times.",
            ),
            click.option("--seed", type=int, help="Makes sampling repeatable."),
        )
    ):
        command = option(command)
    return command
