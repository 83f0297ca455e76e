# pyright: basic, reportMissingImports=false
"""Training of a folder from its beginning, or from its newest whole checkpoint."""

import json
import signal
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import transformers

from tunesmith.service.engines.transformers.folder import JobFolder
from tunesmith.service.engines.transformers.job import InvalidJobError, TrainJob, count_parameters
from tunesmith.service.engines.transformers.rows import InvalidRowError, encode_row
from tunesmith.service.engines.transformers.tokenizer import ModelTokenizer
from tunesmith.train.objectives import Example, Objective, Preference, Supervised
from tunesmith.train.processes import Processes
from tunesmith.train.trainer import JobTrainer
from tunesmith.train.weights import choose_device, load_for_training

__all__ = ["train_folder"]

_DEFAULT_CONTEXT_WINDOW = 2048


def train_folder(path: Path) -> bool:
    """Train the job of a folder, and write its steps, checkpoints and end.

    SIGTERM ends the training after the step in progress, with a checkpoint. Called again, it
    continues from the newest whole checkpoint, to the same weights.

    Args:
        path: The folder.

    Returns:
        Whether the training is finished; False after SIGTERM.

    Raises:
        InvalidJobError: The job is invalid.
        OSError: A file cannot be read or written.
    """
    folder = JobFolder(path)
    if folder.end.exists():
        return True
    device = choose_device()
    is_first = Processes(device).rank == 0
    if is_first:
        folder.truncate_torn_step()
        folder.delete_partial_checkpoints()
    job = TrainJob.read(folder.job)
    tokenizer = ModelTokenizer(Path(job.base))
    rows = list(folder.rows(folder.train))
    if not rows:
        raise InvalidJobError(f"{folder.train} has no rows", "train")
    job = job.resolve(len(rows), context_window(Path(job.base)), count_parameters(Path(job.base)))
    train = _encode(rows, folder.train, job, tokenizer)
    validation = _encode(list(folder.rows(folder.validation)), folder.validation, job, tokenizer)
    transformers.set_seed(job.seed)
    transformers.logging.set_verbosity_error()
    model = load_for_training(job, device)
    objective = _create_objective(job, tokenizer)
    trainer = JobTrainer(job, folder, model, objective, train, validation, device)
    objective.begin(trainer.model, [*train, *validation], trainer.split)

    def leave(number: int, frame: FrameType | None) -> None:
        del number, frame
        trainer.must_leave = True

    previous = signal.signal(signal.SIGTERM, leave)
    try:
        newest = folder.checkpoints()[-1:]
        trainer.train(resume_from_checkpoint=str(folder.checkpoint(newest[0])) if newest else None)
    finally:
        signal.signal(signal.SIGTERM, previous)
    is_finished = not trainer.was_interrupted
    if is_finished and is_first:
        folder.write_end(None)
    return is_finished


def context_window(base: Path) -> int:
    """Return the maximum number of tokens of a model."""
    config = json.loads((base / "config.json").read_text("utf-8"))
    config = config.get("text_config", config)
    return int(config.get("max_position_embeddings") or _DEFAULT_CONTEXT_WINDOW)


def _create_objective(job: TrainJob, tokenizer: ModelTokenizer) -> Objective:
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
    )


def _encode(
    rows: Sequence[dict[str, object]], path: Path, job: TrainJob, tokenizer: ModelTokenizer
) -> list[Example]:
    examples: list[Example] = []
    for number, row in enumerate(rows, 1):
        try:
            sequences = encode_row(
                row,
                job.format,
                tokenizer,
                max_length=job.options.max_length or _DEFAULT_CONTEXT_WINDOW,
                prompt_loss_weight=job.prompt_loss_weight,
            )
        except InvalidRowError as error:
            raise InvalidJobError(f"{path}: example {number} {error}", path.stem) from error
        examples.append(Example(row, sequences))
    return examples
