"""Metadata as a parameter."""

from collections.abc import Mapping
from typing import Annotated

from annotated_types import MaxLen

MetadataParam = Annotated[
    Mapping[Annotated[str, MaxLen(64)], Annotated[str, MaxLen(512)]], MaxLen(16)
]
"""Up to 16 pairs to keep with an object: keys to 64 characters, values to 512."""
