"""Results of a batch: its files are downloaded, and read line by line."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio.lowlevel
from pydantic_core import from_json

from tunesmith._json_types import is_object
from tunesmith.batch.core.core import JobCore
from tunesmith.batch.core.decisions import Decision
from tunesmith.batch.core.states import Failure, Shard
from tunesmith.batch.endpoints import endpoint_of
from tunesmith.batch.index import KeyIndex
from tunesmith.batch.live import validate
from tunesmith.batch.metrics import JobMetrics
from tunesmith.batch.response_validation import ResponseValidator
from tunesmith.batch.results import Result, RowError, parse_body, parse_usage
from tunesmith.client import AsyncClient
from tunesmith.errors import InvalidResponseError, NotFoundError
from tunesmith.protocol.outcome import find_answer_error
from tunesmith.protocol.retry import RetryPolicy, retry_delay

__all__ = ["Collector"]

_CUSTOM_ID = re.compile(rb'"custom_id"\s*:\s*("(?:[^"\\]|\\.)*")')
_BOM = b"\xef\xbb\xbf"
_NOT_DONE = frozenset({"batch_expired", "batch_cancelled"})
_SLICE = 256
"""After so many lines, other tasks get their turn."""

_MAX_RETRY_BODIES = 1000
_ONCE = RetryPolicy(max_retries=1)
_SERVER_ERROR = 500


@dataclass(frozen=True, slots=True)
class Collector:
    """Reader of result files.

    Args:
        client: The client to download with.
        core: The core, which decides on each result.
        index: Positions of rows in the source.
        metrics: Counters of tokens.
        validator: Validator of responses; None accepts all.
        results: Results of rows, stored before the core decides on them.
        execute: Function that executes decisions.
        retry_bodies: Bodies of rows to be resent with a correction, by key.
    """

    client: AsyncClient
    core: JobCore
    index: KeyIndex
    metrics: JobMetrics
    validator: ResponseValidator | None
    results: dict[str, Result]
    execute: Callable[[Sequence[Decision]], None]
    retry_bodies: dict[str, Callable[[bytes], bytes]] = field(
        default_factory=dict[str, Callable[[bytes], bytes]]
    )

    async def collect(self, shard: Shard, path: Path, pause: Callable[[], Any]) -> None:
        """Read both files of a batch.

        Args:
            shard: The shard.
            path: Where a file is put while it is read.
            pause: Waits until more outcomes are welcome.

        Raises:
            APIError: A file cannot be downloaded.
            DatasetError: A file cannot be read or written.
        """
        keys: set[str] = set()
        broken: list[Failure] = []
        answers = 0
        for file_id in (shard.output_file_id, shard.error_file_id):
            if not file_id:  # null, or an empty string
                continue
            try:
                await self.client.files.content(file_id).write_to(path)
                with path.open("rb") as stream:
                    for number, raw in enumerate(stream, 1):
                        self._read(shard, raw, f"{file_id}, line {number}", keys, broken)
                        if not number % _SLICE:
                            await anyio.lowlevel.checkpoint()
                            await pause()
            except NotFoundError:
                self.execute(self.core.batches.on_gone(shard, self._now))
                return
            finally:
                if file_id == shard.output_file_id:
                    answers = len(keys) + len(broken)
                path.unlink(missing_ok=True)  # noqa: ASYNC240 - a file just read
        lines = len(keys) + len(broken)
        decisions = self.core.batches.on_files_read(
            shard, lines, self._now, answers=answers, broken=tuple(broken)
        )
        self.execute(decisions)

    @property
    def _now(self) -> float:
        return self.client.caller.clock.monotonic()

    def _read(
        self, shard: Shard, raw: bytes, place: str, keys: set[str], broken: list[Failure]
    ) -> None:
        raw = raw.removeprefix(_BOM).strip()
        if not raw:
            return
        data, _ = parse_body(raw)
        key = data.get("custom_id") if is_object(data) else None
        if isinstance(key, str | int):
            keys.add(str(key))
            self._take(shard, str(key), _convert_types(data))
            return
        failure = Failure("unreadable_result", f"{place} of {shard.batch_id} cannot be read")
        match = _CUSTOM_ID.search(raw)
        if match is None:
            broken.append(failure)
            return
        key = str(from_json(match[1]))
        keys.add(key)
        self._decide(shard, self._result(shard, {"custom_id": key}), None, failure)

    def _take(self, shard: Shard, key: str, data: dict[str, Any]) -> None:
        result = self._result(shard, data)
        response = data.get("response")
        body = response.get("body") if is_object(response) else None
        if not is_object(response) and not is_object(data.get("error")):
            message = str(data.get("error") or "the line holds neither a response nor an error")
            self._decide(shard, result, None, Failure("no_response", message), is_transient=True)
            return
        status = result.status or 0
        failure: Failure | None = None
        is_transient = False
        if data.get("error") and result.error is not None:
            failure = Failure(result.error.code, result.error.message)
            is_transient = failure.code in _NOT_DONE or _is_transient(
                status or _SERVER_ERROR, failure.code
            )
        elif problem := find_answer_error(result.endpoint.operation, status, body):
            failure = Failure(problem.code, problem.message)
            is_transient = _is_transient(problem.status, problem.code)
        else:
            result, failure, is_final = validate(self.validator, result, body)
            is_transient = failure is not None and not is_final
            if is_transient and failure is not None and len(self.retry_bodies) < _MAX_RETRY_BODIES:
                self._correct(key, body, failure)
        self._decide(shard, result, body, failure, is_transient=is_transient)

    def _correct(self, key: str, answer: Any, failure: Failure) -> None:
        if self.validator is not None:
            self.retry_bodies[key] = partial(
                self.validator.build_retry_body,
                answer=answer,
                problem=InvalidResponseError(failure.message),
            )

    def _decide(
        self,
        shard: Shard,
        result: Result,
        body: object,
        failure: Failure | None,
        *,
        is_transient: bool = False,
    ) -> None:
        key = result.key
        usage = parse_usage(body) if is_object(body) else None
        has_answer = failure is None or (is_object(body) and bool(body.get("choices")))
        if failure is not None:
            result = replace(result, error=RowError(failure.code, failure.message))
        is_paid = has_answer or failure is None or failure.code == "unreadable_result"
        self.results[key] = result
        decisions = self.core.batches.on_result(
            shard, key, usage, failure, is_transient=is_transient, is_paid=is_paid
        )
        if decisions and usage is not None:
            self.metrics.add_usage(usage)
        self.execute(decisions)
        self.results.pop(key, None)

    def _result(self, shard: Shard, data: dict[str, Any]) -> Result:
        position = self.index.get_position(str(data.get("custom_id")))
        line = position[1] if position else 0
        return Result.from_line(data, line=line, endpoint=endpoint_of(shard.kind.url))


def _convert_types(line: dict[str, Any]) -> dict[str, Any]:
    """Return a line with the documented types: no paid answer is lost to another one."""
    response: Any = line.get("response")
    if is_object(response):
        status, body = response.get("status_code"), response.get("body")
        if isinstance(status, str) and status.isdecimal():
            response["status_code"] = int(status)
        if isinstance(body, str):
            response["body"] = parse_body(body.encode())[0] or body
    return line | {"custom_id": str(line["custom_id"])}


def _is_transient(status: int, code: str) -> bool:
    return retry_delay(_ONCE, 1, status=status, code=code, now=0.0, random=0.0) is not None
