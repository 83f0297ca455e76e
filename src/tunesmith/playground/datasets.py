"""Training data of the page: findings, the repairs to accept, a preview, and the upload."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import anyio.to_thread

from tunesmith.client import AsyncClient
from tunesmith.datasets import Check, Dataset, Diagnosis, Finding, Format, Plan, diagnose, write
from tunesmith.datasets.checks.model import checks_for_model
from tunesmith.datasets.tokens import default_counter, segments
from tunesmith.errors import DatasetError
from tunesmith.known_models import find_model
from tunesmith.service.engines.base import EngineError

__all__ = ["DatasetRequest", "inspect_dataset", "upload_dataset"]

_PREVIEW_ROWS = 20
_PREVIEW_CHARS = 2000
_PREVIEW_TOKENS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetRequest:
    """Choices of the page about training data.

    Args:
        path: The file.
        model: The model to train; None if it is not chosen yet.
        target_format: The format to convert to; None for the one that the model is trained on.
        declined: Codes of the findings whose fixes are not applied.
        split: The share of rows for validation; None for none.
    """

    path: Path
    model: str | None = None
    target_format: Format | None = None
    declined: Collection[str] = ()
    split: float | None = None


@runtime_checkable
class _TokenModel(Protocol):
    """Model that splits rows into the tokens that it is trained on."""

    def learned_tokens(
        self, row: Mapping[str, Any], format: Format, /
    ) -> Sequence[Sequence[tuple[str, bool]]]: ...


async def inspect_dataset(request: DatasetRequest, model: object = None) -> dict[str, Any]:
    """Return the findings, with a preview of the rows as they will be trained on.

    Args:
        request: The choices of the page.
        model: The model; if it has `learned_tokens`, the preview has its tokens.

    Raises:
        DatasetError: The file cannot be read or used.
    """
    return await anyio.to_thread.run_sync(partial(_inspect, request, model))


async def upload_dataset(request: DatasetRequest, client: AsyncClient) -> dict[str, Any]:
    """Apply the fixes, and upload the result; return the IDs of the files.

    Raises:
        DatasetError: The file cannot be read or used.
        APIError: The upload failed.
    """
    output = request.path.with_name(f"{request.path.stem}_prepared.jsonl")
    prepare = partial(_write, request, output)
    written = await anyio.to_thread.run_sync(prepare)
    uploaded = [await client.files.upload(path) for path in written.files or (request.path,)]
    return {
        "training_file": uploaded[0].id,
        "validation_file": uploaded[1].id if len(uploaded) > 1 else None,
        "rows": list(written.rows),
        "stop": written.ending,
        "separator": written.separator,
    }


def _write(request: DatasetRequest, output: Path) -> Any:
    plan = _plan(_diagnose(request), request)
    written = write(plan, output if plan.has_changes else None, split=request.split)
    if written.errors:
        raise DatasetError(" ".join(error.message for error in written.errors))
    return written


def _diagnose(request: DatasetRequest) -> Diagnosis:
    def diagnose_as(target: Format | None) -> Diagnosis:
        dataset = Dataset.open(request.path, target_format=target, on_broken="skip")
        checks: list[Check] = []
        if request.model and find_model(request.model):  # the service knows others itself
            counter = default_counter(request.model)
            checks = checks_for_model(request.model, dataset.format(), counter, dataset.file)
        return diagnose(dataset, checks=checks)

    if request.target_format:
        return diagnose_as(request.target_format)
    diagnosis = diagnose_as(None)
    target = _format_of(request.model, diagnosis.format)
    return diagnosis if target == diagnosis.format else diagnose_as(target)


def _format_of(model: str | None, current: Format) -> Format:
    """Return the format to convert to, so that the model can be trained on it."""
    known = find_model(model or "")
    if known is None or current not in {"chat", "completions"}:
        return current
    return "completions" if known.completes_only else "chat"


def _plan(diagnosis: Diagnosis, request: DatasetRequest) -> Plan:
    return diagnosis.plan(lambda finding: finding.code not in request.declined)


def _inspect(request: DatasetRequest, model: object) -> dict[str, Any]:
    diagnosis = _diagnose(request)
    plan = _plan(diagnosis, request)
    counter = default_counter(request.model)
    result: dict[str, Any] = {
        "format": diagnosis.format,
        "source_format": diagnosis.source_format,
        "task": diagnosis.task,
        "rows": diagnosis.rows,
        "mapping": dict(diagnosis.mapping),
        "findings": [_to_dict(finding, plan) for finding in diagnosis.findings],
        "usable": not plan.fatal,
        "preview": [],
        "tokens": None,
    }
    if not plan.fatal:
        total = trained = rows = 0
        for chunk in plan.transformed_chunks()():
            if not result["preview"]:
                result["preview"] = [
                    {
                        "line": row.line,
                        "segments": _preview(row.data),
                        "tokens": _tokens(row.data, diagnosis.format, model),
                    }
                    for row in islice(chunk, _PREVIEW_ROWS)
                ]
            rows += len(chunk)
            for tokens in counter.rows(chunk):
                total, trained = total + tokens.total, trained + tokens.trained
        result["rows_after"] = rows
        result["tokens"] = {"total": total, "trained": trained, "exact": counter.exact}
    return result


def _preview(data: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {**segment._asdict(), "text": segment.text[:_PREVIEW_CHARS]} for segment in segments(data)
    ]


def _tokens(
    data: dict[str, Any], format: Format, model: object
) -> Sequence[Sequence[tuple[str, bool]]] | None:
    """Return the tokens of each sequence of a row; None if the model cannot split it."""
    if not isinstance(model, _TokenModel):
        return None
    try:
        return [tokens[:_PREVIEW_TOKENS] for tokens in model.learned_tokens(data, format)]
    except EngineError:
        return None  # the findings name the rows that cannot be learnt


def _to_dict(finding: Finding, plan: Plan) -> Mapping[str, Any]:
    return {
        "code": finding.code,
        "severity": finding.severity,
        "message": finding.message,
        "lines": finding.lines,
        "count": finding.count,
        "field": finding.field,
        "excerpt": finding.excerpt,
        "fix": finding.fix.description if finding.fix else None,
        "status": plan.status_of(finding),
    }
