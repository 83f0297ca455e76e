"""The API's own OpenAPI document."""

from typing import Any

DOCUMENT_PATH = "/openapi.json"


def openapi_document() -> dict[str, Any]:
    return {}
