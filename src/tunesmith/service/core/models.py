"""The room of models: base ones that are always there, and tuned ones that come and go."""

from tunesmith.operations.models import DeleteModel, ListModels, RetrieveModel
from tunesmith.service.core.behavior import ServiceBehavior
from tunesmith.service.core.errors import ServiceError, model_not_found
from tunesmith.service.core.store import Store
from tunesmith.service.engines.base import Engine
from tunesmith.service.engines.base import EngineModel as Weights
from tunesmith.types.base import Page
from tunesmith.types.models import Model, ModelDeleted

__all__ = ["COMPLETION_MODELS", "LEGACY_MODELS", "TUNABLE_MODELS", "Models"]

LEGACY_MODELS = ("ada", "babbage", "curie", "davinci")
"""What the legacy API could tune."""

COMPLETION_MODELS = ("babbage-002", "davinci-002")
"""Those to tune on prompts and completions instead of conversations."""

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
    """Knows every model by name, with its weights.

    Args:
        store: Keeps the tuned models.
        engine: Has the weights of the base models.
        organization: The id of the organization that owns the tuned models.
        behavior: What a base model answers to a deletion.
    """

    def __init__(
        self, store: Store, engine: Engine, organization: str, behavior: ServiceBehavior
    ) -> None:
        self._tuned = store.collection("models", Model)
        self._engine = engine
        self._organization = organization
        self._behavior = behavior
        self._weights: dict[str, Weights] = {}
        self._bases: dict[str, str] = {}

    async def list(self, operation: ListModels) -> Page[Model]:
        """List the models, base ones first."""
        del operation
        tuned = self._tuned.get_page(newest_first=False).records
        return Page(object="list", data=[*_BASE_MODELS.values(), *tuned])

    async def retrieve(self, operation: RetrieveModel) -> Model:
        """Look up a model."""
        found = _BASE_MODELS.get(operation.model) or self._tuned.get(operation.model)
        if found is None:
            raise model_not_found(operation.model)
        return found

    async def delete(self, operation: DeleteModel) -> ModelDeleted:
        """Delete a tuned model."""
        name = operation.model
        if name in _BASE_MODELS:
            raise ServiceError(
                self._behavior.base_model_status,
                self._behavior.base_model_undeletable.format(name=name),
                param="model",
            )
        if self._tuned.delete(name) is None:
            raise model_not_found(name)
        del self._weights[name], self._bases[name]
        return ModelDeleted(id=name, object="model", deleted=True)

    def register(self, name: str, weights: Weights, *, base: str, at: float) -> None:
        """Add a tuned model.

        Args:
            name: Its name.
            weights: What training made.
            base: The model that was tuned, which may be a tuned one itself.
            at: When it was made, in Unix seconds.
        """
        model = Model(id=name, object="model", created=int(at), owned_by=self._organization)
        self._tuned.put(name, model)
        self._weights[name] = weights
        self._bases[name] = self.base_of(base)

    def exists(self, name: str) -> bool:
        """Tell whether there is a model of this name."""
        return name in _BASE_MODELS or name in self._weights

    def is_tuned(self, name: str) -> bool:
        """Tell whether there is a tuned model, or a checkpoint of one, of this name."""
        return name in self._weights

    def base_of(self, name: str) -> str:
        """Name the base model that a model was tuned from; a base model is its own.

        Raises:
            ServiceError: There is no model of this name.
        """
        if not self.exists(name):
            raise model_not_found(name)
        return self._bases.get(name, name)

    def resolve(self, name: str) -> Weights:
        """Find a model's weights.

        Raises:
            ServiceError: There is no model of this name.
        """
        if name in _BASE_MODELS:
            return self._engine.base(name)
        if name not in self._weights:
            raise model_not_found(name)
        return self._weights[name]
