"""The room of stored chat answers: those that were created with `store`."""

from collections.abc import Iterable

from tunesmith.operations.chat import (
    DeleteChatCompletion,
    ListChatCompletionMessages,
    ListChatCompletions,
    RetrieveChatCompletion,
    UpdateChatCompletion,
)
from tunesmith.service.core.errors import ServiceError
from tunesmith.service.core.pagination import to_page, validate_limit
from tunesmith.service.core.store import Collection, Store
from tunesmith.service.inference.messages import Message, as_mapping, message_text
from tunesmith.types.base import Page
from tunesmith.types.chat import ChatCompletion, ChatCompletionDeleted, ChatCompletionStoreMessage

__all__ = ["StoredCompletions"]

_DEFAULT_PAGE = 20
_MAX_PAGE = 100


class StoredCompletions:
    """Keeps chat answers, with the messages they answer.

    Args:
        store: Where they are kept.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._answers = store.collection("chat_completions", ChatCompletion)

    def save(self, answer: ChatCompletion, messages: Iterable[Message]) -> None:
        """Keep an answer, and the messages it answers."""
        self._answers.put(answer.id, answer)
        kept = self._messages(answer.id)
        for number, message in enumerate(messages):
            said = as_mapping(message)
            content = said.get("content")
            parts = None if content is None or isinstance(content, str) else list(content)
            text = content if parts is None else message_text(said)
            message_id = f"{answer.id}-{number}"
            fields = {**said, "id": message_id, "content": text, "content_parts": parts}
            kept.put(message_id, ChatCompletionStoreMessage.model_validate(fields))

    async def retrieve(self, operation: RetrieveChatCompletion) -> ChatCompletion:
        """Look up an answer."""
        return self._find(operation.completion_id)

    async def list(self, operation: ListChatCompletions) -> Page[ChatCompletion]:
        """List the answers, oldest first."""

        def fits(answer: ChatCompletion) -> bool:
            return operation.model in {None, answer.model} and (
                set((operation.metadata or {}).items()) <= set((answer.metadata or {}).items())
            )

        window = self._answers.get_page(
            after=operation.after,
            limit=validate_limit(operation.limit, default=_DEFAULT_PAGE, maximum=_MAX_PAGE),
            newest_first=operation.order == "desc",
            where=fits,
        )
        return to_page(window)

    async def update(self, operation: UpdateChatCompletion) -> ChatCompletion:
        """Give an answer other metadata."""
        answer = self._find(operation.completion_id)
        changed = answer.model_copy(update={"metadata": dict(operation.metadata)})
        self._answers.put(answer.id, changed)
        return changed

    async def delete(self, operation: DeleteChatCompletion) -> ChatCompletionDeleted:
        """Forget an answer."""
        answer = self._find(operation.completion_id)
        messages = self._messages(answer.id)
        for message in messages.get_page().records:
            messages.delete(message.id)
        self._answers.delete(answer.id)
        return ChatCompletionDeleted(id=answer.id, object="chat.completion.deleted", deleted=True)

    async def messages(
        self, operation: ListChatCompletionMessages
    ) -> Page[ChatCompletionStoreMessage]:
        """List the messages that an answer was given to."""
        window = self._messages(self._find(operation.completion_id).id).get_page(
            after=operation.after,
            limit=validate_limit(operation.limit, default=_DEFAULT_PAGE, maximum=_MAX_PAGE),
            newest_first=operation.order == "desc",
        )
        return to_page(window)

    def _find(self, id: str) -> ChatCompletion:
        answer = self._answers.get(id)
        if answer is None:
            raise ServiceError(404, f"Chat completion with id '{id}' not found.", param="id")
        return answer

    def _messages(self, id: str) -> Collection[ChatCompletionStoreMessage]:
        return self._store.collection("chat_messages", ChatCompletionStoreMessage, parent_id=id)
