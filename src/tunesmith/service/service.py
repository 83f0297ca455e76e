"""The service: one object that answers every operation of the API, with no HTTP about it."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, TypeVar, cast

from pydantic import SecretStr

from tunesmith.clock import VirtualClock
from tunesmith.operations.base import Operation, StreamOperation
from tunesmith.service.batches.batches import BatchService, BatchTiming
from tunesmith.service.core.behavior import ServiceBehavior
from tunesmith.service.core.http_api import HttpApi
from tunesmith.service.core.ids import IdGenerator
from tunesmith.service.core.models import Models
from tunesmith.service.core.rate_limits import RateLimiter, ServiceLimits
from tunesmith.service.core.scheduler import Scheduler
from tunesmith.service.core.store import MemoryStore, Store
from tunesmith.service.engines.base import Engine
from tunesmith.service.files.files import FileService
from tunesmith.service.files.uploads import Uploads
from tunesmith.service.fine_tuning.checkpoints import Checkpoints
from tunesmith.service.fine_tuning.graders import Graders
from tunesmith.service.fine_tuning.jobs import FineTuningJobService
from tunesmith.service.fine_tuning.legacy.jobs import LegacyFineTunes
from tunesmith.service.fine_tuning.lifecycle import ServiceContext
from tunesmith.service.fine_tuning.timeline import FINE_TUNE_TIMELINE, JOB_TIMELINE, Timeline
from tunesmith.service.inference.chat import ChatCompletionService
from tunesmith.service.inference.completions import CompletionService
from tunesmith.service.inference.embeddings import Embeddings
from tunesmith.service.inference.moderations import Moderations
from tunesmith.service.inference.sampling import InferenceContext
from tunesmith.service.inference.stored_completions import StoredCompletions
from tunesmith.service.inference.stub_matching import RequestMatcher
from tunesmith.service.inference.stubs import EmbeddingStubs, ReplyLike, ReplyStubs, Vector

if TYPE_CHECKING:  # the doors lead here
    from tunesmith.service.http.asgi import ASGIApp
    from tunesmith.service.http.httpx_transport import HttpxTransport

__all__ = ["Service", "default_engine"]

A = TypeVar("A")
E = TypeVar("E")

Handler = Callable[[Any], Awaitable[Any]]
StreamHandler = Callable[[Any], AsyncGenerator[Any]]


class Service:
    """The API itself: files, jobs, models, completions, over a store, a clock and an engine.

    Every instance is a world of its own: several live side by side and share nothing.

    Args:
        engine: Trains and generates; by default a small one that really learns.
        store: Keeps records and blobs; by default in memory.
        clock: Tells the time and lets it pass.
        seed: The same seed, and the same questions, give the same answers, byte by byte.
        organization: The id of the organization that asks.
        organization_name: What the organization is called in the names of tuned models.
        job_timeline: How long each state of a fine-tuning job lasts, and what happens then.
        fine_tune_timeline: The same for fine-tunes of the legacy API.
        batch_timing: How long the steps of a batch take.
        limits: How much it lets through in a minute and in all; by default everything.
        behavior: What the service does where nobody knows what the real one does.

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
        store: Store | None = None,
        clock: VirtualClock | None = None,
        seed: int = 0,
        organization: str = "org-tunesmith",
        organization_name: str = "personal",
        job_timeline: Timeline = JOB_TIMELINE,
        fine_tune_timeline: Timeline = FINE_TUNE_TIMELINE,
        batch_timing: BatchTiming | None = None,
        limits: ServiceLimits | None = None,
        behavior: ServiceBehavior | None = None,
    ) -> None:
        self.clock = clock or VirtualClock()
        self.store = store or MemoryStore()
        self.engine = engine or default_engine()
        self.ids = IdGenerator(seed)
        self.seed = seed
        self.organization = organization
        self.organization_name = organization_name
        self.schedule = Scheduler(self.clock)
        self.limiter = RateLimiter(limits or ServiceLimits(), self.clock, organization)
        assumed = behavior or ServiceBehavior()

        self.models = Models(self.store, self.engine, organization, assumed)

        self.files = FileService(self.store, self.clock, self.ids, self.schedule)
        self.uploads = Uploads(self.store, self.clock, self.ids, self.schedule, self.files)
        self.graders = Graders(self.models)
        context = ServiceContext(
            store=self.store,
            clock=self.clock,
            ids=self.ids,
            schedule=self.schedule,
            files=self.files,
            models=self.models,
            behavior=assumed,
            organization=organization,
            organization_name=organization_name,
        )
        self.jobs = FineTuningJobService(context, job_timeline, self.graders)
        self.fine_tunes = LegacyFineTunes(context, fine_tune_timeline, self.engine)
        self.checkpoints = Checkpoints(
            self.store, self.clock, self.ids, self.jobs, self.models, assumed.max_page_size
        )

        self.replies = ReplyStubs()
        self.vectors = EmbeddingStubs()
        sources = InferenceContext(
            self.engine, self.models, self.replies, self.ids, self.clock, self.schedule
        )
        self.completions = CompletionService(sources)
        self.stored_chats = StoredCompletions(self.store)
        self.chat = ChatCompletionService(sources, self.stored_chats)
        self.embeddings = Embeddings(sources, self.vectors)
        self.moderations = Moderations(sources)
        self.batches = BatchService(
            store=self.store,
            clock=self.clock,
            ids=self.ids,
            schedule=self.schedule,
            files=self.files,
            models=self.models,
            # Request ids of lines must not depend on how often clients poll.
            http_api=HttpApi(self, request_ids="line_request"),
            timing=batch_timing,
            behavior=assumed,
        )

        self._answers: Mapping[str, Handler] = {
            "batches.create": self.batches.create,
            "batches.retrieve": self.batches.retrieve,
            "batches.list": self.batches.list,
            "batches.cancel": self.batches.cancel,
            "chat.completions.create": self.chat.create,
            "chat.completions.retrieve": self.stored_chats.retrieve,
            "chat.completions.list": self.stored_chats.list,
            "chat.completions.update": self.stored_chats.update,
            "chat.completions.delete": self.stored_chats.delete,
            "chat.completions.messages.list": self.stored_chats.messages,
            "completions.create": self.completions.create,
            "embeddings.create": self.embeddings.create,
            "files.create": self.files.create,
            "files.retrieve": self.files.retrieve,
            "files.list": self.files.list,
            "files.delete": self.files.delete,
            "files.content": self.files.content,
            "uploads.create": self.uploads.create,
            "uploads.parts.create": self.uploads.add_part,
            "uploads.complete": self.uploads.complete,
            "uploads.cancel": self.uploads.cancel,
            "fine_tunes.create": self.fine_tunes.create,
            "fine_tunes.retrieve": self.fine_tunes.retrieve,
            "fine_tunes.list": self.fine_tunes.list,
            "fine_tunes.cancel": self.fine_tunes.cancel,
            "fine_tunes.list_events": self.fine_tunes.list_events,
            "fine_tuning.jobs.create": self.jobs.create,
            "fine_tuning.jobs.retrieve": self.jobs.retrieve,
            "fine_tuning.jobs.list": self.jobs.list,
            "fine_tuning.jobs.cancel": self.jobs.cancel,
            "fine_tuning.jobs.pause": self.jobs.pause,
            "fine_tuning.jobs.resume": self.jobs.resume,
            "fine_tuning.jobs.list_events": self.jobs.list_events,
            "fine_tuning.jobs.checkpoints.list": self.checkpoints.list,
            "fine_tuning.checkpoints.permissions.create": self.checkpoints.create_permission,
            "fine_tuning.checkpoints.permissions.list": self.checkpoints.list_permissions,
            "fine_tuning.checkpoints.permissions.delete": self.checkpoints.delete_permission,
            "fine_tuning.graders.run": self.graders.run,
            "fine_tuning.graders.validate": self.graders.validate,
            "models.list": self.models.list,
            "models.retrieve": self.models.retrieve,
            "models.delete": self.models.delete,
            "moderations.create": self.moderations.create,
        }
        self._streams: Mapping[str, StreamHandler] = {
            "chat.completions.create": self.chat.stream,
            "completions.create": self.completions.stream,
            "fine_tunes.list_events": self.fine_tunes.stream_events,
        }

    def __repr__(self) -> str:
        return f"<Service of {self.organization}, seed {self.seed}>"

    def stub_reply(
        self, reply: ReplyLike, *, match: RequestMatcher | None = None, times: int | None = None
    ) -> None:
        """Answer completions and chats by hand, where the engine would.

        Replies for a number of times come first, in the order they were given; then those for
        ever, the last one first. What none of them answers, the engine does.

        Args:
            reply: A text; a mapping or a model, which is answered as JSON; calls of tools; a
                `Reply`, which also tells log-probabilities and takes its time; or a function of the
                operation that gives one of these, or None to leave it to the next reply. What it
                raises is a `StubError` for who asked.
            match: Which requests to answer; None for all. A text is looked for in the prompt, or
                in the last message of a chat.
            times: How often; None for ever.

        Raises:
            TypeError: The reply, or `match`, is none of these.
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
        self.replies.add(reply, match=match, times=times)

    def stub_embedding(
        self, vector: Vector, *, match: RequestMatcher | None = None, times: int | None = None
    ) -> None:
        """Embed texts by hand, where the engine would; their order is that of `stub_reply`.

        Args:
            vector: The numbers, which are answered as they are; or a function of the text that
                gives them, or None to leave it to the next.
            match: Which texts to embed so; None for all.
            times: How many texts; None for all that come.

        Raises:
            TypeError: The vector is no list of numbers, or empty.
            ValueError: `match` names an unknown field, or `times` is less than 1.

        Example:
            ```python
            from tunesmith.service.service import Service

            service = Service()
            service.stub_embedding([1.0, 0.0], match="Kant")
            ```
        """
        self.vectors.add(vector, match=match, times=times)

    def transport(self, *, api_key: str | SecretStr | None = None) -> "HttpxTransport":
        """Make a transport by which any client that is built on httpx asks this service.

        It answers below `/v1`, whatever the host. To break it on purpose, put a `HttpxTransport`
        before a backend that does so, around a `MemoryBackend` of this service.

        Args:
            api_key: The key to ask for; with None any key will do, but one must be there.

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
        from tunesmith.service.http.httpx_transport import HttpxTransport  # noqa: PLC0415 - a door of many
        from tunesmith.service.memory_backend import MemoryBackend  # noqa: PLC0415 - it makes services

        return HttpxTransport(MemoryBackend(self), api_key=api_key)

    def asgi_app(self, *, api_key: str | SecretStr | None = None) -> "ASGIApp":
        """Make an ASGI app that answers by this service.

        Args:
            api_key: The key to ask for; with None any key will do, but one must be there.
        """
        from tunesmith.service.http.asgi import ASGIApp  # noqa: PLC0415 - a door of many
        from tunesmith.service.memory_backend import MemoryBackend  # noqa: PLC0415 - it makes services

        return ASGIApp(MemoryBackend(self), api_key=api_key)

    async def execute(self, operation: Operation[A]) -> A:
        """Do what is asked.

        Args:
            operation: What to do.

        Raises:
            ServiceError: It cannot be done.
        """
        # Nobody's deadline passes while the service works: virtual time is for waiting.
        with self.clock.hold():
            await self.schedule.run_due()
            return cast("A", await self._answers[operation.spec.name](operation))

    async def stream(self, operation: StreamOperation[A, E]) -> AsyncGenerator[E]:
        """Do what is asked, and answer bit by bit.

        Args:
            operation: What to do.

        Raises:
            ServiceError: It cannot be done; raised before the first event comes.
        """
        await self.schedule.run_due()
        async with aclosing(self._streams[operation.spec.name](operation)) as events:
            async for event in events:
                yield cast("E", event)


def default_engine() -> Engine:
    """Make the engine of a service that is given none."""
    from tunesmith.service.engines.ngram.engine import NGramEngine  # noqa: PLC0415 - costs when used

    return NGramEngine()
