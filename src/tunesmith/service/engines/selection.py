"""Selection of the engine of a service."""

from collections.abc import Sequence

from tunesmith.errors import ConfigurationError
from tunesmith.service.engines.base import Engine

__all__ = ["select_engine"]


def select_engine(engine: Engine | None, models: Sequence[str]) -> Engine:
    """Return the engine, by default the n-gram engine.

    Args:
        engine: The engine; None for the default.
        models: Names of base models of the default engine beside `KNOWN_MODELS`.

    Raises:
        ConfigurationError: There are models for an engine with a catalogue of its own.
    """
    if engine is None:
        from tunesmith.service.engines.ngram.engine import NGramEngine  # noqa: PLC0415 - slow

        return NGramEngine(models)
    if models:
        raise ConfigurationError(
            "models= cannot be combined with engine=, which has its own catalogue of models"
        )
    return engine
