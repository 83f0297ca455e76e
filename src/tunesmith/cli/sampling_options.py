"""Sampling options of `complete` and `chat`."""

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
        raise click.BadParameter(f"At most {_MAX_STOPS} are allowed.")
    return [re.sub(r"\\[nt\\]", lambda m: _ESCAPES[m[0]], text) for text in texts] or None


def prompt_argument(_: click.Context, __: click.Parameter, prompt: str | None) -> str | None:
    """Read the prompt from standard input if it is `-`."""
    try:
        text = sys.stdin.read() if prompt == "-" else prompt
        (text or "").encode()
    except UnicodeError:
        raise click.BadParameter("The prompt is not valid UTF-8.") from None
    return text


def sampling_options(command: C) -> C:
    """Add the sampling options to a command."""
    for option in reversed(
        (
            click.option("--stream", is_flag=True, help="Print the response as it arrives."),
            click.option(
                "-t",
                "--temperature",
                type=click.FloatRange(0, 2),
                help="Sampling temperature; 0 takes the most likely token.",
            ),
            click.option(
                "-P",
                "--top-p",
                type=click.FloatRange(0, 1),
                help="Sample from the most likely tokens with this total probability.",
            ),
            click.option(
                "--stop",
                multiple=True,
                callback=_stops,
                metavar="TEXT",
                help=r"Stop before this text; \n is a line end. Up to four times.",
            ),
            click.option("--seed", type=int, help="Seed for reproducible sampling."),
        )
    ):
        command = option(command)
    return command
