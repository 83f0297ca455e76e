"""Azure OpenAI: deployments in the path, a version in the query, its own way to authenticate."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from tunesmith.backends.credentials import ApiKey
from tunesmith.backends.httpx import HttpxBackend
from tunesmith.errors import ConfigurationError
from tunesmith.protocol.message import Request

if TYPE_CHECKING:
    from tunesmith.backends.httpx import HttpClient

__all__ = ["AzureBackend"]

_PER_DEPLOYMENT = frozenset({"completions.create", "chat.completions.create", "embeddings.create"})
"""The operations that Azure keeps below `/deployments/NAME`."""


class AzureBackend(HttpxBackend):
    """Sends requests to Azure OpenAI.

    Args:
        endpoint: The resource's address, such as `https://my-resource.openai.azure.com`.
        api_version: The API's version, such as `2024-10-21`.
        deployment: The deployment that completions, chats and embeddings go to.
        api_key: The resource's key, sent as `api-key`.
        azure_ad_token_provider: An asynchronous function that gives a Microsoft Entra token;
            instead of a key.
        http_client: A client of your own; it stays yours to close.

    Raises:
        ConfigurationError: There is neither a key nor a token provider, or both.

    Source: https://learn.microsoft.com/azure/ai-services/openai/reference

    Example:
        ```python
        backend = AzureBackend(
            "https://my-resource.openai.azure.com",
            api_version="2024-10-21",
            deployment="my-gpt-4o-mini",
            api_key="my-key",
        )
        client = AsyncClient(backend=backend)
        ```
    """

    def __init__(
        self,
        endpoint: str,
        *,
        api_version: str,
        deployment: str | None = None,
        api_key: ApiKey | None = None,
        azure_ad_token_provider: Callable[[], Awaitable[str]] | None = None,
        http_client: "HttpClient | None" = None,
    ) -> None:
        if (api_key is None) == (azure_ad_token_provider is None):
            raise ConfigurationError("Azure takes either api_key= or azure_ad_token_provider=")
        super().__init__(
            f"{endpoint.rstrip('/')}/openai",
            api_key=api_key or azure_ad_token_provider,
            http_client=http_client,
        )
        self._sends_token = azure_ad_token_provider is not None
        self._api_version = api_version
        self._deployment = deployment

    def url(self, request: Request) -> str:
        """Say where a request goes."""
        below = ""
        if self._deployment is not None and request.operation in _PER_DEPLOYMENT:
            below = f"/deployments/{self._deployment}"
        return self.base_url + below + request.path

    def query(self, request: Request) -> tuple[tuple[str, str], ...]:
        """Say with what query a request goes."""
        return (*request.query, ("api-version", self._api_version))

    def auth_header(self, key: str) -> tuple[str, str]:
        """Say in what header a key goes."""
        return super().auth_header(key) if self._sends_token else ("api-key", key)
