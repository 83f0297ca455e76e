"""The Responses API."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from itertools import count
from typing import Any

from anyio.lowlevel import checkpoint

from tunesmith.operations.responses import (
    CancelResponse,
    CountResponseInputTokens,
    CreateResponse,
    DeleteResponse,
    ListResponseInputItems,
    RetrieveResponse,
)
from tunesmith.service.core.errors import ServiceError, invalid
from tunesmith.service.core.handlers import handles
from tunesmith.service.core.pagination import to_page, validate_limit
from tunesmith.service.core.scheduler import ScheduledAction
from tunesmith.service.core.store import Collection, Store
from tunesmith.service.engines.generation import FinishReason
from tunesmith.service.inference.capabilities import require_response_model
from tunesmith.service.inference.chat import ChatCompletionService
from tunesmith.service.inference.prepared_response import (
    INCOMPLETE_REASONS,
    PreparedResponse,
    write_items,
    write_parts,
)
from tunesmith.service.inference.response_input import (
    Item,
    as_parts,
    response_params,
    to_chat_operation,
    to_items,
)
from tunesmith.service.inference.response_payloads import (
    event,
    initial_fields,
    queued_events,
    replay_events,
)
from tunesmith.service.inference.response_records import (
    PENDING_STATUSES,
    ConversationRecord,
    ResponseRecord,
    fail_interrupted,
)
from tunesmith.service.inference.sampling import (
    InferenceContext,
    finish_reason_for,
    interleave,
)
from tunesmith.types.base import Page
from tunesmith.types.responses import (
    Response,
    ResponseDeleted,
    ResponseInputTokens,
    ResponseItem,
    ResponseStreamEvent,
)

__all__ = ["ResponseService"]

_DEFAULT_PAGE = 20
_MAX_PAGE = 100
_BACKGROUND_S = 2.0
_POLL_S = 0.5
_MAX_HISTORY = 1000


class ResponseService:
    """Responses by an engine or by stubs.

    Args:
        context: Dependencies shared by all endpoints that run models.
        chat: Chat completions, which share the generation.
        store: Store of the responses.
    """

    def __init__(
        self, context: InferenceContext, chat: ChatCompletionService, store: Store
    ) -> None:
        self._context = context
        self._chat = chat
        self._store = store
        self._responses = store.collection("responses", ResponseRecord)
        self._items = store.collection("response_items", ResponseItem)
        self._conversations = store.collection("conversations", ConversationRecord)
        self._background: dict[str, ScheduledAction] = {}
        fail_interrupted(self._responses)

    @handles(CreateResponse)
    async def create(self, operation: CreateResponse) -> Response:
        """Create a response, or schedule one in the background."""
        prepared = await self._prepare(operation)
        await checkpoint()
        if operation.background:
            return self._schedule(prepared)
        n_tokens = await self._generate(prepared)
        delay_s = prepared.chat.timing.total_delay(n_tokens)
        await self._context.pause(delay_s, release_clock=True)
        return self._save(prepared)

    @handles(CreateResponse)
    async def stream(self, operation: CreateResponse) -> AsyncGenerator[ResponseStreamEvent, None]:
        """Create a response and yield its events."""
        prepared = await self._prepare(operation)
        # In the background it continues without the client, which can follow it from any event.
        changes = (
            self._follow(self._schedule(prepared).id, -1)
            if operation.background
            else self._stream(prepared)
        )
        async with aclosing(changes):
            async for change in changes:
                yield change

    async def _stream(
        self, prepared: PreparedResponse
    ) -> AsyncGenerator[ResponseStreamEvent, None]:
        generation = await self._chat.start(prepared.chat, 0)
        numbers = count()
        for name in ("created", "in_progress"):
            yield event(f"response.{name}", numbers, response=prepared.fields)
        for item in prepared.fields["output"]:
            yield event("response.output_item.added", numbers, output_index=0, item=item)
            yield event("response.output_item.done", numbers, output_index=0, item=item)
        reader, writers = prepared.chat.reader(), prepared.writers
        reason: FinishReason = "stop"
        for change in write_parts(prepared, reader, reader.start(), [], numbers):
            yield change
        tokens = interleave([generation], self._context, prepared.chat.timing)
        async with aclosing(tokens):
            async for _, token in tokens:
                if isinstance(token, str):
                    reason, parts, logprobs = token, reader.finish(), []
                else:
                    parts, logprobs = reader.read(token), prepared.logprobs([token])
                for change in write_parts(prepared, reader, parts, logprobs, numbers):
                    yield change
        is_complete = finish_reason_for(reason, prepared.chat.stub) not in INCOMPLETE_REASONS
        for change in writers[-1].finish(numbers, is_complete=is_complete):
            yield change
        items = [writer.item for writer in writers]
        output = [*prepared.fields["output"], *items]
        prepared.complete(reason, output, generation.n_tokens, int(self._context.now()))
        response = self._save(prepared)
        yield event(f"response.{response.status}", numbers, response=prepared.fields)

    @handles(RetrieveResponse)
    async def retrieve(self, operation: RetrieveResponse) -> Response:
        """Retrieve a stored response."""
        return self._find(operation.response_id).response

    @handles(RetrieveResponse)
    async def follow(
        self, operation: RetrieveResponse
    ) -> AsyncGenerator[ResponseStreamEvent, None]:
        """Yield the events of a stored response: the first ones, and the others at its end."""
        after = -1 if operation.starting_after is None else operation.starting_after
        async with aclosing(self._follow(operation.response_id, after)) as changes:
            async for change in changes:
                yield change

    async def _follow(
        self, response_id: str, after: int
    ) -> AsyncGenerator[ResponseStreamEvent, None]:
        response = self._find(response_id).response
        if response.status in PENDING_STATUSES:
            for change in queued_events(_to_json(response), count()):
                if (change.sequence_number or 0) > after:
                    yield change
                after = max(after, change.sequence_number or 0)
        while response.status in PENDING_STATUSES:
            await self._context.clock.sleep(_POLL_S)
            await self._context.scheduler.run_due()
            response = self._find(response_id).response
        for change in replay_events(_to_json(response)):
            if (change.sequence_number or 0) > after:
                yield change

    @handles(CancelResponse)
    async def cancel(self, operation: CancelResponse) -> Response:
        """Cancel a background response; one that is finished stays as it is."""
        stored = self._find(operation.response_id)
        if not stored.response.background:
            raise invalid("Cannot cancel a synchronous response.", "response_id")
        action = self._background.pop(operation.response_id, None)
        if action is None:
            return stored.response
        action.cancel()
        response = stored.response.model_copy(update={"status": "cancelled"})
        self._responses.put(response.id, stored.model_copy(update={"response": response}))
        return response

    @handles(DeleteResponse)
    async def delete(self, operation: DeleteResponse) -> ResponseDeleted:
        """Delete a stored response and its items."""
        response_id = self._find(operation.response_id).response.id
        action = self._background.pop(response_id, None)
        if action is not None:
            action.cancel()
        items = self._input_items(response_id)
        for item in items.get_page().records:
            items.delete(item.id)
        self._responses.delete(response_id)
        return ResponseDeleted(id=response_id, object="response", deleted=True)

    @handles(ListResponseInputItems)
    async def list_input_items(self, operation: ListResponseInputItems) -> Page[ResponseItem]:
        """List the input items of a stored response."""
        items = self._input_items(self._find(operation.response_id).response.id).get_page(
            after=operation.after,
            limit=validate_limit(operation.limit, default=_DEFAULT_PAGE, maximum=_MAX_PAGE),
            newest_first=operation.order != "asc",
        )
        return to_page(items)

    @handles(CountResponseInputTokens)
    async def count_input_tokens(self, operation: CountResponseInputTokens) -> ResponseInputTokens:
        """Count the tokens of an input."""
        require_response_model(self._context.models, operation.model)
        history, _, _ = self._history(operation)
        items = [*history, *to_items(operation.input)]
        chat = to_chat_operation(operation, items, self._find_item)
        with response_params():
            _, tokens = await self._chat.encode(chat)
        return ResponseInputTokens(object="response.input_tokens", input_tokens=len(tokens))

    async def _prepare(self, operation: CreateResponse) -> PreparedResponse:
        require_response_model(self._context.models, operation.model)
        if operation.prompt is not None:
            prompt_id = str(operation.prompt.get("id"))
            raise invalid(f"Prompt with id '{prompt_id}' not found.", "prompt", "prompt_not_found")
        if operation.background and operation.store is False:
            raise invalid("Background mode requires 'store' to be true.", "background")
        history, parent_id, conversation_id = self._history(operation)
        items = to_items(operation.input)
        chat_operation = to_chat_operation(operation, [*history, *items], self._find_item)
        with response_params():
            chat = await self._chat.prepare(chat_operation, operation, "response")
        fields = initial_fields(
            operation, chat.template["id"], conversation_id, int(self._context.now())
        )
        new_id = self._context.ids.new
        if self._context.models.info_of(operation.model).reasons:
            reasoning: dict[str, Any] = {"id": new_id("reasoning_item"), "type": "reasoning"}
            reasoning["summary"] = []
            if "reasoning.encrypted_content" in (operation.include or ()):
                reasoning["encrypted_content"] = ""
            fields["output"].append(reasoning)
        return PreparedResponse(operation, chat, fields, items, parent_id, conversation_id, new_id)

    async def _generate(self, prepared: PreparedResponse) -> int:
        """Generate the output, and return its number of tokens."""
        (text,) = await self._context.sample([await self._chat.start(prepared.chat, 0)])
        output = [*prepared.fields["output"], *write_items(prepared, text)]
        now = int(self._context.now())
        prepared.complete(text.finish_reason, output, text.n_tokens, now)
        return text.n_tokens

    def _schedule(self, prepared: PreparedResponse) -> Response:
        response_id = prepared.fields["id"]

        async def finish(_: float) -> None:
            try:
                await self._generate(prepared)
            except ServiceError as error:
                code = error.code or "server_error"
                problem = {"code": code, "message": error.message}
                prepared.fields |= {"status": "failed", "error": problem, "output": []}
            self._context.scheduler.check_cancelled()
            self._background.pop(response_id)
            self._save(prepared)

        output, prepared.fields["output"] = prepared.fields["output"], []
        prepared.fields["status"] = "queued"
        response = self._save(prepared)
        prepared.fields["output"] = output
        due_at = self._context.now() + _BACKGROUND_S
        self._background[response_id] = self._context.scheduler.call_at(due_at, finish)
        return response

    def _save(self, prepared: PreparedResponse) -> Response:
        response = Response.model_validate(prepared.fields)
        if prepared.operation.store is False:
            return response
        response_id = response.id
        is_new = self._responses.get(response_id) is None
        stored = ResponseRecord(response=response, parent_id=prepared.parent_id)
        self._responses.put(response_id, stored)
        if is_new:
            records = self._input_items(response_id)
            for number, item in enumerate(prepared.input):
                fields = {**as_parts(item), "id": f"{response_id}-{number}"}
                record = ResponseItem.model_validate(fields)
                records.put(record.id, record)
        for item in response.model_dump(mode="json", exclude_unset=True)["output"]:
            self._items.put(item["id"], ResponseItem.model_validate(item))
        if prepared.conversation_id is not None:
            conversation = ConversationRecord(
                id=prepared.conversation_id, last_response_id=response_id
            )
            self._conversations.put(conversation.id, conversation)
        return response

    def _history(
        self, operation: CreateResponse | CountResponseInputTokens
    ) -> tuple[list[Item], str | None, str | None]:
        """Return the items before a request, the id of its parent, and that of its conversation."""
        parent_id, conversation_id = operation.previous_response_id, None
        if operation.conversation is not None:
            if parent_id is not None:
                raise invalid(
                    "'previous_response_id' and 'conversation' cannot be used together.",
                    "conversation",
                )
            conversation = operation.conversation
            value = conversation if isinstance(conversation, str) else conversation.get("id")
            conversation_id = str(value)
            if not conversation_id.startswith("conv_"):
                raise invalid("The ID of a conversation must begin with 'conv_'.", "conversation")
            record = self._conversations.get(conversation_id)
            parent_id = record.last_response_id if record else None
        ancestors: list[list[Item]] = []
        ancestor_id = parent_id
        while ancestor_id is not None and len(ancestors) < _MAX_HISTORY:
            stored = self._responses.get(ancestor_id)
            if stored is None:
                raise ServiceError(
                    400,
                    f"Previous response with id '{ancestor_id}' not found.",
                    param="previous_response_id",
                    code="previous_response_not_found",
                )
            page = self._input_items(ancestor_id).get_page(newest_first=False)
            records = [*page.records, *stored.response.output]
            ancestors.append([item.model_dump(mode="json", exclude_unset=True) for item in records])
            ancestor_id = stored.parent_id
        return [item for own in reversed(ancestors) for item in own], parent_id, conversation_id

    def _find(self, id: str) -> ResponseRecord:
        stored = self._responses.get(id)
        if stored is None:
            raise ServiceError(404, f"Response with id '{id}' not found.")
        return stored

    def _find_item(self, id: str) -> Item | None:
        item = self._items.get(id)
        return None if item is None else item.model_dump(mode="json", exclude_unset=True)

    def _input_items(self, id: str) -> Collection[ResponseItem]:
        return self._store.collection("response_input_items", ResponseItem, parent_id=id)


def _to_json(response: Response) -> dict[str, Any]:
    return response.model_dump(mode="json", exclude_unset=True)
