"""Kinds of fields that several nouns share."""

from typing import Annotated, TypeVar

from pydantic import BeforeValidator

__all__ = ["OrEmpty"]

Item = TypeVar("Item")

OrEmpty = Annotated[list[Item], BeforeValidator(lambda value: [] if value is None else value)]
"""A list for which servers may send null."""
