"""The Models API: base models and tuned models with their weights."""

from collections.abc import Iterable, Mapping

from tunesmith.known_models import KNOWN_MODELS, KnownModel, custom_model
from tunesmith.operations.models import DeleteModel, ListModels, RetrieveModel
from tunesmith.service.core.context import ServiceContext
from tunesmith.service.core.errors import ServiceError, model_not_found
from tunesmith.service.core.handlers import handles
from tunesmith.service.engines.base import Engine, EngineModel
from tunesmith.types.base import Page
from tunesmith.types.models import Model, ModelDeleted

__all__ = ["Models"]

_BASE_CREATED_AT = 1_649_358_449


class Models:
    """Registry of models and their weights.

    Args:
        context: Dependencies shared by all parts of the service.
        engine: Source of the base models' weights.
        names: Names of base models beside `KNOWN_MODELS`.
    """

    def __init__(self, context: ServiceContext, engine: Engine, names: Iterable[str] = ()) -> None:
        self._known = {**KNOWN_MODELS, **{name: custom_model(name) for name in names}}
        self._tuned = context.store.collection("models", Model)
        self._engine = engine
        self._organization = context.organization
        self._behavior = context.behavior
        self._store = context.store
        self._clock = context.clock
        self._weights: dict[str, EngineModel] = {}
        self._bases = context.store.collection("model_bases", str)

    @handles(ListModels)
    async def list(self, operation: ListModels) -> Page[Model]:
        """List the models, base models first."""
        del operation
        tuned = self._tuned.get_page(newest_first=False).records
        return Page(object="list", data=[*map(_to_model, self._known.values()), *tuned])

    @handles(RetrieveModel)
    async def retrieve(self, operation: RetrieveModel) -> Model:
        """Return a model."""
        name = operation.model
        model = _to_model(self._known[name]) if name in self._known else self._tuned.get(name)
        if model is None:
            raise model_not_found(name)
        return model

    @handles(DeleteModel)
    async def delete(self, operation: DeleteModel) -> ModelDeleted:
        """Delete a tuned model."""
        name = operation.model
        if name in self._known:
            message = self._behavior.base_model_message.format(name=name)
            raise ServiceError(self._behavior.base_model_status, message, param="model")
        if self._tuned.delete(name) is None:
            raise model_not_found(name)
        self._weights.pop(name, None)
        self._bases.delete(name)
        self._store.delete_blob(_blob_id(name))
        return ModelDeleted(id=name, object="model", deleted=True)

    async def serialize(self, weights: Mapping[int, EngineModel]) -> Mapping[int, bytes | None]:
        """Serialize weights for `register`; None for each if the store is in memory."""
        if not self._store.is_durable:
            return dict.fromkeys(weights)

        def to_bytes() -> dict[int, bytes | None]:
            return {step: model.to_bytes() for step, model in weights.items()}

        return await self._clock.run_in_thread(to_bytes)

    def register(
        self, name: str, weights: EngineModel, data: bytes | None, *, base: str, timestamp: float
    ) -> None:
        """Add a tuned model.

        Args:
            name: Name of the new model.
            weights: Result of the training.
            data: The serialized weights.
            base: The model that was tuned, which may be a tuned model.
            timestamp: Creation time, in Unix seconds.
        """
        if data is not None:
            self._store.write(_blob_id(name), [data])
        model = Model(id=name, object="model", created=int(timestamp), owned_by=self._organization)
        self._tuned.put(name, model)
        self._weights[name] = weights
        self._bases.put(name, self.base_of(base))

    def exists(self, name: str) -> bool:
        """Return whether a model exists."""
        return name in self._known or self.is_tuned(name)

    def is_tuned(self, name: str) -> bool:
        """Return whether a tuned model, or a checkpoint of one, exists."""
        return self._bases.get(name) is not None

    def base_of(self, name: str) -> str:
        """Return the base model that a model was tuned from; its own name for a base model.

        Raises:
            ServiceError: The model does not exist.
        """
        base = name if name in self._known else self._bases.get(name)
        if base is None:
            raise model_not_found(name)
        return base

    def info_of(self, name: str) -> KnownModel:
        """Return the abilities of a model: those of its base model.

        Raises:
            ServiceError: The model does not exist.
        """
        base = self.base_of(name)
        # A stored model may be based on one that is no longer named to the service.
        return self._known.get(base) or custom_model(base)

    def resolve(self, name: str) -> EngineModel:
        """Return a model's weights.

        Raises:
            ServiceError: The model does not exist.
        """
        if name in self._known:
            return self._engine.base(name)
        self.base_of(name)
        if name not in self._weights:
            data = b"".join(self._store.read(_blob_id(name)))
            self._weights[name] = self._engine.load(data)
        return self._weights[name]


def _to_model(known: KnownModel) -> Model:
    return Model(
        id=known.name,
        object="model",
        created=_BASE_CREATED_AT,
        owned_by="openai",
        shutdown_date=known.shutdown.isoformat() if known.shutdown else None,
    )


def _blob_id(name: str) -> str:
    return f"weights:{name}"
