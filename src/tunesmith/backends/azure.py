"""Azure OpenAI: deployments in the path, an API version in the query, keys in `api-key`."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from pydantic import SecretStr

from tunesmith.backends.credentials import ApiKey, conceal
from tunesmith.backends.httpx import HttpxBackend
from tunesmith.errors import ConfigurationError
from tunesmith.protocol.message import Request

if TYPE_CHECKING:
    from tunesmith.backends.httpx import HttpClient

__all__ = ["AzureBackend"]

_DEPLOYMENT_OPERATIONS = frozenset(
    {"completions.create", "chat.completions.create", "embeddings.create"}
)
"""Operations that Azure serves below `/deployments/NAME`."""


class AzureBackend(HttpxBackend):
    """Backend for Azure OpenAI.

    Args:
        endpoint: The resource's URL, such as `https://my-resource.openai.azure.com`.
        api_version: The API version, such as `2024-10-21`.
        deployment: The deployment for completions, chat and embeddings.
        api_key: The resource's key, sent as `api-key`.
        azure_ad_token_provider: An asynchronous function that returns a Microsoft Entra token,
            instead of a key.
        http_client: Your own `httpx.AsyncClient`; you close it.

    Raises:
        ConfigurationError: Neither or both of `api_key` and `azure_ad_token_provider` are set.

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
        endpoint: str | SecretStr,
        *,
        api_version: str,
        deployment: str | None = None,
        api_key: ApiKey | None = None,
        azure_ad_token_provider: Callable[[], Awaitable[str]] | None = None,
        http_client: "HttpClient | None" = None,
    ) -> None:
        endpoint, api_key = conceal(endpoint), conceal(api_key)
        if (api_key is None) == (azure_ad_token_provider is None):
            raise ConfigurationError("pass either api_key= or azure_ad_token_provider=")
        super().__init__(
            endpoint, api_key=api_key or azure_ad_token_provider, http_client=http_client
        )
        self.base_url = f"{self.base_url}/openai"
        self._sends_token = azure_ad_token_provider is not None
        self._api_version = api_version
        self._deployment = deployment

    def url(self, request: Request) -> str:
        """Return the URL of a request, without its query."""
        prefix = ""
        if self._deployment is not None and request.operation in _DEPLOYMENT_OPERATIONS:
            prefix = f"/deployments/{self._deployment}"
        return self.base_url + prefix + request.path

    def query(self, request: Request) -> tuple[tuple[str, str], ...]:
        """Return the query of a request."""
        return (*request.query, ("api-version", self._api_version))

    def auth_header(self, key: str) -> tuple[str, str]:
        """Return the header that carries a key."""
        return super().auth_header(key) if self._sends_token else ("api-key", key)
