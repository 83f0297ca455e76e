# pyright: basic, reportMissingImports=false
"""Training of a job: a subclass of `transformers.Trainer` that writes to the job's folder."""

import math
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import torch
import transformers
from accelerate.data_loader import prepare_data_loader
from torch.utils.data import DataLoader

from tunesmith.service.engines.transformers.folder import JobFolder
from tunesmith.service.engines.transformers.job import InvalidJobError, TrainJob
from tunesmith.train.batches import Item, TokenBatch, micro_batches
from tunesmith.train.objectives import Example, Objective, Totals
from tunesmith.train.processes import Processes
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
            ddp_find_unused_parameters=False,
        )
        arguments._n_gpu = min(arguments.n_gpu, 1)  # noqa: SLF001 - more devices need more processes
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
        self.processes = Processes(arguments.device)
        transformers.set_seed(job.seed + self.processes.rank)  # samples differ between processes
        self.add_callback(_StepRecorder(self))
        self.remove_callback(transformers.PrinterCallback)

    def training_step(
        self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None
    ) -> torch.Tensor:
        """Compute the gradients of a step in micro-batches, whose sizes do not affect them."""
        del num_items_in_batch
        examples: list[Example] = inputs["examples"]
        self.n_tokens = sum(example.n_tokens for example in examples)
        total = torch.zeros((), device=self.args.device)
        self.totals = Totals()
        for loss in self._losses(model, examples, self.totals):
            # The gradients of all processes are averaged, but each has only its share of the sum.
            self.accelerator.backward(loss * self.processes.count)
            total += loss.detach()
        self.totals = self.processes.merge(self.totals)
        if not math.isfinite(self.processes.total(float(total))):
            raise self._divergence(f"the loss of step {self.state.global_step + 1} is not a number")
        return total

    def check_weights(self) -> None:
        """Check that the weights still compute numbers.

        Raises:
            InvalidJobError: They do not: the training has diverged.
        """
        examples: Any = self.train_dataset
        model: Any = self.model_wrapped
        ids = torch.tensor([examples[0].sequences[0].ids], device=self.args.device)
        with torch.no_grad():
            logits = model(input_ids=ids, use_cache=False).logits
        if not bool(logits.isfinite().all()):
            step = self.state.global_step
            raise self._divergence(f"the model's outputs after step {step} are not numbers")

    def _divergence(self, symptom: str) -> InvalidJobError:
        return InvalidJobError(
            f"the training diverged: {symptom}; lower the learning rate, now "
            f"{self.args.learning_rate:g}, by learning_rate or learning_rate_multiplier",
            "learning_rate",
        )

    def validate(self, examples: Sequence[Example]) -> dict[str, float | None]:
        """Return the metrics of the model on some examples."""
        totals = Totals()
        with torch.no_grad():
            for _ in self._losses(self.model_wrapped, examples, totals):
                pass
        return self.processes.merge(totals).metrics()

    def _losses(
        self, model: Any, examples: Sequence[Example], totals: Totals
    ) -> Iterator[torch.Tensor]:
        """Yield the loss of each micro-batch of this process's share.

        All processes compute equally many, since each waits for the gradients of the others; those
        of which there are none repeat one with the loss 0.
        """
        share = self.processes.share(examples)
        items = self.objective.prepare(
            self.model, share or examples[:1], totals if share else Totals()
        )
        weight = self.processes.total(self.objective.weight(items) if share else 0.0) or 1.0
        batches = list(self.split(items))
        # Dropout would make results depend on the layout of batches and the number of processes.
        model.eval()
        for index in range(int(self.processes.maximum(len(batches)))):
            is_own = bool(share) and index < len(batches)
            batch = batches[min(index, len(batches) - 1)]
            loss = self.objective.loss(model, batch, totals if is_own else Totals())
            yield loss * (is_own / weight)

    def get_train_dataloader(self) -> Any:
        """Return the rows of each step, which are the same in all processes."""
        examples: Any = self.train_dataset
        loader = DataLoader(
            examples,
            batch_size=self.job.batch_size,
            shuffle=True,
            collate_fn=self.data_collator,
        )
        return prepare_data_loader(
            loader,
            num_processes=1,
            process_index=0,
            use_seedable_sampler=True,
            data_seed=self.job.seed,
        )

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
            trainer.check_weights()
            self._checkpoints.add(step)
            control.should_training_stop |= self._is_stale(self._record["full_valid"])
        must_leave = bool(trainer.processes.maximum(trainer.must_leave))
        if must_leave and step < state.max_steps and not control.should_training_stop:
            control.should_training_stop = trainer.was_interrupted = True
        waited = time.monotonic() - self._saved_at >= trainer.job.options.save_every_s
        control.should_save = ends_epoch or must_leave or bool(trainer.processes.maximum(waited))
        if not control.should_save and trainer.processes.rank == 0:
            self._folder.append_step(self._record)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        del args, control
        self._saved_at = time.monotonic()
        self._trainer.accelerator.wait_for_everyone()
        if self._trainer.processes.rank:
            return
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
