"""The Models API: base models of the engine's catalogue, and tuned models with their weights."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from tunesmith.operations.models import DeleteModel, ListModels, RetrieveModel
from tunesmith.service.core.context import ServiceContext
from tunesmith.service.core.errors import ServiceError, invalid, model_not_found
from tunesmith.service.core.handlers import handles
from tunesmith.service.engines.base import Engine, EngineError, EngineModel, ModelInfo
from tunesmith.training_rules import Format
from tunesmith.types.base import Page
from tunesmith.types.models import Model, ModelDeleted

__all__ = ["ModelServer", "Models"]


class ModelServer(Protocol):
    """Server that generates with models in place of the engine."""

    def serve(self, name: str, weights: EngineModel, /) -> EngineModel:
        """Return a model that the server generates with."""
        ...

    async def unload(self, name: str, /) -> None:
        """Unload a deleted model."""
        ...


class Models:
    """Registry of models and their weights.

    Args:
        context: Dependencies shared by all parts of the service.
        engine: Source of the catalogue and the weights.
    """

    def __init__(self, context: ServiceContext, engine: Engine) -> None:
        self._tuned = context.store.collection("models", Model)
        self._engine = engine
        self._organization = context.organization
        self._behavior = context.behavior
        self._store = context.store
        self._opened: dict[str, EngineModel] = {}
        self._bases = context.store.collection("model_bases", str)
        self.server: ModelServer | None = None
        """Server that generates with the models; the engine does if there is none."""

    @property
    def catalogue(self) -> Sequence[ModelInfo]:
        """The base models."""
        return self._engine.models

    @handles(ListModels)
    async def list(self, operation: ListModels) -> Page[Model]:
        """List the models, base models first."""
        del operation
        return Page(object="list", data=[*map(_to_model, self.catalogue), *self.tuned()])

    @handles(RetrieveModel)
    async def retrieve(self, operation: RetrieveModel) -> Model:
        """Return a model."""
        info = self._find_base(operation.model)
        model = self._tuned.get(operation.model) if info is None else _to_model(info)
        if model is None:
            raise model_not_found(operation.model)
        return model

    @handles(DeleteModel)
    async def delete(self, operation: DeleteModel) -> ModelDeleted:
        """Delete a tuned model."""
        name = operation.model
        if self._find_base(name) is not None:
            message = self._behavior.base_model_message.format(name=name)
            raise ServiceError(self._behavior.base_model_status, message, param="model")
        if self._tuned.delete(name) is None:
            raise model_not_found(name)
        self._opened.pop(name, None)
        self._bases.delete(name)
        self._store.delete_folder("models", name)
        if self.server is not None:
            await self.server.unload(name)
        return ModelDeleted(id=name, object="model", deleted=True)

    def check_options(self, info: ModelInfo, format: Format, options: Mapping[str, Any]) -> None:
        """Check the engine's own options of a job.

        Raises:
            ServiceError: An option is unknown or invalid.
        """
        try:
            self._engine.check_options(info.name, format, options)
        except EngineError as error:
            raise invalid(error.message, error.param or "tunesmith") from None

    def register(self, name: str, weights: Path, *, base: str, timestamp: float) -> None:
        """Add a tuned model.

        Args:
            name: Name of the new model.
            weights: Folder of its weights, which is moved.
            base: The model that was tuned, which may be a tuned model.
            timestamp: Creation time, in Unix seconds.
        """
        weights.rename(self._store.new_folder("models", name))
        model = Model(id=name, object="model", created=int(timestamp), owned_by=self._organization)
        self._tuned.put(name, model)
        self._bases.put(name, self.info_of(base).name)

    def tuned(self) -> Sequence[Model]:
        """Return the models that were tuned here."""
        return self._tuned.get_page(newest_first=False).records

    def exists(self, name: str) -> bool:
        """Return whether a model exists."""
        return self._find_base(name) is not None or self.is_tuned(name)

    def is_tuned(self, name: str) -> bool:
        """Return whether a tuned model, or a checkpoint of one, exists."""
        return self._bases.get(name) is not None

    def info_of(self, name: str) -> ModelInfo:
        """Return the entry of a model, or of the base model that it was tuned from.

        Raises:
            ServiceError: The model does not exist.
        """
        base = name if self._find_base(name) else self._bases.get(name)
        if base is None:
            raise model_not_found(name)
        info = self._find_base(base)
        if info is None:
            message = f"The model '{name}' was tuned from '{base}', which the engine does not have"
            raise ServiceError(404, message, param="model", code="model_not_found")
        # The server is given tokens and JSON schemas, but no grammar of the engine's own.
        return info if self.server is None else replace(info, tool_calls="emulated")

    def weights_folder(self, name: str) -> Path | None:
        """Return the folder of a tuned model's weights; None for other models."""
        return self._store.folder("models", name) if self.is_tuned(name) else None

    async def open(self, name: str) -> EngineModel:
        """Return a model's weights.

        Raises:
            ServiceError: The model does not exist, or cannot be opened.
        """
        if name not in self._opened:
            is_base = self._find_base(name) is not None
            folder = None if is_base else self._store.folder("models", name)
            weights = await self.open_weights(name, folder)
            self._opened[name] = self.server.serve(name, weights) if self.server else weights
        return self._opened[name]

    async def open_weights(self, name: str, folder: Path | None) -> EngineModel:
        """Open weights that were tuned from a model.

        Raises:
            ServiceError: The model does not exist, or the weights cannot be opened.
        """
        try:
            return await self._engine.open(self.info_of(name).name, folder)
        except EngineError as error:
            raise invalid(error.message, error.param or "model") from None

    def _find_base(self, name: str) -> ModelInfo | None:
        return next((info for info in self.catalogue if info.name == name), None)


def _to_model(info: ModelInfo) -> Model:
    return Model(
        id=info.name,
        object="model",
        created=info.created,
        owned_by=info.owned_by,
        shutdown_date=info.shutdown.isoformat() if info.shutdown else None,
    )
