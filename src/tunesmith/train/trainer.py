# pyright: basic, reportMissingImports=false
"""Training of a job: a subclass of `transformers.Trainer` that writes to the job's folder."""

import time
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import torch
import transformers

from tunesmith.service.engines.transformers.folder import JobFolder
from tunesmith.service.engines.transformers.job import TrainJob
from tunesmith.train.batches import Item, TokenBatch, micro_batches
from tunesmith.train.objectives import Example, Objective, Totals
from tunesmith.train.weights import choose_dtype

__all__ = ["JobTrainer"]

_VALIDATIONS_PER_EPOCH = 4


class JobTrainer(transformers.Trainer):
    """Trainer of one job.

    Loop, optimizer, clipping, schedules and the state of checkpoints are the library's; data,
    losses and metrics are those of the job.

    Args:
        job: The job, resolved.
        folder: Its folder.
        model: The model, with its adapter.
        objective: Training method.
        train: Training examples.
        validation: Validation examples.
        device: Device of the training.
    """

    def __init__(
        self,
        job: TrainJob,
        folder: JobFolder,
        model: Any,
        objective: Objective,
        train: Sequence[Example],
        validation: Sequence[Example],
        device: torch.device,
    ) -> None:
        options = job.options
        total_steps = job.total_steps(len(train))
        uses_bf16 = choose_dtype(options.dtype, device) == torch.bfloat16
        arguments = transformers.TrainingArguments(
            output_dir=str(folder.path),
            num_train_epochs=job.n_epochs or 1,
            per_device_train_batch_size=job.batch_size or 1,
            learning_rate=(options.learning_rate or 0.0) * job.learning_rate_multiplier,
            lr_scheduler_type=options.lr_scheduler,
            warmup_steps=round(options.warmup * total_steps),
            max_grad_norm=options.max_grad_norm,
            weight_decay=options.weight_decay,
            bf16=uses_bf16 and (options.full or device.type != "cpu"),
            use_cpu=device.type == "cpu",
            seed=job.seed,
            data_seed=job.seed,
            logging_strategy="no",
            logging_nan_inf_filter=False,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            remove_unused_columns=False,
            dataloader_pin_memory=False,
        )
        super().__init__(
            model=model,
            args=arguments,
            train_dataset=train,
            data_collator=lambda examples: {"examples": examples},
        )
        self.job = job
        self.folder = folder
        self.objective = objective
        self.n_rows = len(train)
        self.validation = validation
        self.totals = Totals()
        self.n_tokens = 0
        self.must_leave = False
        self.was_interrupted = False
        self.add_callback(_StepRecorder(self))
        self.remove_callback(transformers.PrinterCallback)

    def training_step(
        self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None
    ) -> torch.Tensor:
        """Compute the gradients of a step in micro-batches, whose sizes do not affect them."""
        del num_items_in_batch
        examples: list[Example] = inputs["examples"]
        self.totals = Totals()
        self.n_tokens = sum(example.n_tokens for example in examples)
        items = self.objective.prepare(model, examples, self.totals)
        weight = self.objective.weight(items) or 1.0
        total = torch.zeros((), device=self.args.device)
        model.train()
        for batch in self.split(items):
            loss = self.objective.loss(model, batch, self.totals) / weight
            self.accelerator.backward(loss)
            total += loss.detach()
        return total

    def validate(self, examples: Sequence[Example]) -> dict[str, float | None]:
        """Return the metrics of the model on some examples."""
        totals = Totals()
        model: Any = self.model
        model.eval()
        with torch.no_grad():
            items = self.objective.prepare(model, examples, totals)
            for batch in self.split(items):
                self.objective.loss(self.model_wrapped, batch, totals)
        return totals.metrics()

    def floating_point_ops(self, inputs: Any) -> int:
        """Return 0: the number is not used."""
        del inputs
        return 0

    def split(self, items: Sequence[Item]) -> Iterator[TokenBatch]:
        """Split items into batches that are computed one after the other."""
        return micro_batches(
            items,
            max_tokens=self.job.options.micro_batch_tokens,
            packing=self.job.options.packing,
            device=self.args.device,
        )


class _StepRecorder(transformers.TrainerCallback):
    """Callback that records each step, decides when to save and when to stop.

    Args:
        trainer: The trainer.
    """

    def __init__(self, trainer: JobTrainer) -> None:
        self._trainer = trainer
        self._folder = trainer.folder
        self._progress: dict[str, Any] = {"tokens": 0, "examples": 0, "best": None, "bad_epochs": 0}
        self._checkpoints: set[int] = set()
        self._record: dict[str, Any] = {}
        self._saved_at = time.monotonic()

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        del args, control
        steps = self._folder.checkpoints()
        if state.global_step and state.global_step in steps:
            self._progress = self._folder.progress(state.global_step)
            self._checkpoints = set(self._progress["checkpoints"])

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        del args
        trainer, progress = self._trainer, self._progress
        n_rows, step = trainer.n_rows, state.global_step
        per_epoch = state.max_steps // (trainer.job.n_epochs or 1)
        epoch, step_in_epoch = (step - 1) // per_epoch + 1, (step - 1) % per_epoch + 1
        ends_epoch = step_in_epoch == per_epoch
        progress["tokens"] += trainer.n_tokens
        progress["examples"] = (epoch - 1) * n_rows + min(
            step_in_epoch * (trainer.job.batch_size or 1), n_rows
        )
        self._record = {
            "step": step,
            "epoch": epoch,
            "elapsed_tokens": progress["tokens"],
            "elapsed_examples": progress["examples"],
            "train": trainer.totals.metrics(),
            "valid": self._validate_batch(step) if _is_due(step_in_epoch, per_epoch) else None,
            "full_valid": trainer.validate(trainer.validation)
            if ends_epoch and trainer.validation
            else None,
            "is_checkpoint": ends_epoch,
        }
        if ends_epoch:
            self._checkpoints.add(step)
            control.should_training_stop |= self._is_stale(self._record["full_valid"])
        if trainer.must_leave and step < state.max_steps and not control.should_training_stop:
            control.should_training_stop = trainer.was_interrupted = True
        waited = time.monotonic() - self._saved_at >= trainer.job.options.save_every_s
        control.should_save = ends_epoch or trainer.must_leave or waited
        if not control.should_save:
            self._folder.append_step(self._record)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        del args, control
        self._saved_at = time.monotonic()
        # A step that is recorded twice does no harm, one that is never recorded does.
        self._folder.append_step(self._record)
        self._progress["checkpoints"] = sorted(self._checkpoints)
        self._folder.mark_whole(state.global_step, self._progress)
        self._folder.delete_old_checkpoints(self._checkpoints)

    def _validate_batch(self, step: int) -> dict[str, float | None] | None:
        examples, size = self._trainer.validation, self._trainer.job.batch_size or 1
        if not examples:
            return None
        start = step * size % len(examples)
        return self._trainer.validate(list(islice([*examples[start:], *examples], size)))

    def _is_stale(self, metrics: dict[str, float | None] | None) -> bool:
        """Return whether validation has stopped improving; only asked at the end of an epoch."""
        patience = self._trainer.job.options.early_stopping_patience
        if metrics is None or patience is None:
            return False
        loss, progress = metrics["loss"], self._progress
        if progress["best"] is None or (loss is not None and loss < progress["best"]):
            progress.update(best=loss, bad_epochs=0)
        else:
            progress["bad_epochs"] += 1
        return bool(progress["bad_epochs"] >= patience)


def _is_due(step_in_epoch: int, per_epoch: int) -> bool:
    """Return whether a validation batch is due: four times an epoch."""
    return step_in_epoch % max(per_epoch // _VALIDATIONS_PER_EPOCH, 1) == 0
