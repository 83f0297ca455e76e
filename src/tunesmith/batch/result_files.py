"""Results of a job, read from its files."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from os import PathLike
from typing import Any

from tunesmith._extras import import_extra
from tunesmith._json_types import is_list, is_object
from tunesmith.batch.append_log import read_line
from tunesmith.batch.endpoints import ENDPOINTS, Endpoint
from tunesmith.batch.output import JobPaths
from tunesmith.batch.results import Result

__all__ = ["BatchResults"]

_PREVIEW_ROWS = 5
_PREVIEW_CHARS = 200


@dataclass(frozen=True, slots=True)
class BatchResults:
    """Results in the files of a job: successes first, then failures.

    Args:
        output: The output of the job.

    Example:
        ```python
        from tunesmith.batch import BatchJob, BatchResults

        rows = [{"custom_id": "a", "prompt": "Space is"}]
        async with BatchJob(rows, "answers.jsonl", client=client, model="davinci-002") as job:
            await job.run()
        print(BatchResults("answers.jsonl").to_pandas().loc["a", "text"])
        ```
    """

    output: str | PathLike[str]

    def __iter__(self) -> Iterator[Result]:
        paths = JobPaths(self.output)
        for path in (paths.target, paths.errors):
            if not path.exists():
                continue
            with path.open("rb") as stream:
                for line in stream:
                    data = read_line(line)
                    if data is not None:  # a run in progress may have written a part
                        yield Result.from_line(data, endpoint=_infer_endpoint(data))

    def to_pandas(self) -> Any:
        """Return a data frame with a row per result, indexed by key; needs pandas.

        Raises:
            ConfigurationError: pandas is not installed.
        """
        pandas = import_extra("pandas", "notebook", "Data frames")
        columns = ("key", "text", "input_tokens", "output_tokens", "error_code", "error")
        return pandas.DataFrame(map(_to_record, self), columns=columns).set_index("key")

    def _repr_html_(self) -> str:
        """Return the first results as a table, for notebooks."""
        from tunesmith._html import render_fragment, render_table  # noqa: PLC0415 - notebooks only

        rows = (
            (result.key, (result.text or str(result.error or ""))[:_PREVIEW_CHARS])
            for result in islice(self, _PREVIEW_ROWS)
        )
        return render_fragment(render_table(("Key", "Result"), rows))


def _infer_endpoint(line: dict[str, Any]) -> Endpoint:
    response: Any = line.get("response")
    body: Any = response.get("body") if is_object(response) else None
    if not is_object(body):
        return ENDPOINTS["/v1/completions"]
    if is_list(body.get("output")):
        return ENDPOINTS["/v1/responses"]
    if is_list(body.get("data")):
        return ENDPOINTS["/v1/embeddings"]
    choices: Any = body.get("choices")
    is_chat = is_list(choices) and choices and is_object(choices[0]) and "message" in choices[0]
    return ENDPOINTS["/v1/chat/completions" if is_chat else "/v1/completions"]


def _to_record(result: Result) -> tuple[Any, ...]:
    usage, error = result.usage, result.error
    failure = (error.code, error.message) if error else (None, None)
    return (result.key, result.text, usage.prompt, usage.completion, *failure)
