# pyright: basic, reportMissingImports=false
"""Training of a folder from its beginning, or from its newest whole checkpoint."""

import signal
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import transformers

from tunesmith.service.engines.transformers.folder import JobFolder
from tunesmith.service.engines.transformers.job import InvalidJobError, TrainJob
from tunesmith.service.engines.transformers.model_files import ModelConfig, count_parameters
from tunesmith.service.engines.transformers.rows import InvalidRowError, encode_row
from tunesmith.service.engines.transformers.tokenizer import ModelTokenizer, TokenizerError
from tunesmith.train.batches import can_pack
from tunesmith.train.objectives import Example, Objective, Preference, Supervised
from tunesmith.train.processes import Processes
from tunesmith.train.trainer import JobTrainer
from tunesmith.train.weights import check_tokens, choose_device, load_for_training
from tunesmith.training_rules import RULES, inspect_row

__all__ = ["train_folder"]


_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def train_folder(path: Path) -> bool:
    """Train the job of a folder, and write its steps, checkpoints and end.

    SIGTERM and SIGINT end the training after the step in progress, with a checkpoint. Called again,
    it continues from the newest whole checkpoint, to the same weights.

    Args:
        path: The folder.

    Returns:
        Whether the training is finished; False after a signal.

    Raises:
        InvalidJobError: The job is invalid, or its training diverges.
        OSError: A file cannot be read or written.
    """
    folder = JobFolder(path)
    if folder.end.exists() and folder.read_end() is None:
        return True
    device = choose_device()
    is_first = Processes(device).rank == 0
    if is_first:
        folder.end.unlink(missing_ok=True)  # what failed before may have been mended
        folder.truncate_torn_step()
        folder.delete_partial_checkpoints()
    job, tokenizer, window = _read_job(folder)
    rows, validation_rows = folder.read_rows(folder.train), folder.read_rows(folder.validation)
    if not rows:
        raise InvalidJobError(f"{folder.train} has no rows", "train")
    n_parameters = count_parameters(Path(job.base))
    job = job.resolve(len(rows), window, n_parameters, n_validation=len(validation_rows))
    train = _encode(rows, folder.train, job, tokenizer)
    validation = _encode(validation_rows, folder.validation, job, tokenizer)
    transformers.set_seed(job.seed)
    transformers.logging.set_verbosity_error()
    model = load_for_training(job, device)
    _check_vocabulary(model, train, folder.train)
    _check_vocabulary(model, validation, folder.validation)
    objective = _create_objective(job, tokenizer, window)
    trainer = JobTrainer(job, folder, model, objective, train, validation, device)
    if job.options.packing and not can_pack(model.to(device), device):
        kind = model.config.model_type
        raise InvalidJobError(f"models of the type {kind!r} do not support 'packing'", "packing")
    objective.begin(trainer.model, [*train, *validation], trainer.split)

    def leave(number: int, frame: FrameType | None) -> None:
        del number, frame
        trainer.must_leave = True

    previous = {number: signal.signal(number, leave) for number in _SIGNALS}
    try:
        newest = folder.checkpoints()[-1:]
        trainer.train(resume_from_checkpoint=str(folder.checkpoint(newest[0])) if newest else None)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    is_finished = not trainer.was_interrupted
    if is_finished and is_first:
        folder.write_end(None)
    return is_finished


def _read_job(folder: JobFolder) -> tuple[TrainJob, ModelTokenizer, int]:
    """Return a job with the tokenizer and the context window of its base model."""
    job = TrainJob.read(folder.job)
    for key, name in (("base", "config.json"), ("adapter", "adapter_config.json")):
        value = getattr(job, key)
        if value is not None and not (Path(value) / name).exists():
            raise InvalidJobError(f"{key!r}: {value} has no {name}; was the model deleted?", key)
    try:
        tokenizer = ModelTokenizer(Path(job.base))
        tokenizer.end_of_text  # noqa: B018 - raises if there is none
        return job, tokenizer, ModelConfig(Path(job.base)).context_window
    except TokenizerError as error:
        raise InvalidJobError(str(error), "base") from error


def _check_vocabulary(model: Any, examples: Sequence[Example], path: Path) -> None:
    for number, example in enumerate(examples, 1):
        try:
            for sequence in example.sequences:
                check_tokens(sequence.ids, model)
        except ValueError as error:
            raise InvalidJobError(f"{path}: example {number}: {error}", path.stem) from error


def _create_objective(job: TrainJob, tokenizer: ModelTokenizer, window: int) -> Objective:
    if job.format == "dpo":
        return Preference(job.beta)
    if job.format != "reinforcement":
        return Supervised()
    if job.grader is None:
        raise InvalidJobError("a job with format 'reinforcement' needs a 'grader'", "grader")
    from tunesmith.train.reinforcement import Reinforcement  # noqa: PLC0415 - loads the graders

    options = job.options
    return Reinforcement(
        job.grader,
        tokenizer,
        n_samples=options.n_samples,
        max_tokens=options.max_sample_tokens,
        context_window=window,
    )


def _encode(
    rows: Sequence[dict[str, object]], path: Path, job: TrainJob, tokenizer: ModelTokenizer
) -> list[Example]:
    examples: list[Example] = []
    for number, row in enumerate(rows, 1):
        problem = next(iter(inspect_row(row, job.format)), None)
        if problem is not None:
            raise InvalidJobError(
                f"{path}: example {number}, {problem.path or 'the row'}: "
                f"{RULES[problem.code].message}",
                path.stem,
            )
        try:
            sequences = encode_row(
                row,
                job.format,
                tokenizer,
                max_length=job.options.max_length or 0,
                prompt_loss_weight=job.prompt_loss_weight,
            )
        except InvalidRowError as error:
            raise InvalidJobError(f"{path}: example {number} {error}", path.stem) from error
        examples.append(Example(row, sequences))
    return examples
