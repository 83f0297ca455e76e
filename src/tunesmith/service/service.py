"""The service: all operations of the API, without HTTP."""

from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, TypedDict, TypeVar, cast

from pydantic import SecretStr

from tunesmith.backends.base import Backend
from tunesmith.clock import VirtualClock
from tunesmith.operations.base import Operation, StreamOperation
from tunesmith.service.batches.batches import BatchService
from tunesmith.service.batches.sending import BatchTiming, LineSender
from tunesmith.service.core.behavior import ServiceBehavior
from tunesmith.service.core.context import ServiceContext
from tunesmith.service.core.handlers import collect_handlers
from tunesmith.service.core.http_api import HttpApi
from tunesmith.service.core.idempotency import IdempotentResponses
from tunesmith.service.core.ids import IdGenerator, IdKind
from tunesmith.service.core.rate_limits import RateLimiter, ServiceLimits
from tunesmith.service.core.scheduler import PATIENCE_S, Scheduler
from tunesmith.service.core.store import MemoryStore, Store
from tunesmith.service.engines.base import Engine
from tunesmith.service.engines.selection import select_engine
from tunesmith.service.files.files import FileService
from tunesmith.service.files.uploads import Uploads
from tunesmith.service.fine_tuning.checkpoints import Checkpoints
from tunesmith.service.fine_tuning.graders import Graders
from tunesmith.service.fine_tuning.jobs import FineTuningJobService
from tunesmith.service.fine_tuning.legacy.jobs import LegacyFineTunes
from tunesmith.service.fine_tuning.lifecycle import JobContext
from tunesmith.service.fine_tuning.timeline import FINE_TUNE_TIMELINE, JOB_TIMELINE, Timeline
from tunesmith.service.fine_tuning.training_slots import TrainingSlots
from tunesmith.service.inference.chat import ChatCompletionService
from tunesmith.service.inference.completions import CompletionService
from tunesmith.service.inference.embeddings import Embeddings
from tunesmith.service.inference.models import Models
from tunesmith.service.inference.moderations import Moderations
from tunesmith.service.inference.responses import ResponseService
from tunesmith.service.inference.sampling import InferenceContext
from tunesmith.service.inference.stored_completions import StoredCompletions
from tunesmith.service.inference.stub_matching import RequestMatcher
from tunesmith.service.inference.stubs import EmbeddingStubs, ReplyLike, ReplyStubs, Vector
from tunesmith.service.inference.vllm import select_server

if TYPE_CHECKING:
    from tunesmith.service.http.asgi import ASGIApp
    from tunesmith.service.http.httpx_transport import HttpxTransport

__all__ = ["Service", "ServiceOptions"]

A = TypeVar("A")
E = TypeVar("E")

_MAX_REQUESTS = 10**9
"""Request ids of each opening of a store, which are not stored, begin at a multiple of this."""


class ServiceOptions(TypedDict, total=False):
    """Keyword arguments of `Service`."""

    engine: Engine | None
    upstream: Backend | None
    vllm: Backend | None
    batch_concurrency: int
    models: Iterable[str]
    store: Store | None
    clock: VirtualClock | None
    seed: int
    organization: str
    organization_name: str
    job_timeline: Timeline
    fine_tune_timeline: Timeline
    batch_timing: BatchTiming | None
    speed: float
    limits: ServiceLimits | None
    behavior: ServiceBehavior | None


@dataclass(frozen=True, slots=True)
class _ServiceState:
    seed: int
    time: float
    n_openings: int
    id_counters: Mapping[IdKind, int]


class Service:
    """The whole API over a store, a clock and an engine.

    Instances are independent of each other.

    Args:
        engine: Trains and generates; a small n-gram model by default.
        models: Names of base models of the default engine beside `KNOWN_MODELS`.
        upstream: Access to a server that completes, chats, embeds and responds in place of the
            engine. Files, batches and fine-tuning stay here.
        vllm: Access to a vLLM server that generates with the models of the engine; it loads the
            adapters that were tuned here.
        batch_concurrency: Number of requests of a batch at a time, if their responses take time:
            those of `upstream`, and of engines with real weights.
        store: Storage of records and blobs, whose state is continued; in memory by default.
        clock: The service's time; by default it continues that of the store.
        seed: Seed of ids and samples: equal requests have equal responses, byte by byte. A store
            keeps its first one.
        organization: Id of the organization.
        organization_name: Name of the organization in the names of tuned models.
        job_timeline: Transitions of fine-tuning jobs and their durations.
        fine_tune_timeline: The same for fine-tunes of the legacy API.
        batch_timing: Durations of the steps of a batch.
        speed: Number by which these durations are divided. They are left out for engines whose
            work takes time itself.
        limits: Rate limits and quota; none by default.
        behavior: Details of responses that are undocumented or changed over the years.

    Example:
        ```python
        import anyio

        from tunesmith.operations.models import RetrieveModel
        from tunesmith.service.service import Service

        service = Service(seed=1)
        print(anyio.run(service.execute, RetrieveModel("davinci-002")))
        ```
    """

    def __init__(
        self,
        *,
        engine: Engine | None = None,
        upstream: Backend | None = None,
        vllm: Backend | None = None,
        batch_concurrency: int = 16,
        models: Iterable[str] = (),
        store: Store | None = None,
        clock: VirtualClock | None = None,
        seed: int = 0,
        organization: str = "org-tunesmith",
        organization_name: str = "personal",
        job_timeline: Timeline = JOB_TIMELINE,
        fine_tune_timeline: Timeline = FINE_TUNE_TIMELINE,
        batch_timing: BatchTiming | None = None,
        speed: float = 1.0,
        limits: ServiceLimits | None = None,
        behavior: ServiceBehavior | None = None,
    ) -> None:
        self.store = store or MemoryStore()
        self._states = self.store.collection("service", _ServiceState)
        state = self._states.get("state")
        start = self.store.resume_time(None if state is None else state.time)
        self.clock = clock or VirtualClock(start)
        self.engine = select_engine(engine, tuple(models))
        speed, patience = (speed, inf) if self.engine.is_simulated else (inf, PATIENCE_S)
        self.seed = seed if state is None else state.seed
        self.ids = IdGenerator(self.seed)
        self._n_openings = 0
        if state is not None:
            self._n_openings = state.n_openings + 1
            self.ids.restore_counters(state.id_counters)
            self.ids.restore_counters({"request": self._n_openings * _MAX_REQUESTS})
        self.scheduler = Scheduler(self.clock, self._commit, patience=patience)
        self.limiter = RateLimiter(limits or ServiceLimits(), self.clock, organization)
        self.context = context = ServiceContext(
            store=self.store,
            clock=self.clock,
            ids=self.ids,
            scheduler=self.scheduler,
            idempotent_responses=IdempotentResponses(self.store, self.clock),
            behavior=behavior or ServiceBehavior(),
            organization=organization,
            organization_name=organization_name,
        )
        self.models = Models(context, self.engine)
        self.stored_completions = StoredCompletions(self.store)
        self.upstream = select_server(upstream, vllm, context, self.models, self.stored_completions)
        self.files = FileService(context)
        self.uploads = Uploads(context, self.files)
        self.graders = Graders(context)
        self.training_slots = TrainingSlots(self.engine.max_trainings)
        shared = (context, self.files, self.models, self.training_slots)
        jobs = JobContext(*shared, job_timeline.at_speed(speed))
        self.jobs = FineTuningJobService(jobs, self.graders)
        self.fine_tunes = LegacyFineTunes(JobContext(*shared, fine_tune_timeline.at_speed(speed)))
        self.checkpoints = Checkpoints(context, self.jobs, self.models)
        self.reply_stubs = ReplyStubs()
        self.embedding_stubs = EmbeddingStubs()
        inference = InferenceContext(
            self.models, self.reply_stubs, self.ids, self.clock, self.scheduler
        )
        self.completions = CompletionService(inference)
        self.chat = ChatCompletionService(inference, self.stored_completions)
        self.responses = ResponseService(inference, self.chat, self.store)
        self.embeddings = Embeddings(inference, self.embedding_stubs)
        self.moderations = Moderations(inference)
        # Request ids of their own: results must not depend on the number of other requests.
        line_api = HttpApi(self, request_ids="line_request", upstream=self.upstream)
        takes_time = self.upstream is not None or not self.engine.is_simulated
        sender = LineSender(context, line_api, (batch_timing or BatchTiming()).at_speed(speed))
        self.batches = BatchService(
            context,
            self.files,
            has_model=self.models.exists if upstream is None else None,
            sender=sender,
            concurrency=batch_concurrency if takes_time else None,
        )
        self._handlers, self._stream_handlers = collect_handlers(
            self.models,
            self.files,
            self.uploads,
            self.graders,
            self.jobs,
            self.fine_tunes,
            self.checkpoints,
            self.completions,
            self.stored_completions,
            self.chat,
            self.responses,
            self.embeddings,
            self.moderations,
            self.batches,
        )

    def __repr__(self) -> str:
        return f"<Service of {self.context.organization}, seed {self.seed}>"

    def stub_reply(
        self, reply: ReplyLike, *, match: RequestMatcher | None = None, times: int | None = None
    ) -> None:
        """Stub the reply of completions and chats.

        Stubs with a number of times come first, in order; then those without, the last one first.
        The engine replies to requests that no stub matches.

        Args:
            reply: A text; a mapping, a model or a dataclass, sent as JSON; tool calls; a `Reply`
                with log-probabilities and timing; or a function of the operation that returns one
                of these, or None for the next stub. Its exceptions are raised as `StubError`.
            match: Requests to reply to; None for all. A text matches if the prompt, or the last
                message of a chat, contains it.
            times: Number of replies; None for no limit.

        Raises:
            TypeError: The reply or `match` has another type.
            ValueError: `match` names an unknown field or operation, or `times` is less than 1.

        Example:
            ```python
            from tunesmith.service.service import Service

            service = Service()
            service.stub_reply("I only know that I know nothing.")
            service.stub_reply("A philosopher.", match="Kant")
            service.stub_reply({"city": "Königsberg"}, match={"model": "gpt-4o*"}, times=1)
            ```
        """
        self.reply_stubs.add(reply, match=match, times=times)

    def stub_embedding(
        self, vector: Vector, *, match: RequestMatcher | None = None, times: int | None = None
    ) -> None:
        """Stub the embedding of texts; the order is that of `stub_reply`.

        Args:
            vector: The vector, or a function of the text that returns it, or None for the next
                stub.
            match: Texts to embed; None for all.
            times: Number of texts; None for no limit.

        Raises:
            TypeError: The vector is not a non-empty list of numbers.
            ValueError: `match` names an unknown field, or `times` is less than 1.

        Example:
            ```python
            from tunesmith.service.service import Service

            service = Service()
            service.stub_embedding([1.0, 0.0], match="Kant")
            ```
        """
        self.embedding_stubs.add(vector, match=match, times=times)

    def transport(self, *, api_key: str | SecretStr | None = None) -> "HttpxTransport":
        """Return a transport for clients that are built on httpx.

        It serves paths below `/v1` on every host. For faults, wrap a `MemoryBackend` of this
        service and pass it to `HttpxTransport`.

        Args:
            api_key: The API key; with None every non-empty key is accepted.

        Example:
            ```python
            import httpx

            from tunesmith.service.service import Service

            async with httpx.AsyncClient(
                transport=Service().transport(),
                base_url="http://service/v1",
                headers={"Authorization": "Bearer any"},
            ) as http:
                print((await http.get("/models")).json())
            ```
        """
        from tunesmith.service.http.httpx_transport import HttpxTransport  # noqa: PLC0415 - slow import

        return HttpxTransport(
            HttpApi(self, limiter=self.limiter, upstream=self.upstream), api_key=api_key
        )

    def asgi_app(self, *, api_key: str | SecretStr | None = None) -> "ASGIApp":
        """Return an ASGI app of this service.

        Args:
            api_key: The API key; with None every non-empty key is accepted.
        """
        from tunesmith.service.http.asgi import ASGIApp  # noqa: PLC0415 - slow import

        return ASGIApp(HttpApi(self, limiter=self.limiter, upstream=self.upstream), api_key=api_key)

    async def run_lifecycles(self) -> None:
        """Run jobs and batches when they are due, until cancelled.

        Meanwhile requests do not wait for the engine's work on them. It is for services whose
        clock passes at a rate, such as `tunesmith serve`.
        """
        await self.scheduler.run()

    async def execute(
        self, operation: Operation[A], /, before_commit: Callable[[A], None] | None = None
    ) -> A:
        """Execute an operation.

        Args:
            operation: The operation.
            before_commit: Function of the result that adds changes to those of the operation.

        Raises:
            ServiceError: The operation failed.
        """
        # Virtual time is for waiting: no deadline passes while the service works.
        with self.clock.hold():
            await self.scheduler.run_due()
            try:
                result = cast("A", await self._handlers[type(operation)](operation))
                if before_commit is not None:
                    before_commit(result)
                return result
            finally:
                self._commit()

    async def stream(self, operation: StreamOperation[A, E], /) -> AsyncGenerator[E]:
        """Execute an operation and stream its events.

        Args:
            operation: The operation.

        Raises:
            ServiceError: The operation failed; raised before the first event.
        """
        await self.scheduler.run_due()
        async with aclosing(self._stream_handlers[type(operation)](operation)) as events:
            async for event in events:
                self._commit()
                yield cast("E", event)
        self._commit()

    def read_file(self, id: str, start: int = 0, stop: int | None = None, /) -> Iterator[bytes]:
        """Yield the bytes of a file in a range.

        Raises:
            ServiceError: The file does not exist.
        """
        return self.files.read(id, start, stop)

    async def aclose(self) -> None:
        """Stop the engine, write all changes and close the store."""
        try:
            await self.engine.aclose()
            if self.upstream is not None:
                await self.upstream.aclose()
            self._commit(force=True)
        finally:
            self.store.close()

    def _commit(self, *, force: bool = False) -> None:
        if self.store.has_changes or (force and self.store.is_durable):
            now, counters = self.clock.time(), self.ids.counters
            self._states.put("state", _ServiceState(self.seed, now, self._n_openings, counters))
            self.store.commit()
