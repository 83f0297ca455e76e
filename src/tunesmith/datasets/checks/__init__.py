"""Diagnoses: what is wrong with a dataset, one module a format, and what all formats share."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from tunesmith.datasets.checks.chat import ChatCheck
from tunesmith.datasets.checks.completions import CompletionsCheck
from tunesmith.datasets.checks.counts import count_findings
from tunesmith.datasets.checks.dpo import PreferenceCheck
from tunesmith.datasets.checks.overlap import overlap_findings
from tunesmith.datasets.checks.reading import reading_findings
from tunesmith.datasets.checks.reinforcement import ReinforcementCheck
from tunesmith.datasets.diagnosis import Check, Diagnosis
from tunesmith.datasets.rows import Chunk, Format
from tunesmith.datasets.threads import CancellationCheck, no_checkpoint

if TYPE_CHECKING:
    from tunesmith.datasets.dataset import Dataset

__all__ = ["diagnose"]

_CHECKS: dict[Format, Callable[[str | None], Check]] = {
    "completions": CompletionsCheck,
    "chat": ChatCheck,
    "dpo": PreferenceCheck,
    "reinforcement": ReinforcementCheck,
}


def diagnose(
    dataset: "Dataset",
    *,
    validation: "Dataset | None" = None,
    checks: Sequence[Check] = (),
    checkpoint: CancellationCheck = no_checkpoint,
) -> Diagnosis:
    """Find what is wrong with a dataset; blocks.

    The file is read once, and again only to say where what was found is. Memory stays flat.

    Args:
        dataset: The dataset.
        validation: The validation data: its rows should not be in `dataset`.
        checks: Further checks of your own.
        checkpoint: Called between chunks; may raise to stop.

    Raises:
        DatasetError: The file cannot be read or used.

    Example:
        ```python
        diagnosis = diagnose(Dataset.open("kant.csv"))
        ```
    """

    def source() -> Iterator[Chunk]:
        for chunk in dataset.chunks():
            checkpoint()
            yield chunk

    log = dataset.new_read_log()
    rows = 0
    data_format = dataset.format()
    own = _CHECKS[data_format](dataset.file)
    for chunk in dataset.chunks(log):
        checkpoint()
        rows += len(chunk)
        own.update(chunk)
        for check in checks:
            check.update(chunk)
    findings = [*count_findings(rows, dataset.file), *reading_findings(log)]
    for check in (own, *checks):
        findings += check.findings(source)
    if validation is not None:
        findings += overlap_findings(source, validation.chunks, dataset.file)
    return Diagnosis(
        source=dataset.chunks,
        file=dataset.file,
        format=data_format,
        task=own.task if isinstance(own, CompletionsCheck) else None,
        rows=rows,
        findings=tuple(findings),
    )
