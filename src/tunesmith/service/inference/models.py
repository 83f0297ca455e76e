"""The Models API: base models and tuned models with their weights."""

from tunesmith.operations.models import DeleteModel, ListModels, RetrieveModel
from tunesmith.service.core.context import ServiceContext
from tunesmith.service.core.errors import ServiceError, model_not_found
from tunesmith.service.core.handlers import handles
from tunesmith.service.engines.base import Engine, EngineModel
from tunesmith.types.base import Page
from tunesmith.types.models import Model, ModelDeleted

__all__ = ["COMPLETION_MODELS", "LEGACY_MODELS", "TUNABLE_MODELS", "Models"]

LEGACY_MODELS = ("ada", "babbage", "curie", "davinci")
"""Base models of the legacy fine-tuning API."""

COMPLETION_MODELS = ("babbage-002", "davinci-002")
"""Models that are tuned on prompts and completions instead of conversations."""

TUNABLE_MODELS = (
    *COMPLETION_MODELS,
    "gpt-3.5-turbo",
    "gpt-3.5-turbo-0125",
    "gpt-3.5-turbo-0613",
    "gpt-3.5-turbo-1106",
    "gpt-4o-2024-08-06",
    "gpt-4o-mini",
    "gpt-4o-mini-2024-07-18",
    "gpt-4.1",
    "gpt-4.1-2025-04-14",
    "gpt-4.1-mini",
    "gpt-4.1-mini-2025-04-14",
    "gpt-4.1-nano",
    "gpt-4.1-nano-2025-04-14",
    "o4-mini-2025-04-16",
)

_FIXED_MODELS = (
    "gpt-3.5-turbo-instruct",
    "omni-moderation-latest",
    "omni-moderation-2024-09-26",
    "text-embedding-ada-002",
    "text-embedding-3-small",
    "text-embedding-3-large",
    "text-moderation-latest",
    "text-moderation-stable",
)

_BASE_CREATED_AT = 1_649_358_449
_BASE_MODELS = {
    name: Model(id=name, object="model", created=_BASE_CREATED_AT, owned_by="openai")
    for name in (*LEGACY_MODELS, *TUNABLE_MODELS, *_FIXED_MODELS)
}


class Models:
    """Registry of models and their weights.

    Args:
        context: Dependencies shared by all parts of the service.
        engine: Source of the base models' weights.
    """

    def __init__(self, context: ServiceContext, engine: Engine) -> None:
        self._tuned = context.store.collection("models", Model)
        self._engine = engine
        self._organization = context.organization
        self._behavior = context.behavior
        self._weights: dict[str, EngineModel] = {}
        self._bases: dict[str, str] = {}

    @handles(ListModels)
    async def list(self, operation: ListModels) -> Page[Model]:
        """List the models, base models first."""
        del operation
        tuned = self._tuned.get_page(newest_first=False).records
        return Page(object="list", data=[*_BASE_MODELS.values(), *tuned])

    @handles(RetrieveModel)
    async def retrieve(self, operation: RetrieveModel) -> Model:
        """Return a model."""
        model = _BASE_MODELS.get(operation.model) or self._tuned.get(operation.model)
        if model is None:
            raise model_not_found(operation.model)
        return model

    @handles(DeleteModel)
    async def delete(self, operation: DeleteModel) -> ModelDeleted:
        """Delete a tuned model."""
        name = operation.model
        if name in _BASE_MODELS:
            message = self._behavior.base_model_message.format(name=name)
            raise ServiceError(self._behavior.base_model_status, message, param="model")
        if self._tuned.delete(name) is None:
            raise model_not_found(name)
        del self._weights[name], self._bases[name]
        return ModelDeleted(id=name, object="model", deleted=True)

    def register(self, name: str, weights: EngineModel, *, base: str, timestamp: float) -> None:
        """Add a tuned model.

        Args:
            name: Name of the new model.
            weights: Result of the training.
            base: The model that was tuned, which may be a tuned model.
            timestamp: Creation time, in Unix seconds.
        """
        model = Model(id=name, object="model", created=int(timestamp), owned_by=self._organization)
        self._tuned.put(name, model)
        self._weights[name] = weights
        self._bases[name] = self.base_of(base)

    def exists(self, name: str) -> bool:
        """Return whether a model exists."""
        return name in _BASE_MODELS or name in self._weights

    def is_tuned(self, name: str) -> bool:
        """Return whether a tuned model, or a checkpoint of one, exists."""
        return name in self._weights

    def base_of(self, name: str) -> str:
        """Return the base model that a model was tuned from; its own name for a base model.

        Raises:
            ServiceError: The model does not exist.
        """
        if not self.exists(name):
            raise model_not_found(name)
        return self._bases.get(name, name)

    def resolve(self, name: str) -> EngineModel:
        """Return a model's weights.

        Raises:
            ServiceError: The model does not exist.
        """
        if name in _BASE_MODELS:
            return self._engine.base(name)
        if name not in self._weights:
            raise model_not_found(name)
        return self._weights[name]
