r"""Lines of batch input and output files.

```python
line = BatchRequestLine(
    custom_id="kant-1",
    url="/v1/completions",
    body={"model": "davinci-002", "prompt": "Several concepts are a priori such as"},
)
print(line.model_dump_json())
```
"""

from typing import Any, Literal

from tunesmith.types.base import APIModel

_FIRST_ERROR_STATUS = 400


class BatchRequestLine(APIModel):
    """Line of the input file: one request.

    Source: https://platform.openai.com/docs/api-reference/batch/request-input
    """

    custom_id: str
    """Your identifier of the request, unique in the file; output lines come in any order."""
    method: Literal["POST"] = "POST"
    url: str
    """The path, such as `/v1/completions`; the same in the whole file."""
    body: dict[str, Any]


class BatchLineResponse(APIModel):
    """Response to one request."""

    status_code: int
    request_id: str | None = None
    body: Any = None


class BatchLineError(APIModel):
    """Reason why a request has no response, such as `batch_expired`."""

    code: str | None = None
    message: str | None = None


class BatchResponseLine(APIModel):
    """Line of the output or error file.

    Source: https://platform.openai.com/docs/api-reference/batch/request-output
    """

    id: str | None = None
    custom_id: str
    response: BatchLineResponse | None = None
    error: BatchLineError | None = None

    @property
    def is_success(self) -> bool:
        """Whether the request succeeded."""
        return self.response is not None and self.response.status_code < _FIRST_ERROR_STATUS
