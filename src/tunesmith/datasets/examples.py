"""Example datasets that come with the package."""

from importlib.resources import files
from io import BytesIO

from tunesmith.datasets.dataset import Dataset
from tunesmith.errors import ConfigurationError

__all__ = ["EXAMPLES", "example", "read_example"]

EXAMPLES = {"kant": "kant.csv"}
"""File names of the examples; `kant`: 279 prompts and completions on Kant's philosophy."""


def example(name: str = "kant") -> Dataset:
    """Open an example dataset.

    Args:
        name: One of `EXAMPLES`.

    Raises:
        ConfigurationError: The example is unknown.

    Example:
        ```python
        from tunesmith.datasets import example

        diagnosis = await example("kant").diagnose()
        written = await diagnosis.plan().write("kant.jsonl")
        ```
    """
    stream = BytesIO(read_example(name))
    stream.name = EXAMPLES[name]
    return Dataset.open(stream)


def read_example(name: str) -> bytes:
    """Return the file of an example.

    Raises:
        ConfigurationError: The example is unknown.
    """
    if name not in EXAMPLES:
        raise ConfigurationError(f"unknown example {name!r}; use one of: {', '.join(EXAMPLES)}")
    return (files("tunesmith.datasets") / "data" / EXAMPLES[name]).read_bytes()
