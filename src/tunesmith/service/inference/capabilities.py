"""Which endpoints a model answers at, in the service's words where it does not."""

from tunesmith.service.core.errors import ServiceError, invalid
from tunesmith.service.core.models import LEGACY_MODELS, Models

__all__ = [
    "check_context_length",
    "require_chat_model",
    "require_completion_model",
    "require_embedding_model",
]

_COMPLETION_BASES = {*LEGACY_MODELS, "babbage-002", "davinci-002", "gpt-3.5-turbo-instruct"}


def require_completion_model(models: Models, name: str) -> None:
    """Refuse a model that does not go on from a prompt.

    Raises:
        ServiceError: There is no such model, or it only chats, embeds or moderates.
    """
    base = models.base_of(name)
    _require_sampling(base)
    if base not in _COMPLETION_BASES:
        raise ServiceError(
            404,
            "This is a chat model and not supported in the v1/completions endpoint. "
            "Did you mean to use v1/chat/completions?",
            param="model",
        )


def require_chat_model(models: Models, name: str) -> None:
    """Refuse a model that does not chat.

    Raises:
        ServiceError: There is no such model, or it only completes, embeds or moderates.
    """
    base = models.base_of(name)
    _require_sampling(base)
    if base in _COMPLETION_BASES:
        raise ServiceError(
            404,
            "This is not a chat model and thus not supported in the v1/chat/completions "
            "endpoint. Did you mean to use v1/completions?",
            param="model",
        )


def require_embedding_model(models: Models, name: str) -> None:
    """Refuse a model that does not embed.

    Raises:
        ServiceError: There is no such model, or it does something else.
    """
    if not _embeds(models.base_of(name)):
        raise ServiceError(403, "You are not allowed to generate embeddings from this model")


def check_context_length(prompt_tokens: int, max_tokens: int, window: int) -> None:
    """Refuse a prompt whose completion would not fit the context window.

    Args:
        prompt_tokens: How long the prompt is.
        max_tokens: How long the completion may become.
        window: How many tokens the model can have in mind.

    Raises:
        ServiceError: It does not fit.
    """
    asked = prompt_tokens + max_tokens
    if asked > window:
        raise invalid(
            f"This model's maximum context length is {window} tokens, however you requested "
            f"{asked} tokens ({prompt_tokens} in your prompt; {max_tokens} for the completion). "
            "Please reduce your prompt; or completion length.",
            code="context_length_exceeded",
        )


def _require_sampling(base: str) -> None:
    if _embeds(base) or "moderation" in base:
        raise ServiceError(403, "You are not allowed to sample from this model")


def _embeds(base: str) -> bool:
    return base.startswith("text-embedding-")
