"""Requests of the page that the API does not have."""

import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import parse_qs, unquote

import anyio
from pydantic import SecretStr
from pydantic_core import from_json, to_json

from tunesmith._version import __version__
from tunesmith.backends.base import Backend
from tunesmith.client import AsyncClient
from tunesmith.datasets.examples import read_example
from tunesmith.errors import (
    APIError,
    APIStatusError,
    ConfigurationError,
    DatasetError,
)
from tunesmith.known_models import find_model
from tunesmith.playground.assets import find_asset
from tunesmith.playground.datasets import DatasetRequest, inspect_dataset, upload_dataset
from tunesmith.playground.metrics import job_metrics
from tunesmith.playground.weights import weights_response
from tunesmith.protocol.message import Response
from tunesmith.service.core.errors import ServiceError, invalid
from tunesmith.service.http.auth import authenticate
from tunesmith.service.http.gateway import RawRequest
from tunesmith.training_rules import FORMATS

__all__ = ["ComputeAttention", "OpenModel", "Playground"]

OpenModel = Callable[[str], Awaitable[object]]
"""Function of a model's name that returns its weights."""
ComputeAttention = Callable[[str, str], Awaitable[Mapping[str, Any]]]
"""Function of a model and a prompt that returns `tokens` and, by name, `models`: their `attention`
by layer, head, token and earlier token, and the likely tokens `next`.
"""

_FOLDER = "/playground/"
_API = "/playground/api/"
_MAX_DATASET_BYTES = 512 * 1024 * 1024
_MAX_PROMPT_BYTES = 100_000
_METRICS = re.compile(r"jobs/([\w.:-]+)/metrics")
_WEIGHTS = "weights/"
_CHECKPOINT = re.compile(r":ckpt-step-\d+$")


class Playground:
    """Page to try and fine-tune models, for the argument `pages` of `ASGIApp`.

    Args:
        backend: The backend of the API; it is not closed.
        api_key: The key that the app requires; None if it accepts any.
        base_url: Base URL for the code that the page shows; None for the app's own.
        find_weights: Function that returns the folder of a tuned model's weights, to download, or
            None if there is none; by default nothing can be downloaded.
        compute_attention: Function that computes the attention of a tuned model to a prompt; by
            default it is not shown.
        is_simulated: Whether small models stand in for the base models, which the page then says.
        open_model: Function that returns a model by its name; if it has `learned_tokens`, training
            data are shown as its tokens, otherwise as texts.

    Example:
        ```python
        from tunesmith.playground.pages import Playground
        from tunesmith.service.http.asgi import ASGIApp

        backend = MemoryBackend()
        app = ASGIApp(backend, pages=Playground(backend))  # the page is at /
        ```
    """

    def __init__(
        self,
        backend: Backend,
        *,
        api_key: str | SecretStr | None = None,
        base_url: str | None = None,
        find_weights: Callable[[str], Path | None] | None = None,
        compute_attention: ComputeAttention | None = None,
        is_simulated: bool = False,
        open_model: OpenModel | None = None,
    ) -> None:
        # The page itself tries again.
        self._client = AsyncClient(backend=backend, max_retries=0)
        self._key = SecretStr(api_key) if isinstance(api_key, str) else api_key
        self._base_url = base_url
        self._find_weights = find_weights
        self._compute_attention = compute_attention
        self._is_simulated = is_simulated
        self._open_model = open_model

    async def __call__(self, request: RawRequest, /) -> Response | None:
        """Respond to a request of the page; return None for all others.

        Raises:
            ServiceError: The request is invalid, or the service failed.
        """
        path, _, query = request.target.partition("?")
        if path.startswith(_API):
            return await self._call(request, unquote(path.removeprefix(_API)), query)
        if request.method not in {"GET", "HEAD"}:
            return None
        if path == "/":
            return find_asset("index.html", request.headers)
        if path.startswith(_FOLDER):
            return find_asset(path.removeprefix(_FOLDER), request.headers)
        return None

    async def _call(self, request: RawRequest, path: str, query: str) -> Response | None:
        if (request.method, path) == ("GET", "config"):
            return _json(self._config())
        authenticate(request.headers, self._key)
        try:
            if request.method == "GET" and path.startswith(_WEIGHTS):
                return self._weights(path.removeprefix(_WEIGHTS))
            content = await self._content(request, path, parse_qs(query))
        except APIStatusError as error:
            raise ServiceError(error.status, error.message, code=error.code) from None
        except (DatasetError, ConfigurationError) as error:
            raise invalid(str(error)) from None
        except APIError as error:
            raise ServiceError(502, str(error), type="server_error") from None
        return None if content is None else _json(content)

    async def _content(
        self, request: RawRequest, path: str, parameters: Mapping[str, list[str]]
    ) -> dict[str, Any] | None:
        match request.method, path:
            case "GET", "models":
                return await self._models()
            case "GET", "example":
                return {"name": "kant.csv", "content": read_example("kant").decode()}
            case "POST", "datasets":
                return await self._dataset(request, parameters)
            case "POST", "attention" if self._compute_attention:
                return await self._attention(request, self._compute_attention)
            case "GET", _ if match := _METRICS.fullmatch(path):
                after = _first(parameters, "after_step") or ""
                after_step = int(after) if after.isascii() and after.isdigit() else 0
                return await job_metrics(self._client, match[1], after_step)
            case _:
                return None

    def _config(self) -> dict[str, Any]:
        return {
            "version": __version__,
            "needs_key": self._key is not None,
            "base_url": self._base_url,
            "has_weights": self._find_weights is not None,
            "is_simulated": self._is_simulated,
            "has_attention": self._compute_attention is not None,
        }

    async def _models(self) -> dict[str, Any]:
        models = [model async for model in self._client.models.list()]
        return {"data": [_describe(model.id) for model in models]}

    def _weights(self, model: str) -> Response | None:
        folder = self._find_weights(model) if self._find_weights else None
        return weights_response(folder, re.sub(r"[^\w.-]", "_", model)) if folder else None

    async def _attention(self, request: RawRequest, compute: ComputeAttention) -> dict[str, Any]:
        content = bytearray()
        async with aclosing(_chunks(request)) as chunks:
            async for chunk in chunks:
                content += chunk
                if len(content) > _MAX_PROMPT_BYTES:
                    raise invalid("The prompt is too long.", "prompt")
        try:
            body: Any = from_json(bytes(content))
            model, prompt = str(body["model"]), str(body["prompt"])
        except (ValueError, TypeError, KeyError):
            raise invalid("model and prompt must be texts") from None
        return dict(await compute(model, prompt))

    async def _dataset(
        self, request: RawRequest, parameters: Mapping[str, list[str]]
    ) -> dict[str, Any]:
        split = _first(parameters, "split")
        target = _first(parameters, "format")
        try:
            share = float(split) if split else None
        except ValueError:
            raise invalid("split must be a number between 0 and 1", "split") from None
        if share is not None and not 0 < share < 1:
            raise invalid("split must be a number between 0 and 1", "split")
        if target and target not in FORMATS:
            raise invalid(f"format must be one of {', '.join(FORMATS)}", "format")
        async with _received(request, _first(parameters, "name") or "") as path:
            choices = DatasetRequest(
                path=path,
                model=_first(parameters, "model"),
                target_format=target,  # type: ignore[arg-type]
                declined=parameters.get("declined", []),
                split=share,
            )
            if "upload" in parameters:
                return await upload_dataset(choices, self._client)
            model = None
            if self._open_model is not None and choices.model:
                model = await self._open_model(choices.model)
            return await inspect_dataset(choices, model)


@asynccontextmanager
async def _received(request: RawRequest, name: str) -> AsyncGenerator[Path]:
    """Write the body to a temporary file of that name."""
    # A name from the page is not a path, and messages print it.
    safe = re.sub(r"[^\w. -]", "_", name.replace("\\", "/").rpartition("/")[2])[-100:].strip(". ")
    with TemporaryDirectory(prefix="tunesmith-playground-") as folder:
        path = Path(folder) / (safe or "data.jsonl")
        size = 0
        async with await anyio.open_file(path, "wb") as file, aclosing(_chunks(request)) as chunks:
            async for chunk in chunks:
                size += len(chunk)
                if size > _MAX_DATASET_BYTES:
                    raise ServiceError(413, "The file is larger than 512 MB.", param="file")
                await file.write(chunk)
        yield path


async def _chunks(request: RawRequest) -> AsyncGenerator[bytes]:
    if isinstance(request.body, bytes):
        yield request.body
        return
    body = request.body()
    try:
        async for chunk in body:
            yield chunk
    finally:
        if isinstance(body, AsyncGenerator):
            await body.aclose()


def _describe(name: str) -> dict[str, Any]:
    """Describe a model by its name; abilities are null if they are not known."""
    known = find_model(name)
    is_checkpoint = _CHECKPOINT.search(name) is not None
    is_tuned = name.startswith("ft:") or ":ft-" in name
    return {
        "id": name,
        "group": "checkpoint" if is_checkpoint else "tuned" if is_tuned else "base",
        "abilities": sorted(known.abilities) if known else None,
        "shutdown": str(known.shutdown) if known and known.shutdown else None,
    }


def _first(parameters: Mapping[str, list[str]], name: str) -> str | None:
    return next(iter(parameters.get(name, [])), None)


def _json(content: Mapping[str, Any]) -> Response:
    body = to_json(content, inf_nan_mode="null")
    headers = {
        "content-type": "application/json",
        "content-length": str(len(body)),
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
    }
    return Response.from_bytes(200, headers, body)
