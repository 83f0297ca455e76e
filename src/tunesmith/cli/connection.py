"""Service that commands call, by options and environment."""

import os
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

if TYPE_CHECKING:
    from tunesmith import AsyncClient

__all__ = ["ServiceOptions", "redact_url"]


def redact_url(url: str) -> str:
    """Return a URL for display: without userinfo and query, which may hold secrets."""
    return re.sub(r"\?.*", "?…", re.sub(r"//[^/?#]*@", "//…@", url))


@dataclass(frozen=True, slots=True)
class ServiceOptions:
    """Service that commands call.

    Args:
        base_url: The API's address; None for the environment's.
        api_key: The key; None for the environment's.
        in_memory: Whether the service runs in memory.
        state: The folder that stores the service in memory.
        timeout_s: Maximum seconds of one attempt; None for the default.
        deadline_s: Maximum seconds of a whole call; None for no limit.
        explicit_options: Options to repeat in suggested commands, without secrets.
    """

    base_url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    in_memory: bool = False
    state: Path | None = None
    timeout_s: float | None = None
    deadline_s: float | None = None
    explicit_options: tuple[str, ...] = ()

    @property
    def is_openai(self) -> bool:
        """Whether the service is OpenAI, where models are shut down."""
        base_url = self.base_url or os.environ.get("OPENAI_BASE_URL")
        host = urlsplit(base_url).hostname if base_url else "api.openai.com"
        return not self.in_memory and host is not None and host.endswith("api.openai.com")

    @property
    def ends_with_command(self) -> bool:
        """Whether the service, its jobs and models included, is gone after the command."""
        return self.in_memory and self.state is None

    def command(self, *arguments: str) -> str:
        """Write a command for the same service."""
        return shlex.join(["tunesmith", *self.explicit_options, *arguments])

    def client(self) -> "AsyncClient":
        """Create a client.

        Raises:
            ConfigurationError: The state file or the base URL cannot be used.
            ClickException: There is no key.
        """
        from tunesmith.calls.policy import DEFAULT_TIMEOUT_S
        from tunesmith.client import AsyncClient

        timeout = self.timeout_s or DEFAULT_TIMEOUT_S
        if self.in_memory:
            from tunesmith.service.memory_backend import MemoryBackend

            backend = MemoryBackend(state=self.state)
            return AsyncClient(backend=backend, timeout=timeout, deadline=self.deadline_s)
        if not (self.api_key or os.environ.get("OPENAI_API_KEY")):
            raise click.ClickException(
                "API key missing. Set OPENAI_API_KEY (any text for a server that checks none), or "
                "use a service in memory, which needs none: tunesmith --state DIR COMMAND."
            )
        return AsyncClient(
            api_key=self.api_key,
            base_url=self.base_url,
            timeout=timeout,
            deadline=self.deadline_s,
        )
