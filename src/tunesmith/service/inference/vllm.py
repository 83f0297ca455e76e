"""Inference by vLLM, which loads adapters that were tuned here while it runs.

Completions and chats are passed on as they are. Responses and embeddings are the service's own,
with tokens and vectors of vLLM.
"""

import json
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from itertools import count
from pathlib import Path
from typing import Any, Final

import anyio
from pydantic_core import to_json

from tunesmith.backends.base import Backend
from tunesmith.errors import BackendError, ConfigurationError
from tunesmith.protocol.message import Request, Response
from tunesmith.protocol.retry import may_have_been_processed
from tunesmith.service.core.context import ServiceContext
from tunesmith.service.core.errors import UPSTREAM_UNAVAILABLE, ServiceError, invalid
from tunesmith.service.engines.base import EngineModel
from tunesmith.service.inference.models import Models
from tunesmith.service.inference.stored_completions import StoredCompletions
from tunesmith.service.inference.upstream import Upstream, json_fields, read_response
from tunesmith.service.inference.vllm_model import VllmModel, error_message

__all__ = ["Vllm", "select_server"]

_OPERATIONS: Final = frozenset({"completions.create", "chat.completions.create"})
_OK, _NOT_FOUND = 200, 404
_SERVER_ERROR, _BAD_GATEWAY, _UNAVAILABLE = 500, 502, 503
_TIMEOUT_S = 120.0
_NO_ROUTE = "Not Found"
"""Error of a URL that vLLM does not have."""


class Vllm(Upstream):
    """vLLM server that generates with the models of the engine and their adapters.

    An adapter is loaded when it is used first, and again if vLLM was restarted.

    Args:
        backend: Access to vLLM, whose filesystem has the folders of tuned models.
        context: Dependencies shared by all parts of the service.
        models: Base models, which vLLM serves under the same names, and tuned models.
        stored: Chat completions with `store`.
    """

    def __init__(
        self,
        backend: Backend,
        context: ServiceContext,
        models: Models,
        stored: StoredCompletions,
    ) -> None:
        super().__init__(backend, context, models, stored)
        self._loads: dict[str, int] = {}
        """Number of the last load of each adapter."""
        self._numbers = count(1)
        self._loading = anyio.Lock()
        models.server = self

    def handles(self, operation: str, request: Request, body: bytes | None) -> bool:
        """Return whether vLLM answers a request: a completion or a chat of a model that exists.

        Args:
            operation: Name of the operation.
            request: The request.
            body: Its body.
        """
        del request
        model = json_fields(body).get("model")
        return operation in _OPERATIONS and isinstance(model, str) and self._models.exists(model)

    async def respond(
        self, operation: str, request: Request, body: bytes | None, stack: AsyncExitStack
    ) -> Response:
        """Pass a request on, after the adapter of its model was loaded.

        Args:
            operation: Name of the operation.
            request: The request.
            body: Its body.
            stack: Closes the response.

        Raises:
            ServiceError: vLLM cannot be reached (503), or cannot serve the model.
        """
        name: str = json_fields(body)["model"]
        adapter = self._models.weights_folder(name)
        load = None if adapter is None else await self._load(name, adapter)
        attempt = await stack.enter_async_context(AsyncExitStack())
        response = await super().respond(operation, request, body, attempt)
        if response.status != _NOT_FOUND:
            return response
        problem = error_message(await read_response(response))
        if problem == _NO_ROUTE:
            raise _no_route_error(name, request.path)
        if adapter is None:
            raise _not_served_error(name, problem)
        await attempt.aclose()
        await self._load(name, adapter, failed=load)
        return await super().respond(operation, request, body, stack)

    def serve(self, name: str, weights: EngineModel) -> VllmModel:
        """Return a model that vLLM generates with.

        Args:
            name: Its name.
            weights: The same weights in the engine.
        """
        return VllmModel(name, weights, self)

    async def post(self, path: str, values: Mapping[str, Any], stack: AsyncExitStack) -> Response:
        """Send a request of the service itself, after the adapter of its model was loaded.

        Args:
            path: Path below the base URL.
            values: Fields of its body, with the `model`.
            stack: Closes the response.

        Raises:
            ServiceError: vLLM cannot be reached, or does not answer with 200.
        """
        request = _request(path)
        response = await self.respond(request.operation, request, to_json(values), stack)
        if response.status != _OK:
            raise _failed_error(response, error_message(await read_response(response)))
        return response

    async def max_length(self) -> int:
        """Return the maximum number of tokens of a prompt and its completion together.

        Raises:
            ServiceError: vLLM cannot be reached, or is another server.
        """
        request = Request("models.list", "GET", "/models", timeout=_TIMEOUT_S)
        async with AsyncExitStack() as stack:
            response = await self._send(request, None, stack)
            page: Any = json_fields(await read_response(response))
        lengths: list[int] = [
            model["max_model_len"] for model in page.get("data") or () if model.get("max_model_len")
        ]
        if not lengths:
            message = "the models of the server of --vllm have no 'max_model_len'; is it vLLM?"
            raise ServiceError(_BAD_GATEWAY, message, type="server_error")
        return min(lengths)

    async def unload(self, name: str) -> None:
        """Unload the adapter of a deleted model.

        Args:
            name: Its name.
        """
        async with self._loading:
            self._loads.pop(name, None)
            with suppress(ServiceError):  # a server that has stopped has forgotten the adapter
                await self._post("/unload_lora_adapter", {"lora_name": name})

    def _connection_error(self, error: BackendError) -> ServiceError:
        if may_have_been_processed(error=error):
            return super()._connection_error(error)
        return ServiceError(
            _UNAVAILABLE,
            f"vLLM cannot be reached: {error}",
            type="server_error",
            code=UPSTREAM_UNAVAILABLE,
        )

    async def _load(self, name: str, folder: Path, *, failed: int | None = None) -> int:
        """Load an adapter, unless it is loaded.

        Args:
            name: Its name.
            folder: Its folder.
            failed: Number of a load that vLLM does not know any more.

        Returns:
            The number of the load.
        """
        async with self._loading:
            load = self._loads.get(name)
            if load is not None and load != failed:
                return load
            _check_adapter(name, folder)
            await self._models.open(name)  # the engine refuses an adapter of another base model
            # Another server may have left an adapter of the same name.
            await self._post("/unload_lora_adapter", {"lora_name": name})
            status, content = await self._post("/load_lora_adapter", _adapter(name, folder))
            if status != _OK:
                raise _load_error(name, status, error_message(content))
            self._loads[name] = load = next(self._numbers)
            return load

    async def _post(self, path: str, values: Mapping[str, Any]) -> tuple[int, bytes]:
        async with AsyncExitStack() as stack:
            response = await self._send(_request(path), to_json(values), stack)
            return response.status, await read_response(response)


def select_server(
    upstream: Backend | None,
    vllm: Backend | None,
    context: ServiceContext,
    models: Models,
    stored: StoredCompletions,
) -> Upstream | None:
    """Return the server that answers in place of the engine; None for none.

    Raises:
        ConfigurationError: Both are given.
    """
    if upstream is not None and vllm is not None:
        raise ConfigurationError("upstream= cannot be combined with vllm=; leave one out")
    if vllm is not None:
        return Vllm(vllm, context, models, stored)
    return None if upstream is None else Upstream(upstream, context, models, stored)


def _adapter(name: str, folder: Path) -> Mapping[str, str]:
    return {"lora_name": name, "lora_path": str(folder.resolve())}


def _request(path: str) -> Request:
    headers = {"content-type": "application/json"}
    return Request("vllm", "POST", path, headers=headers, timeout=_TIMEOUT_S)


def _check_adapter(name: str, folder: Path) -> None:
    """Check that a tuned model is an adapter of a base model.

    Raises:
        ServiceError: It is not.
    """
    config = folder / "adapter_config.json"
    if not config.exists():
        problem = "was trained as a whole and has no adapter, which vLLM could load while it runs"
    else:
        base: str = json.loads(config.read_text("utf-8")).get("base_model_name_or_path") or "."
        # The weights of other tuned models are beside its own.
        if not (folder.parent / Path(base).name / "config.json").exists():
            return
        problem = "continues a model that was trained as a whole, which vLLM does not have"
    raise invalid(
        f"The model '{name}' {problem}; serve it with a vLLM of its own, or this server without "
        "--vllm",
        "model",
    )


def _failed_error(response: Response, problem: str) -> ServiceError:
    kind = "invalid_request_error" if response.status < _SERVER_ERROR else "server_error"
    return ServiceError(response.status, f"vLLM: {problem}", type=kind, headers=response.headers)


def _not_served_error(name: str, problem: str) -> ServiceError:
    return ServiceError(
        _NOT_FOUND,
        f"vLLM does not serve {name!r} ({problem}); start it with --served-model-name {name}",
        param="model",
        code="model_not_found",
    )


def _no_route_error(name: str, path: str) -> ServiceError:
    runner = "pooling" if path == "/embeddings" else "generate"
    return invalid(
        f"vLLM has no {path} for {name!r}: it serves a model either for texts or for embeddings. "
        f"Use another `tunesmith serve`, with a vLLM started with --runner {runner} or without "
        "--vllm.",
        "model",
    )


def _load_error(name: str, status: int, message: str) -> ServiceError:
    if status == _NOT_FOUND and message == _NO_ROUTE:
        problem = (
            "vLLM cannot load adapters while it runs; start it with --enable-lora and with "
            "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True in its environment"
        )
    else:
        problem = f"vLLM did not load the adapter of '{name}': {message}"
    return ServiceError(_BAD_GATEWAY, problem, type="server_error", code="adapter_not_loaded")
