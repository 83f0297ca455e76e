"""The client: it owns a backend, a policy for calls, and the resources."""

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import Enum
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

from tunesmith.backends.base import Backend
from tunesmith.calls.caller import Caller
from tunesmith.calls.policy import DEFAULT_TIMEOUT_S, CallPolicy
from tunesmith.errors import ConfigurationError
from tunesmith.protocol.retry import RetryPolicy

if TYPE_CHECKING:  # each is loaded when it is first used, so that importing tunesmith is quick
    from tunesmith.backends.credentials import ApiKey
    from tunesmith.backends.httpx import HttpClient
    from tunesmith.resources.batches import Batches
    from tunesmith.resources.chat import Chat
    from tunesmith.resources.completions import Completions
    from tunesmith.resources.embeddings import Embeddings
    from tunesmith.resources.files import Files
    from tunesmith.resources.fine_tunes import FineTunes
    from tunesmith.resources.fine_tuning import FineTuning
    from tunesmith.resources.models import Models
    from tunesmith.resources.moderations import Moderations
    from tunesmith.resources.uploads import Uploads

__all__ = ["DEFAULT_BASE_URL", "AsyncClient"]

DEFAULT_BASE_URL = "https://api.openai.com/v1"


class _Unset(Enum):
    """Stands for an option that stays as it is, since None already means no limit."""

    KEEP = "keep"


_KEEP: Literal[_Unset.KEEP] = _Unset.KEEP


class AsyncClient:
    """A client of a service that speaks the API: hosted, compatible, or in memory.

    One client serves many tasks. It may be made outside a running event loop; connections are
    opened when they are first needed.

    Args:
        api_key: The key, or an asynchronous function that gives the key of the moment. By default
            the environment variable `OPENAI_API_KEY`.
        base_url: Where the API is. By default `OPENAI_BASE_URL`, else OpenAI.
        organization: The organization to bill. By default `OPENAI_ORG_ID`.
        project: The project to bill. By default `OPENAI_PROJECT_ID`.
        timeout: Seconds that one attempt may take: to the end of the answer, or in a stream to
            the next event. None for no limit.
        deadline: Seconds that a whole call may take: attempts, pauses, polls and stream reads
            together. None for no limit.
        max_retries: How often a call is tried again that failed in passing.
        default_headers: Headers to send with every call.
        http_client: An `httpx.AsyncClient` of your own (proxies, mTLS, transports); it stays yours
            to close.
        transport: What carries requests: `httpx`, or `fast`, which takes a fraction of the CPU and
            needs `tunesmith[fast]`.
        backend: Where requests go instead of over HTTP, such as `MemoryBackend()`.

    Raises:
        ConfigurationError: There is no key and no backend, or options contradict each other.

    Example:
        ```python
        async with AsyncClient(backend=MemoryBackend()) as client:
            completion = await client.completions.create(model="davinci-002", prompt="Kant was")
            print(completion.choices[0].text)
        ```
    """

    def __init__(
        self,
        api_key: "ApiKey | None" = None,
        base_url: str | None = None,
        organization: str | None = None,
        project: str | None = None,
        timeout: float | None = DEFAULT_TIMEOUT_S,
        deadline: float | None = None,
        max_retries: int = 2,
        default_headers: Mapping[str, str] | None = None,
        http_client: "HttpClient | None" = None,
        transport: Literal["httpx", "fast"] = "httpx",
        backend: Backend | None = None,
    ) -> None:
        policy = CallPolicy(
            timeout_s=timeout,
            deadline_s=deadline,
            retry=RetryPolicy(max_retries=max_retries),
            headers=_lower_case(default_headers),
        )
        if backend is None:
            backend = _http_backend(
                api_key, base_url, organization, project, http_client, transport
            )
        elif transport != "httpx" or any(
            given is not None for given in (api_key, base_url, organization, project, http_client)
        ):
            raise ConfigurationError(
                "backend= takes the place of api_key=, base_url=, organization=, project=, "
                "http_client= and transport=: give them to the backend"
            )
        self._configure(Caller(backend, policy), owns_backend=True)

    def __repr__(self) -> str:
        # Reports of errors may show a client that could not be made.
        caller: Caller | None = self.__dict__.get("_caller")
        return f"<AsyncClient over {caller.backend!r}>" if caller else "<AsyncClient over nothing>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections. A client made by `with_options` leaves them to its origin."""
        if self._owns_backend:
            await self._caller.backend.aclose()

    @property
    def backend(self) -> Backend:
        """Where requests go."""
        return self._caller.backend

    @property
    def caller(self) -> Caller:
        """What makes the calls; for code that brings requests of its own."""
        return self._caller

    def with_options(
        self,
        *,
        timeout: float | None | Literal[_Unset.KEEP] = _KEEP,
        deadline: float | None | Literal[_Unset.KEEP] = _KEEP,
        max_retries: int | None = None,
        default_headers: Mapping[str, str] | None = None,
    ) -> "AsyncClient":
        """Make a client with other options over the same connections.

        Args:
            timeout: Seconds that one attempt may take; None for no limit.
            deadline: Seconds that a whole call may take; None for no limit.
            max_retries: How often a call is tried again that failed in passing.
            default_headers: Headers to send besides those of this client.

        Example:
            ```python
            quick = client.with_options(deadline=5, max_retries=0)
            ```
        """
        policy = self._caller.policy
        if timeout is not _KEEP:
            policy = replace(policy, timeout_s=timeout)
        if deadline is not _KEEP:
            policy = replace(policy, deadline_s=deadline)
        if max_retries is not None:
            policy = replace(policy, retry=replace(policy.retry, max_retries=max_retries))
        if default_headers is not None:
            policy = replace(policy, headers={**policy.headers, **_lower_case(default_headers)})
        return self._with(self._caller.with_policy(policy), owns_backend=False)

    def with_call_wrapper(self, wrap: Callable[[Caller], Caller]) -> "AsyncClient":
        """Make a client whose calls are made otherwise, such as with telemetry.

        Args:
            wrap: Makes the new caller from the one of this client.

        Returns:
            A client to be used in the place of this one: it closes what this one would.
        """
        return self._with(wrap(self._caller), owns_backend=self._owns_backend)

    def _with(self, caller: Caller, *, owns_backend: bool) -> "AsyncClient":
        client = AsyncClient.__new__(type(self))
        client._configure(caller, owns_backend=owns_backend)  # noqa: SLF001 - its own kind
        return client

    def _configure(self, caller: Caller, *, owns_backend: bool) -> None:
        self._caller = caller
        self._owns_backend = owns_backend

    @cached_property
    def batches(self) -> "Batches":
        """Jobs of many requests, done by the service within a day."""
        from tunesmith.resources.batches import Batches

        return Batches(self._caller)

    @cached_property
    def chat(self) -> "Chat":
        """Answers to conversations: `chat.completions`."""
        from tunesmith.resources.chat import Chat

        return Chat(self._caller)

    @cached_property
    def completions(self) -> "Completions":
        """Continuations of a prompt."""
        from tunesmith.resources.completions import Completions

        return Completions(self._caller)

    @cached_property
    def embeddings(self) -> "Embeddings":
        """Texts as vectors."""
        from tunesmith.resources.embeddings import Embeddings

        return Embeddings(self._caller)

    @cached_property
    def files(self) -> "Files":
        """Files that the service keeps: training data, results, batches."""
        from tunesmith.resources.files import Files

        return Files(self._caller)

    @cached_property
    def fine_tunes(self) -> "FineTunes":
        """Fine-tunes by the legacy API."""
        from tunesmith.resources.fine_tunes import FineTunes

        return FineTunes(self._caller)

    @cached_property
    def fine_tuning(self) -> "FineTuning":
        """Fine-tuning: `fine_tuning.jobs`, `fine_tuning.checkpoints`, `fine_tuning.graders`."""
        from tunesmith.resources.fine_tuning import FineTuning

        return FineTuning(self._caller)

    @cached_property
    def models(self) -> "Models":
        """Models, base and tuned."""
        from tunesmith.resources.models import Models

        return Models(self._caller)

    @cached_property
    def moderations(self) -> "Moderations":
        """Judgements of whether a text may be harmful."""
        from tunesmith.resources.moderations import Moderations

        return Moderations(self._caller)

    @cached_property
    def uploads(self) -> "Uploads":
        """Large files, sent in parts."""
        from tunesmith.resources.uploads import Uploads

        return Uploads(self._caller)


def _http_backend(
    api_key: "ApiKey | None",
    base_url: str | None,
    organization: str | None,
    project: str | None,
    http_client: "HttpClient | None",
    transport: Literal["httpx", "fast"],
) -> Backend:
    environment = os.environ.get
    api_key = api_key or environment("OPENAI_API_KEY")
    if not api_key:
        raise ConfigurationError(
            "no API key: set the environment variable OPENAI_API_KEY, or pass "
            "AsyncClient(api_key=…) (any text for a server that asks for none), or pass "
            "AsyncClient(backend=tunesmith.MemoryBackend()) for a service in memory"
        )
    from tunesmith.backends.httpx import HttpxBackend

    kind = HttpxBackend
    if transport == "fast":
        from tunesmith.backends.fast.backend import FastBackend

        kind = FastBackend
    return kind(
        base_url or environment("OPENAI_BASE_URL") or DEFAULT_BASE_URL,
        api_key=api_key,
        organization=organization or environment("OPENAI_ORG_ID"),
        project=project or environment("OPENAI_PROJECT_ID"),
        http_client=http_client,
    )


def _lower_case(default_headers: Mapping[str, str] | None) -> dict[str, str]:
    return {name.lower(): value for name, value in (default_headers or {}).items()}
