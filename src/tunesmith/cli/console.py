"""Rich console of the command line; it cleans text like `output.echo`."""

from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.segment import Segment

from tunesmith.cli.messages import clean

__all__ = ["CleanConsole"]


class CleanConsole(Console):
    """Console that takes text as it is, without markup, and removes control characters.

    Args:
        stderr: Whether to write to standard error.
        soft_wrap: Whether lines may exceed the width.
    """

    def __init__(self, *, stderr: bool = False, soft_wrap: bool = False) -> None:
        # `[…]` in a name would be a style, and `:dog:` an emoji.
        super().__init__(
            stderr=stderr, soft_wrap=soft_wrap, highlight=False, markup=False, emoji=False
        )

    def render(self, renderable: Any, options: Any = None) -> Iterable[Segment]:
        """Render to segments, and clean their text."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=clean(segment.text))
