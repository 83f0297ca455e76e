"""Endpoints that each model supports, and the service's errors for the others."""

from tunesmith.operations.chat import CreateChatCompletion
from tunesmith.service.core.errors import ServiceError, invalid
from tunesmith.service.engines.base import ModelInfo
from tunesmith.service.inference.models import Models

__all__ = [
    "check_context_length",
    "require_chat_model",
    "require_completion_model",
    "require_embedding_model",
    "require_response_model",
    "require_tool_calls",
]

_NOT_A_COMPLETION_MODEL = (
    "This is a chat model and not supported in the v1/completions endpoint. "
    "Did you mean to use v1/chat/completions?"
)
_NOT_A_CHAT_MODEL = (
    "This is not a chat model and thus not supported in the v1/chat/completions endpoint. "
    "Did you mean to use v1/completions?"
)
_ONLY_RESPONSES = "This model is only supported in v1/responses and not in {endpoint}."


def require_completion_model(models: Models, name: str) -> None:
    """Refuse a model that does not complete prompts.

    Raises:
        ServiceError: The model is unknown, or does something else.
    """
    model = _sampling_model(models, name)
    if not model.can("completions"):
        message = _NOT_A_COMPLETION_MODEL if model.can("chat") else _ONLY_RESPONSES
        raise ServiceError(404, message.format(endpoint="v1/completions"), param="model")


def require_chat_model(models: Models, name: str) -> None:
    """Refuse a model that does not chat.

    Raises:
        ServiceError: The model is unknown, or does something else.
    """
    model = _sampling_model(models, name)
    if not model.can("chat"):
        message = _NOT_A_CHAT_MODEL if model.can("completions") else _ONLY_RESPONSES
        raise ServiceError(404, message.format(endpoint="v1/chat/completions"), param="model")


def require_tool_calls(model: ModelInfo, operation: CreateChatCompletion) -> None:
    """Refuse a request with tools to a model that cannot call them.

    Raises:
        ServiceError: It cannot.
    """
    for param in ("tools", "functions"):
        if getattr(operation, param) and model.tool_calls == "refused":
            raise invalid(
                f"The model '{operation.model}' cannot call tools, since its chat template writes "
                f"no tool calls, or not in a known way. Leave out '{param}', or give the model "
                "another template.",
                param,
                "unsupported_parameter",
            )


def require_response_model(models: Models, name: str) -> None:
    """Refuse a model that does not support the Responses API.

    Raises:
        ServiceError: The model is unknown, or does something else.
    """
    if not _sampling_model(models, name).can("responses"):
        message = f"The requested model '{name}' cannot be used with the Responses API."
        raise invalid(message, "model", "unsupported_model")


def require_embedding_model(models: Models, name: str) -> None:
    """Refuse a model that does not embed.

    Raises:
        ServiceError: The model is unknown, or does something else.
    """
    if not models.info_of(name).can("embeddings"):
        raise ServiceError(403, "You are not allowed to generate embeddings from this model")


def check_context_length(prompt_tokens: int, max_tokens: int, window: int) -> None:
    """Refuse a prompt whose completion would not fit the context window.

    Args:
        prompt_tokens: Length of the prompt.
        max_tokens: Maximum length of the completion.
        window: Size of the context window.

    Raises:
        ServiceError: They do not fit.
    """
    requested = prompt_tokens + max_tokens
    if requested > window:
        raise invalid(
            f"This model's maximum context length is {window} tokens, however you requested "
            f"{requested} tokens ({prompt_tokens} in your prompt; {max_tokens} for the "
            "completion). Please reduce your prompt; or completion length.",
            code="context_length_exceeded",
        )


def _sampling_model(models: Models, name: str) -> ModelInfo:
    model = models.info_of(name)
    if not model.can("chat", "completions", "responses"):
        raise ServiceError(403, "You are not allowed to sample from this model")
    return model
