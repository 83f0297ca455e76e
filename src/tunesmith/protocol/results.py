"""Parsing of result files: CSV, which newer services encode in base64."""

import base64
import binascii
import csv
import io
from collections.abc import Mapping

from tunesmith.errors import InvalidResponseError
from tunesmith.types.results import StepMetrics

__all__ = ["parse_results"]

# Column names differ between services and versions; the first that exists is used.
_TRAIN_LOSS = ("train_loss", "training_loss")
_TRAIN_ACCURACY = ("train_accuracy", "train_mean_token_accuracy", "training_token_accuracy")
_VALID_LOSS = ("valid_loss", "validation_loss")
_VALID_ACCURACY = ("valid_mean_token_accuracy", "valid_accuracy", "validation_token_accuracy")


def parse_results(content: bytes) -> tuple[StepMetrics, ...]:
    r"""Parse a result file.

    Args:
        content: CSV with a column `step`, plain or in base64.

    Raises:
        InvalidResponseError: The content has another format.

    Example:
        ```python
        from tunesmith.protocol.results import parse_results

        (step,) = parse_results(b"step,train_loss,train_accuracy\n1,0.5,\n")
        assert step.train_loss == 0.5
        assert step.train_accuracy is None
        ```
    """
    text = _decode_base64(content).decode("utf-8-sig", "replace")
    rows = csv.DictReader(io.StringIO(text, newline=""))
    if "step" not in (rows.fieldnames or ()):
        raise InvalidResponseError(
            "the result file must be CSV with a column 'step'", excerpt=text[:200]
        )
    return tuple(_metrics({k: v for k, v in row.items() if k and v}) for row in rows if row["step"])


def _decode_base64(content: bytes) -> bytes:
    if content.startswith(b"step"):  # a lone column could be base64
        return content
    try:
        return base64.b64decode(b"".join(content.split()), validate=True)
    except binascii.Error:
        return content


def _metrics(row: Mapping[str, str]) -> StepMetrics:
    try:
        return StepMetrics(
            step=int(float(row["step"])),
            train_loss=_number(row, _TRAIN_LOSS),
            train_accuracy=_number(row, _TRAIN_ACCURACY),
            valid_loss=_number(row, _VALID_LOSS),
            valid_accuracy=_number(row, _VALID_ACCURACY),
            columns=row,
        )
    except ValueError as error:
        raise InvalidResponseError(
            f"invalid number in the result file: {error}", excerpt=str(row)
        ) from None


def _number(row: Mapping[str, str], names: tuple[str, ...]) -> float | None:
    return next((float(row[name]) for name in names if name in row), None)
