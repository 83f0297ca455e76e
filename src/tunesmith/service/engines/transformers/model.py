"""Models of the engine: a base model with or without an adapter."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from anyio.to_thread import run_sync

from tunesmith._atomic import atomic_write
from tunesmith.service.engines.base import EngineError
from tunesmith.service.engines.generation import GenerationSpec, ScoredToken
from tunesmith.service.engines.token_generation import scored_token
from tunesmith.service.engines.training import (
    Hyperparameters,
    InvalidExampleError,
    Row,
    TrainingSpec,
)
from tunesmith.service.engines.transformers.chat_template import ChatTemplateError
from tunesmith.service.engines.transformers.folder import JobFolder
from tunesmith.service.engines.transformers.folder_run import FolderTrainingRun
from tunesmith.service.engines.transformers.generation import SamplerGeneration
from tunesmith.service.engines.transformers.hub import check_hub_commit, find_hub_commit
from tunesmith.service.engines.transformers.job import (
    ADAPTER_OPTIONS,
    InvalidJobError,
    TrainJob,
    TrainOptions,
)
from tunesmith.service.engines.transformers.model_files import count_parameters
from tunesmith.service.engines.transformers.rows import InvalidRowError, encode_row
from tunesmith.service.engines.transformers.sampler import Sampler
from tunesmith.service.engines.transformers.tokenizer import ModelTokenizer
from tunesmith.service.engines.transformers.tool_calls.grammar import write_grammar
from tunesmith.service.engines.transformers.tool_calls.reader import CallReader
from tunesmith.training_rules import Format

__all__ = ["BaseModel", "EngineTokenizer", "TransformersModel"]


@dataclass(frozen=True, slots=True)
class BaseModel:
    """Base model.

    Args:
        folder: Its folder.
        tokenizer: Its tokenizer.
        context_window: Maximum number of tokens.
        dimensions: Number of dimensions of hidden states.
    """

    folder: Path
    tokenizer: ModelTokenizer
    context_window: int
    dimensions: int | None


class Processes(Protocol):
    """Processes of an engine."""

    def sampler(self, folder: Path, /) -> Sampler:
        """Return the sampler of a base model."""
        ...

    def follow(
        self, folder: Path, hyperparameters: Hyperparameters, total_steps: int, base: Path, /
    ) -> FolderTrainingRun:
        """Return the training of a folder."""
        ...


class EngineTokenizer:
    """Tokenizer of a model, with the errors of engines.

    Args:
        inner: The tokenizer.
    """

    def __init__(self, inner: ModelTokenizer) -> None:
        self.bos_token_id = inner.bos_token_id
        self.stop_ids = inner.stop_ids
        self.encode = inner.encode
        self.token_bytes = inner.token_bytes
        self._inner = inner

    def decode(self, tokens: Sequence[int], /) -> str:
        """Join token ids to a text.

        Raises:
            ValueError: An id is not in the vocabulary.
        """
        if not all(token in self._inner for token in tokens):
            raise ValueError("a token id is not in the vocabulary")
        return self._inner.decode(tokens)

    def encode_chat(
        self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] = (), /
    ) -> list[int]:
        """Return the prompt of the assistant's next turn in a conversation.

        Raises:
            EngineError: The chat template does not support the messages.
        """
        try:
            return _begin_text(self._inner, self._inner.encode_chat(messages, tools))
        except ChatTemplateError as error:
            raise EngineError(str(error), "messages") from error


class TransformersModel:
    """Handle of weights, which a sampler loads when they are used first.

    Args:
        processes: Processes of the engine.
        base: The base model.
        adapter: Folder of an adapter on it, if any.
    """

    def __init__(self, processes: Processes, base: BaseModel, adapter: Path | None = None) -> None:
        self.tokenizer = EngineTokenizer(base.tokenizer)
        self._processes = processes
        self._base = base
        self._adapter = None if adapter is None else str(adapter.resolve())

    def generate(self, prompt: Sequence[int], spec: GenerationSpec, /) -> SamplerGeneration:
        """Complete a prompt of token ids.

        Raises:
            EngineError: A JSON schema has a feature that is not supported.
        """
        prompt = _begin_text(self._base.tokenizer, prompt)
        rest = self._base.context_window - len(prompt)
        values = {
            "prompt": prompt,
            "adapter": self._adapter,
            "max_tokens": rest if spec.max_tokens is None else min(spec.max_tokens, rest),
            "temperature": spec.temperature,
            "top_p": spec.top_p,
            "top_logprobs": spec.top_logprobs,
            "logit_bias": spec.logit_bias,
            "frequency_penalty": spec.frequency_penalty,
            "presence_penalty": spec.presence_penalty,
            "seed": spec.seed_number,
            "grammar": self._grammar(spec),
        }
        sampler = self._processes.sampler(self._base.folder)
        reader = self._call_reader(spec)
        return SamplerGeneration(sampler, self._base.tokenizer, values, spec.stop, reader)

    def _grammar(self, spec: GenerationSpec) -> str | None:
        tokenizer = self._base.tokenizer
        call_format = None if spec.tool_calls is None else tokenizer.tool_call_format
        special_ids = tokenizer.special_ids - tokenizer.stop_ids
        return write_grammar(spec, call_format, tokenizer.split_special, special_ids)

    def _call_reader(self, spec: GenerationSpec) -> CallReader | None:
        calls, tokenizer = spec.tool_calls, self._base.tokenizer
        call_format = tokenizer.tool_call_format if calls and calls.functions else None
        return CallReader(call_format, calls.functions) if calls and call_format else None

    async def score(self, tokens: Sequence[int], /, *, top_logprobs: int = 0) -> list[ScoredToken]:
        """Return the log-probability of each token after those before it."""
        if not tokens or self._base.tokenizer.prefix_ids:
            return await self._score([*self._base.tokenizer.prefix_ids, *tokens], top_logprobs)
        # Without a token that begins each text, the first one is scored after the empty prompt.
        first = await self._score([self.tokenizer.bos_token_id, tokens[0]], top_logprobs)
        return first + await self._score(tokens, top_logprobs)

    async def _score(self, tokens: Sequence[int], top_logprobs: int) -> list[ScoredToken]:
        """Return the log-probability of each token but the first."""
        values = {"adapter": self._adapter, "top_logprobs": top_logprobs, "tokens": list(tokens)}
        scored = await self._call("score", values)
        return [scored_token(self._base.tokenizer, token) for token in scored]

    async def _call(self, operation: str, values: Mapping[str, Any]) -> list[Any]:
        """Return the whole response of the sampler to a request."""
        sampler = self._processes.sampler(self._base.folder)
        request = sampler.send(operation, values)
        try:
            while request.end is None:
                await sampler.wait(request)
        finally:
            sampler.forget(request)
        return list(request.tokens)

    async def embed(self, text: str, /, *, dimensions: int) -> list[float]:
        """Return the mean of the last hidden states, cut to some dimensions, as a unit vector."""
        prompt = _begin_text(self._base.tokenizer, self.tokenizer.encode(text))
        values = {"adapter": self._adapter, "tokens": prompt[: self._base.context_window]}
        vector = (await self._call("embed", values))[:dimensions]
        length = math.hypot(*vector) or 1.0
        return [value / length for value in vector]

    async def train(self, spec: TrainingSpec, folder: Path, /) -> FolderTrainingRun:
        """Validate the data and write the job's folder, without starting the training.

        Raises:
            EngineError: The model cannot be trained in this way.
            InvalidExampleError: A row cannot be learnt.
        """
        return await run_sync(self._prepare, spec, folder)

    def _prepare(self, spec: TrainingSpec, folder: Path) -> FolderTrainingRun:
        options = TrainOptions.parse(spec.options)
        if self._adapter is not None and not options.full:
            options = _with_shape(options, spec.options, Path(self._adapter))
        base, n_rows = self._base, len(spec.examples)
        job = TrainJob(
            base=str(base.folder),
            adapter=self._adapter,
            format=spec.format,
            n_epochs=spec.n_epochs,
            batch_size=spec.batch_size,
            learning_rate_multiplier=spec.learning_rate_multiplier or 1.0,
            prompt_loss_weight=spec.prompt_loss_weight,
            beta=spec.beta,
            grader=spec.grader,
            seed=spec.seed % 2**32,
            options=options,
        )
        n_parameters, n_validation = count_parameters(base.folder), len(spec.validation)
        try:
            job = job.resolve(n_rows, base.context_window, n_parameters, n_validation=n_validation)
        except InvalidJobError as error:
            raise EngineError(error.message, f"tunesmith.{error.param}") from error
        job_folder = JobFolder(folder)
        folder.mkdir(parents=True, exist_ok=True)
        if job_folder.job.exists():  # the job continues after a restart
            previous = Path(TrainJob.read(job_folder.job).base)
            check_hub_commit(base.folder, find_hub_commit(previous))
        self._write_rows(job, spec.examples, job_folder.train)
        self._write_rows(job, spec.validation, job_folder.validation, is_validation=True)
        job.write(job_folder.job)
        hyperparameters = Hyperparameters(
            n_epochs=job.n_epochs or 1,
            batch_size=job.batch_size or 1,
            learning_rate_multiplier=job.learning_rate_multiplier,
            options=asdict(job.options),
        )
        return self._processes.follow(folder, hyperparameters, job.total_steps(n_rows), base.folder)

    def _write_rows(
        self, job: TrainJob, rows: Iterable[Row], path: Path, *, is_validation: bool = False
    ) -> None:
        with atomic_write(path) as part, part.open("w", encoding="utf-8") as file:
            for number, row in enumerate(rows, 1):
                try:
                    encode_row(
                        row,
                        job.format,
                        self._base.tokenizer,
                        max_length=job.options.max_length or self._base.context_window,
                        prompt_loss_weight=job.prompt_loss_weight,
                    )
                except InvalidRowError as error:
                    raise InvalidExampleError(
                        str(error), number, is_validation=is_validation
                    ) from error
                file.write(json.dumps(row) + "\n")

    def learned_tokens(self, row: Row, format: Format, /) -> list[list[tuple[str, bool]]]:
        """Return the tokens of the sequences of a row, and whether each is learnt.

        Args:
            row: A row that is valid by the rules of its format.
            format: The format.

        Raises:
            EngineError: The row cannot be learnt.
        """
        tokenizer = self._base.tokenizer
        try:
            sequences = encode_row(row, format, tokenizer, max_length=self._base.context_window)
        except InvalidRowError as error:
            raise EngineError(f"this row {error}") from error
        return [
            [
                (tokenizer.token_bytes(token).decode("utf-8", "replace"), weight > 0)
                for token, weight in zip(sequence.ids, sequence.weights, strict=True)
            ]
            for sequence in sequences
        ]


def _begin_text(tokenizer: ModelTokenizer, tokens: Sequence[int]) -> list[int]:
    """Return tokens after those that begin each text."""
    prefix = list(tokenizer.prefix_ids)
    return list(tokens) if list(tokens[: len(prefix)]) == prefix else [*prefix, *tokens]


def _with_shape(options: TrainOptions, chosen: Mapping[str, Any], adapter: Path) -> TrainOptions:
    """Return the options of a training that continues an adapter, whose shape stays.

    Raises:
        EngineError: Another shape was chosen.
    """
    config = json.loads((adapter / "adapter_config.json").read_text("utf-8"))
    modules = config.get("target_modules") or ()
    shape = {
        "lora_rank": config.get("r"),
        "lora_alpha": config.get("lora_alpha"),
        "target_modules": modules if isinstance(modules, str) else tuple(sorted(modules)),
    }
    for name in ADAPTER_OPTIONS:
        if name in chosen and getattr(options, name) != shape[name]:
            raise EngineError(
                f"{name!r} of a tuned model cannot be changed; leave it out", f"tunesmith.{name}"
            )
    return replace(options, **shape)
