"""The client: a backend, the policy of its calls, and the resources of the API."""

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import Enum
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, cast

from tunesmith._lazy import explains_parameters, missing_attribute
from tunesmith.backends.base import Backend
from tunesmith.backends.credentials import conceal, conceal_headers, validate_headers
from tunesmith.calls.caller import Caller
from tunesmith.calls.policy import DEFAULT_MAX_RESPONSE_BYTES, DEFAULT_TIMEOUT_S, CallPolicy
from tunesmith.errors import ConfigurationError
from tunesmith.protocol.message import SecretHeaders
from tunesmith.protocol.retry import RetryPolicy

if TYPE_CHECKING:  # loaded on first use, so that importing tunesmith is quick
    from pydantic import SecretStr

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
    from tunesmith.resources.responses import Responses
    from tunesmith.resources.uploads import Uploads
    from tunesmith.resources.webhooks import Webhooks

__all__ = ["DEFAULT_BASE_URL", "AsyncClient"]

DEFAULT_BASE_URL = "https://api.openai.com/v1"


class _Unset(Enum):
    """Marks an option that `with_options` keeps, because None means no limit."""

    KEEP = "keep"


_KEEP: Literal[_Unset.KEEP] = _Unset.KEEP


class AsyncClient:
    """Client of a service that speaks the API: hosted, compatible, or in memory.

    One client serves many tasks, and the event loops of several threads. It may be created outside
    a running event loop; connections are opened when they are first needed.

    Args:
        api_key: The key, or a function, usually asynchronous, that returns it. By default the
            environment variable `OPENAI_API_KEY`.
        base_url: The URL of the API. By default `OPENAI_BASE_URL`, else OpenAI.
        organization: The organization to bill. By default `OPENAI_ORG_ID`.
        project: The project to bill. By default `OPENAI_PROJECT_ID`.
        timeout: Seconds that one attempt may take: until the end of the response, or in a stream
            until the next event. None for no limit.
        deadline: Seconds that a whole call may take: attempts, pauses, polls and stream reads
            together. None for no limit.
        max_retries: Maximum number of retries for transient failures.
        max_response_bytes: Maximum size of a response that is read into memory, to guard against
            endless ones. Streams and downloads are not limited. None for no limit.
        default_headers: Headers to send with every call.
        default_query: Query parameters to send with every call; those of a call take precedence.
        webhook_secret: The signing secret of `client.webhooks`, `whsec_…`. By default
            `OPENAI_WEBHOOK_SECRET`.
        http_client: Your own `httpx.AsyncClient` (proxies, mTLS, transports); you close it.
        transport: `httpx`, or `fast`, which takes a fraction of the CPU and needs
            `tunesmith[fast]`.
        backend: A backend to use in place of HTTP, such as `MemoryBackend()`.

    Raises:
        ConfigurationError: There is neither a key nor a backend, or an option is invalid.

    Example:
        ```python
        async with AsyncClient(backend=MemoryBackend()) as client:
            completion = await client.completions.create(model="davinci-002", prompt="Kant was")
            print(completion.choices[0].text)
        ```
    """

    @explains_parameters
    def __init__(
        self,
        api_key: "ApiKey | None" = None,
        base_url: "str | SecretStr | None" = None,
        organization: str | None = None,
        project: str | None = None,
        timeout: float | None = DEFAULT_TIMEOUT_S,
        deadline: float | None = None,
        max_retries: int = 2,
        max_response_bytes: int | None = DEFAULT_MAX_RESPONSE_BYTES,
        default_headers: Mapping[str, str] | None = None,
        default_query: Mapping[str, object] | None = None,
        webhook_secret: "str | SecretStr | None" = None,
        http_client: "HttpClient | None" = None,
        transport: Literal["httpx", "fast"] = "httpx",
        backend: Backend | None = None,
    ) -> None:
        api_key, base_url = conceal(api_key), conceal(base_url)
        webhook_secret = conceal(webhook_secret)
        default_headers = conceal_headers(default_headers)
        validate_headers(default_headers)
        policy = CallPolicy(
            timeout_s=timeout,
            deadline_s=deadline,
            retry=RetryPolicy(max_retries=max_retries),
            headers=default_headers,
            query=dict(default_query or {}),
            max_response_bytes=max_response_bytes,
        )
        if backend is None:
            backend = _http_backend(
                api_key, base_url, organization, project, http_client, transport
            )
        elif transport != "httpx" or any(
            option is not None for option in (api_key, base_url, organization, project, http_client)
        ):
            raise ConfigurationError(
                "backend= cannot be combined with api_key=, base_url=, organization=, project=, "
                "http_client= or transport=; pass them to the backend"
            )
        secret = cast("SecretStr | None", webhook_secret)
        self._configure(Caller(backend, policy), secret, owns_backend=True)

    def __repr__(self) -> str:
        # Error reports may print a client whose constructor failed.
        caller: Caller | None = self.__dict__.get("_caller")
        return f"<AsyncClient over {caller.backend!r}>" if caller else "<AsyncClient>"

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
        """Close the connections; those of a client from `with_options` belong to the original."""
        if self._owns_backend:
            await self._caller.backend.aclose()

    async def close(self) -> None:
        """Close the connections: the name of `aclose` in the official SDK."""
        await self.aclose()

    if not TYPE_CHECKING:  # type checkers report unknown names themselves

        def __getattr__(self, name: str) -> Any:
            raise missing_attribute(self, ("client",), name)

        def __enter__(self) -> Any:
            raise TypeError("the client is asynchronous: write async with … as client")

        def __exit__(self, *_: object) -> None: ...

    @property
    def backend(self) -> Backend:
        """Backend that sends the requests."""
        return self._caller.backend

    @property
    def caller(self) -> Caller:
        """Caller that makes the calls, for code with requests of its own."""
        return self._caller

    @explains_parameters
    def with_options(
        self,
        *,
        timeout: float | None | Literal[_Unset.KEEP] = _KEEP,
        deadline: float | None | Literal[_Unset.KEEP] = _KEEP,
        max_retries: int | None = None,
        default_headers: Mapping[str, str] | None = None,
        default_query: Mapping[str, object] | None = None,
    ) -> "AsyncClient":
        """Return a client with other options over the same connections.

        Args:
            timeout: Seconds that one attempt may take; None for no limit.
            deadline: Seconds that a whole call may take; None for no limit.
            max_retries: Maximum number of retries for transient failures.
            default_headers: Headers to add to those of this client.
            default_query: Query parameters to add to those of this client.

        Raises:
            ConfigurationError: An option is invalid.

        Example:
            ```python
            quick = client.with_options(deadline=5, max_retries=0)
            ```
        """
        default_headers = conceal_headers(default_headers)
        validate_headers(default_headers)
        policy = self._caller.policy
        if timeout is not _KEEP:
            policy = replace(policy, timeout_s=timeout)
        if deadline is not _KEEP:
            policy = replace(policy, deadline_s=deadline)
        if max_retries is not None:
            policy = replace(policy, retry=replace(policy.retry, max_retries=max_retries))
        if default_headers:
            headers = SecretHeaders({**policy.headers, **default_headers})
            policy = replace(policy, headers=headers)
        if default_query:
            policy = replace(policy, query={**policy.query, **default_query})
        return self._with(self._caller.with_policy(policy), owns_backend=False)

    copy = with_options
    """The name of `with_options` in the official SDK."""

    def with_call_wrapper(self, wrap: Callable[[Caller], Caller]) -> "AsyncClient":
        """Return a client with a wrapped caller, such as one that records telemetry.

        Args:
            wrap: Creates the new caller from the caller of this client.

        Returns:
            A client that replaces this one, and closes its connections.
        """
        return self._with(wrap(self._caller), owns_backend=self._owns_backend)

    def _with(self, caller: Caller, *, owns_backend: bool) -> "AsyncClient":
        client = AsyncClient.__new__(type(self))
        client._configure(caller, self._webhook_secret, owns_backend=owns_backend)  # noqa: SLF001 - same class
        return client

    def _configure(
        self, caller: Caller, webhook_secret: "SecretStr | None", *, owns_backend: bool
    ) -> None:
        self._caller = caller
        self._webhook_secret = webhook_secret
        self._owns_backend = owns_backend

    @cached_property
    def batches(self) -> "Batches":
        """Batches: many requests that the service processes within a day."""
        from tunesmith.resources.batches import Batches

        return Batches(self._caller)

    @cached_property
    def chat(self) -> "Chat":
        """Chat completions: `chat.completions`."""
        from tunesmith.resources.chat import Chat

        return Chat(self._caller)

    @cached_property
    def completions(self) -> "Completions":
        """Completions of a prompt."""
        from tunesmith.resources.completions import Completions

        return Completions(self._caller)

    @cached_property
    def embeddings(self) -> "Embeddings":
        """Embeddings: texts as vectors."""
        from tunesmith.resources.embeddings import Embeddings

        return Embeddings(self._caller)

    @cached_property
    def files(self) -> "Files":
        """Files stored by the service: training data, results, batches."""
        from tunesmith.resources.files import Files

        return Files(self._caller)

    @cached_property
    def fine_tunes(self) -> "FineTunes":
        """Fine-tunes of the legacy API."""
        from tunesmith.resources.fine_tunes import FineTunes

        return FineTunes(self._caller)

    @cached_property
    def fine_tuning(self) -> "FineTuning":
        """Fine-tuning: `fine_tuning.jobs`, `fine_tuning.checkpoints`, `fine_tuning.graders`."""
        from tunesmith.resources.fine_tuning import FineTuning

        return FineTuning(self._caller)

    @cached_property
    def models(self) -> "Models":
        """Base models and fine-tuned models."""
        from tunesmith.resources.models import Models

        return Models(self._caller)

    @cached_property
    def moderations(self) -> "Moderations":
        """Moderations: whether a text may be harmful."""
        from tunesmith.resources.moderations import Moderations

        return Moderations(self._caller)

    @cached_property
    def responses(self) -> "Responses":
        """Responses of models."""
        from tunesmith.resources.responses import Responses

        return Responses(self._caller)

    @cached_property
    def uploads(self) -> "Uploads":
        """Uploads: large files in parts."""
        from tunesmith.resources.uploads import Uploads

        return Uploads(self._caller)

    @cached_property
    def webhooks(self) -> "Webhooks":
        """Verification and parsing of webhooks."""
        from tunesmith.resources.webhooks import Webhooks

        return Webhooks(self._webhook_secret)


def _http_backend(
    api_key: "ApiKey | None",
    base_url: "str | SecretStr | None",
    organization: str | None,
    project: str | None,
    http_client: "HttpClient | None",
    transport: Literal["httpx", "fast"],
) -> Backend:
    api_key = api_key or conceal(os.environ.get("OPENAI_API_KEY")) or None
    if api_key is None:
        raise ConfigurationError(
            "no API key: set the environment variable OPENAI_API_KEY, or pass "
            "AsyncClient(api_key=…) (any text for a server that needs none), or pass "
            "AsyncClient(backend=tunesmith.MemoryBackend()) for a service in memory"
        )
    if transport not in {"httpx", "fast"}:
        raise ConfigurationError(f"transport must be 'httpx' or 'fast', not {transport!r}")
    from tunesmith.backends.httpx import HttpxBackend

    backend_class = HttpxBackend
    if transport == "fast":
        from tunesmith.backends.fast.backend import FastBackend

        backend_class = FastBackend
    return backend_class(
        base_url or conceal(os.environ.get("OPENAI_BASE_URL")) or DEFAULT_BASE_URL,
        api_key=api_key,
        organization=organization or os.environ.get("OPENAI_ORG_ID"),
        project=project or os.environ.get("OPENAI_PROJECT_ID"),
        http_client=http_client,
    )
