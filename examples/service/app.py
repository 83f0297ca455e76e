"""A web service that embeds tunesmith: one client for its whole life, streams, webhooks.

    pip install tunesmith starlette uvicorn
    uvicorn app:app --app-dir examples/service

Then `curl -X POST http://127.0.0.1:8000/fine-tunes`. Without `OPENAI_API_KEY` a service in memory
answers, in which an hour passes in a minute, or as `TUNESMITH_SPEED` says.
"""

import json
import os
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from tunesmith import APIStatusError, AsyncClient, MemoryBackend, TunesmithError
from tunesmith.clock import VirtualClock
from tunesmith.webhooks import InvalidWebhookSignatureError, unwrap

KANT = Path(__file__).parents[1] / "data" / "kant.jsonl"


def make_client() -> AsyncClient:
    """The one client of this service; requests share its connections."""
    if "OPENAI_API_KEY" in os.environ:
        return AsyncClient(deadline=120)
    # Visitors wait in real time, so the service's time has to pass by itself.
    speed = float(os.environ.get("TUNESMITH_SPEED", "60"))
    clock = VirtualClock(autojump=False, rate=speed)
    # Time limits go by the same clock: this one is a minute of the visitor's.
    return AsyncClient(backend=MemoryBackend(clock=clock), timeout=60 * speed)


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    app.state.heard = deque(maxlen=100)
    async with make_client() as app.state.client:
        yield


class Lines(StreamingResponse):
    """JSON lines, sent as they come. A visitor who leaves ends the work for them at once."""

    def __init__(self, lines: AsyncGenerator[dict[str, Any], None]) -> None:
        self.lines = lines
        super().__init__(_encoded(lines), media_type="application/x-ndjson")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self.lines):
            await super().__call__(scope, receive, send)


async def _encoded(lines: AsyncGenerator[dict[str, Any], None]) -> AsyncIterator[str]:
    try:
        async for line in lines:
            yield json.dumps(line) + "\n"
    except TunesmithError as error:
        yield json.dumps({"error": str(error)}) + "\n"


async def models(request: Request) -> Response:
    client: AsyncClient = request.app.state.client
    return JSONResponse([model.id async for model in client.models.list()])


async def complete(request: Request) -> Response:
    asked = await request.json()
    client: AsyncClient = request.app.state.client

    async def words() -> AsyncGenerator[dict[str, Any], None]:
        async with client.completions.stream(
            model=asked["model"],
            prompt=asked["prompt"] + " ->",  # as the examples in the data end
            max_tokens=60,
            temperature=0,
            stop="\n",
        ) as stream:
            async for completion in stream:
                yield {"text": "".join(choice.text for choice in completion.choices)}

    return Lines(words())


async def fine_tune(request: Request) -> Response:
    client: AsyncClient = request.app.state.client
    file = await client.files.upload(KANT)
    job = await client.fine_tuning.jobs.create(
        model="babbage-002", training_file=file.id, suffix="kant", seed=7
    )
    return JSONResponse({"id": job.id})


async def events(request: Request) -> Response:
    client: AsyncClient = request.app.state.client
    job_id = request.path_params["job_id"]

    async def happened() -> AsyncGenerator[dict[str, Any], None]:
        async for event in client.fine_tuning.jobs.follow(job_id):
            yield {"message": event.message, **(event.data or {})}
        job = await client.fine_tuning.jobs.retrieve(job_id)
        yield {"status": job.status, "model": job.fine_tuned_model}

    return Lines(happened())


async def webhook(request: Request) -> Response:
    try:
        event = unwrap(
            await request.body(), request.headers, secret=os.environ["OPENAI_WEBHOOK_SECRET"]
        )
    except InvalidWebhookSignatureError as error:
        return JSONResponse({"error": str(error)}, status_code=400)
    # The service sends it again until it is answered: answer first, and do the work elsewhere.
    request.app.state.heard.append(event)
    return JSONResponse({"heard": event.type})


async def refused(_: Request, error: Exception) -> Response:
    status = error.status if isinstance(error, APIStatusError) else 502
    return JSONResponse({"error": str(error)}, status_code=status)


app = Starlette(
    lifespan=lifespan,
    exception_handlers={TunesmithError: refused},
    routes=[
        Route("/models", models),
        Route("/complete", complete, methods=["POST"]),
        Route("/fine-tunes", fine_tune, methods=["POST"]),
        Route("/fine-tunes/{job_id}/events", events),
        Route("/webhooks", webhook, methods=["POST"]),
    ],
)
