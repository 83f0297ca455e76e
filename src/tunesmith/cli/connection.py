"""Where the service is, as the options and the environment say."""

import os
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from tunesmith import AsyncClient, Backend

__all__ = ["ServiceOptions", "strip_url_password"]


def strip_url_password(url: str) -> str:
    """A URL to be shown: without who signs in by it."""
    return re.sub(r"//[^/]*@", "//…@", url)


@dataclass(frozen=True, slots=True)
class ServiceOptions:
    """Where the service is.

    Args:
        base_url: The API's address; None for the environment's.
        api_key: The key; None for the environment's.
        in_memory: Whether the service is in memory.
        state: The file that keeps the service in memory.
        timeout_s: Seconds that one attempt may take; None for the usual.
        deadline_s: Seconds that a whole call may take; None for no limit.
        explicit_options: The options that told so, to be repeated in the next command.
    """

    base_url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    in_memory: bool = False
    state: Path | None = None
    timeout_s: float | None = None
    deadline_s: float | None = None
    explicit_options: tuple[str, ...] = ()

    def command(self, *arguments: str) -> str:
        """Write a command for the same service, as one would type it, but for a password."""
        return shlex.join(
            ["tunesmith", *map(strip_url_password, self.explicit_options), *arguments]
        )

    def client(self) -> "AsyncClient":
        """Make a client.

        Raises:
            ConfigurationError: The state file or the address cannot be used.
            ClickException: There is no key.
        """
        from tunesmith.calls.policy import DEFAULT_TIMEOUT_S
        from tunesmith.client import AsyncClient

        timeout = self.timeout_s or DEFAULT_TIMEOUT_S
        if self.in_memory:
            return AsyncClient(backend=self._service(), timeout=timeout, deadline=self.deadline_s)
        if not (self.api_key or os.environ.get("OPENAI_API_KEY")):
            raise click.ClickException(
                "There is no API key: set OPENAI_API_KEY (any text for a server that asks for "
                "none), or try a service in memory, which needs none: "
                "tunesmith --state FILE COMMAND."
            )
        return AsyncClient(
            api_key=self.api_key,
            base_url=self.base_url,
            timeout=timeout,
            deadline=self.deadline_s,
        )

    def _service(self) -> "Backend":
        from tunesmith.service.memory_backend import MemoryBackend

        return MemoryBackend(state=self.state)
