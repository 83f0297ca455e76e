"""Names of the official SDK that are written otherwise here, or deliberately missing.

Errors about missing names, the comparison of both SDKs and `tunesmith migrate` read these tables.
Owners are the objects on which users look for a name: the module `openai`, its `types`, the
`client`, any `resource`, a `list` before it is awaited, a `page`, a `stream`, its `chunk` or
`event`, a `result`, an `error`, the content of a `file`, and the `parameter`s of any method, or of
one operation.
"""

from collections.abc import Mapping

__all__ = ["ABSENT", "INSTEAD", "SYNCHRONOUS", "find_hint"]

_ASYNC = "async with tunesmith.AsyncClient() as client: … (run the coroutine with anyio.run)"
_TIMEOUT = "timeout=30 (seconds of an attempt), deadline=60 (seconds of a call)"
_HTTP_CLIENT = "http_client=httpx.AsyncClient(…)"
_OPTIONS = "client.with_options(…)"
_AZURE = "tunesmith.AsyncClient(backend=tunesmith.AzureBackend(…))"
_AWAIT_LIST = "(await client.….list(…))"
_ALL_PAGES = "async for item in client.….list(…), which reads all pages"
_RAW = "client.….with_raw_response.….parse()"
_EVENT = "tunesmith.types.ResponseStreamEvent for all events, and event.type == '…'"
_EVENTS = (
    "Completed", "ContentPartAdded", "ContentPartDone", "Created", "Error", "Failed",
    "FunctionCallArgumentsDelta", "FunctionCallArgumentsDone", "InProgress", "Incomplete",
    "OutputItemAdded", "OutputItemDone", "ReasoningSummaryTextDelta", "ReasoningSummaryTextDone",
    "RefusalDelta", "RefusalDone", "TextDelta", "TextDone",
)  # fmt: skip
_RESOURCES = (
    "batches", "chat", "completions", "embeddings", "files", "fine_tuning", "models",
    "moderations", "responses",
)  # fmt: skip
_RAW_REQUEST = "client.caller.call(…) with an operation class (tunesmith.operations)"

INSTEAD: Mapping[str, Mapping[str, str]] = {
    "openai": {
        "AsyncOpenAI": "tunesmith.AsyncClient(…)",
        "OpenAI": _ASYNC,
        "Client": _ASYNC,
        "AsyncAzureOpenAI": _AZURE,
        "AzureOpenAI": _AZURE,
        "AsyncStream": "tunesmith.Stream",
        "BaseModel": "pydantic.BaseModel",
        "NotGiven": "None",
        "Omit": "None",
        "NoneType": "None",
        "Timeout": _TIMEOUT,
        "RequestOptions": "extra_headers=…, extra_query=…, extra_body=…, timeout=… of a method",
        "DEFAULT_TIMEOUT": "timeout=… of tunesmith.AsyncClient",
        "DEFAULT_MAX_RETRIES": "max_retries=… of tunesmith.AsyncClient",
        "DEFAULT_CONNECTION_LIMITS": "max_connections=… of tunesmith.HttpxBackend",
        "DefaultAioHttpClient": "transport='fast' of tunesmith.AsyncClient",
        "DefaultAsyncHttpxClient": _HTTP_CLIENT,
        "DefaultAsyncHttpx2Client": _HTTP_CLIENT,
        "DefaultHttpxClient": _HTTP_CLIENT,
        "DefaultHttpx2Client": _HTTP_CLIENT,
        "ProxiesTypes": _HTTP_CLIENT,
        "Transport": _HTTP_CLIENT,
        "file_from_path": "client.files.upload(path)",
        "OpenAIError": "tunesmith.TunesmithError",
        "APIResponseValidationError": "tunesmith.InvalidResponseError",
        "LengthFinishReasonError": "tunesmith.InvalidResponseError",
        "ContentFilterFinishReasonError": "tunesmith.InvalidResponseError",
        "APIResponse": _RAW,
        "AsyncAPIResponse": _RAW,
        "VERSION": "tunesmith.__version__",
        "__title__": "tunesmith.__name__",
        "pagination": "tunesmith.Page",
        # Names of the versions before 1.0, and of the module used as a client.
        "ChatCompletion": "client.chat.completions.create(…)",
        "Completion": "client.completions.create(…)",
        "Embedding": "client.embeddings.create(…)",
        "File": "client.files.create(…)",
        "FineTune": "client.fine_tunes.create(…)",
        "FineTuningJob": "client.fine_tuning.jobs.create(…)",
        "Model": "client.models.list()",
        "Moderation": "client.moderations.create(…)",
        "error": "tunesmith.errors",
        "api_type": _AZURE,
        "api_version": _AZURE,
        "azure_endpoint": _AZURE,
        "proxy": _HTTP_CLIENT,
        "api_key": "tunesmith.AsyncClient(api_key=…)",
        "api_base": "tunesmith.AsyncClient(base_url=…)",
        "base_url": "tunesmith.AsyncClient(base_url=…)",
        "organization": "tunesmith.AsyncClient(organization=…)",
        **{name: f"client.{name} with client = tunesmith.AsyncClient()" for name in _RESOURCES},
    },
    "types": {
        "ChatCompletionMessageToolCall": "tunesmith.types.ChatCompletionMessageFunctionToolCall",
        "ChatCompletionToolUnionParam": "tunesmith.types.ChatCompletionToolParam",
        "ChatCompletionMessageToolCallUnionParam": (
            "tunesmith.types.ChatCompletionMessageToolCallParam"
        ),
        "ChatModel": "str",
        "EmbeddingModel": "str",
        "ModerationModel": "str",
        "ResponsesModel": "str",
        "ModerationCreateResponse": "tunesmith.types.CreateModerationResponse",
        "ParsedResponseOutputMessage": "tunesmith.types.ResponseOutputMessage",
        "ParsedResponseFunctionToolCall": "tunesmith.types.ResponseFunctionToolCall",
        "ResponseFunctionToolCallItem": "tunesmith.types.ResponseFunctionToolCall",
        **{f"Response{kind}Event": _EVENT for kind in _EVENTS},
    },
    "client": {
        "beta": "client.chat.completions.parse(…), without beta; for its other parts, such as "
        "threads, use the official SDK",
        "ChatCompletion": "client.chat.completions.create(…)",
        "Completion": "client.completions.create(…)",
        "Embedding": "client.embeddings.create(…)",
        "base_url": "client.backend.base_url",
        "is_closed": "client.backend.closed",
        "default_headers": f"{_OPTIONS} to change them",
        "default_query": f"{_OPTIONS} to change it",
        "api_key": "tunesmith.AsyncClient(api_key=…), also a function that returns the current key",
        "timeout": _OPTIONS,
        "max_retries": _OPTIONS,
        "organization": "tunesmith.AsyncClient(organization=…)",
        "project": "tunesmith.AsyncClient(project=…)",
        "delete": _RAW_REQUEST,
        "get": _RAW_REQUEST,
        "get_api_list": _RAW_REQUEST,
        "patch": _RAW_REQUEST,
        "post": _RAW_REQUEST,
        "put": _RAW_REQUEST,
        "request": _RAW_REQUEST,
        "completion": "client.completions.create(…)",
        "with_raw_response": "client.….with_raw_response at the resource, such as client.files",
        "with_streaming_response": "client.….stream(…), or client.files.content(…).stream()",
    },
    "beta": {
        "chat": "client.chat",
        "responses": "client.responses",
    },
    "resource": {
        "retrieve": "list(…)",
        "with_streaming_response": "….stream(…), or client.files.content(…).stream()",
        "acreate": "await ….create(…)",
        "retrieve_content": "client.files.content(…).text()",
        "create_and_poll": "create(…), then wait(…)",
    },
    "list": {
        "data": f"{_AWAIT_LIST}.data",
        "has_more": f"{_AWAIT_LIST}.has_more",
        "has_next_page": f"{_AWAIT_LIST}.has_more",
        "get_next_page": f"await {_AWAIT_LIST}.next_page()",
        "iter_pages": f"{_AWAIT_LIST}, then page.next_page() in a loop",
        "auto_paging_iter": _ALL_PAGES,
    },
    "page": {
        "auto_paging_iter": "async for item in page",
        "has_next_page": "page.has_more",
        "get_next_page": "page.next_page(), which returns None after the last",
        "next_page_info": "page.next_page()",
        "iter_pages": "page.next_page() in a loop",
    },
    "stream": {
        "aclose": "async with, which closes the stream",
        "close": "async with, which closes the stream",
        "until_done": "stream.final_response()",
        "text_deltas": "async for chunk in stream",
        "current_completion_snapshot": "stream.final_response() at the end",
    },
    "chunk": {
        "content": "chunk.choices[0].delta.content",
        "delta": "chunk.choices[0].delta",
        "type": "chunk.choices[0].delta, as streams consist of chunks as with stream=True",
    },
    "event": {
        "choices": "event.delta, of events whose type is response.output_text.delta",
        "snapshot": "the deltas so far, joined",
    },
    "completion": {
        "output_parsed": "client.chat.completions.parse(…), then choices[0].message.parsed",
        "output_text": "completion.choices[0].message.content",
    },
    "message": {
        "parsed": "client.chat.completions.parse(…)",
    },
    "choice": {"text": "choice.message.content"},
    "completion_choice": {"message": "choice.text", "delta": "choice.text"},
    "usage": {"prompt_tokens": "usage.input_tokens", "completion_tokens": "usage.output_tokens"},
    "completion_usage": {
        "input_tokens": "usage.prompt_tokens",
        "output_tokens": "usage.completion_tokens",
    },
    "response": {
        "choices": "response.output_text",
        "message": "response.output_text",
        "output_parsed": "client.responses.parse(…)",
    },
    "result": {
        "get": "result.to_dict().get(…), or the attribute",
        "keys": "result.to_dict().keys()",
        "to_dict_recursive": "result.to_dict()",
        "headers": "result.response.headers",
        "request_id": "result.response.request_id",
        "http_response": "result.response",
    },
    "error": {
        "error": "error.body",
        "response": "error.status, error.headers, error.body (parsed) and error.text",
        "request": "error.operation, the name of the operation",
        "http_status": "error.status",
        "user_message": "error.message",
        "json_body": "error.body",
    },
    "file": {
        "content": "await client.files.content(…).read()",
        "aread": "await client.files.content(…).read()",
        "iter_bytes": "async with client.files.content(…).stream() as chunks",
        "aiter_bytes": "async with client.files.content(…).stream() as chunks",
        "iter_lines": "(await client.files.content(…).text()).splitlines()",
        "aiter_lines": "(await client.files.content(…).text()).splitlines()",
        "iter_raw": "async with client.files.content(…).stream() as chunks",
        "aiter_raw": "async with client.files.content(…).stream() as chunks",
        "iter_text": "await client.files.content(…).text()",
        "aiter_text": "await client.files.content(…).text()",
        "encoding": "await client.files.content(…).text(encoding)",
        "charset_encoding": "await client.files.content(…).text(encoding)",
        "response": "async with client.files.content(…).stream() as chunks, then chunks.info",
        "aclose": "async with client.files.content(…).stream(), which closes it",
        "close": "async with client.files.content(…).stream(), which closes it",
        "json": "json.loads(await client.files.content(…).read())",
        "write_to_file": "await client.files.content(…).write_to(path)",
        "stream_to_file": "await client.files.content(…).write_to(path)",
        "astream_to_file": "await client.files.content(…).write_to(path)",
    },
    "raw": {
        "content": "raw.parse().to_json()",
        "text": "raw.parse().to_json()",
        "elapsed": "raw.parse().response.elapsed (seconds)",
        "http_response": "raw.parse().response",
    },
    "parameter": {
        "stream": "….stream(…)",
        "id": "the ID as first argument",
        "response_id": "client.responses.follow(…)",
        "starting_after": "client.responses.follow(…)",
        "verbosity": "text={'verbosity': …}",
        "set_default_headers": "default_headers=…, which adds to those of the client",
        "set_default_query": "default_query=…, which adds to those of the client",
        "request_timeout": "timeout=…",
        "engine": "model=…",
        "deployment_id": "model=…",
        "api_key": "tunesmith.AsyncClient(api_key=…)",
        "api_base": "tunesmith.AsyncClient(base_url=…)",
        "headers": "extra_headers=…",
        "idempotency_key": "extra_headers={'Idempotency-Key': …}",
        "text_format": "client.responses.parse(…)",
        "cast_to": "tunesmith.operations",
        "api_version": _AZURE,
        "azure_ad_token": _AZURE,
        "azure_ad_token_provider": _AZURE,
        "azure_deployment": _AZURE,
        "azure_endpoint": _AZURE,
    },
    "chat.completions.parse": {"text_format": "response_format=…"},
    "responses.parse": {"response_format": "text_format=…"},
    "chat.completions.create": {
        "input": "messages=…",
        "prompt": "messages=…",
        "instructions": "messages=… with a message of the role developer",
        "max_output_tokens": "max_completion_tokens=…",
        "reasoning": "reasoning_effort=…",
        "text": "response_format=…",
        "text_format": "client.chat.completions.parse(…)",
        "previous_response_id": "messages=… with the whole conversation",
    },
    "completions.create": {
        "input": "prompt=…",
        "messages": "client.chat.completions.create(…)",
        "max_completion_tokens": "max_tokens=…",
        "max_output_tokens": "max_tokens=…",
    },
    "fine_tuning.jobs.create": {
        name: f"hyperparameters={{{name!r}: …}}"
        for name in ("batch_size", "learning_rate_multiplier", "n_epochs")
    },
    "responses.create": {
        "messages": "input=…",
        "max_completion_tokens": "max_output_tokens=…",
        "max_tokens": "max_output_tokens=…",
        "reasoning_effort": "reasoning={'effort': …}",
        "response_format": "text={'format': …}",
    },
}
"""Line to write instead of a name, by owner and name."""

_OTHER_PARTS = "tunesmith does not cover this part of the API; use the official SDK beside it"
_WEBSOCKETS = "tunesmith has no WebSockets; use the official SDK beside it"
_ENDPOINTS = "webhook endpoints are managed in the dashboard or with the official SDK"
_ENDPOINT_METHODS = (
    "create", "delete", "event_types", "list", "retrieve", "rotate_secret", "test", "update",
)  # fmt: skip
_CLOUDS = "tunesmith has no backend for this cloud; write one (see Write a backend)"
_COMPUTER_USE = "tunesmith does not operate computers; use the official SDK beside it"
_INTERNAL = "a detail of the official SDK"
_TOKENS = "use api_key= with a function that returns the current token"

ABSENT: Mapping[str, Mapping[str, str]] = {
    "openai": {
        "AsyncBedrockOpenAI": _CLOUDS,
        "BedrockOpenAI": _CLOUDS,
        "DataResidency": "pass the URL of the region as base_url=",
        "OAuthError": _TOKENS,
        "AsyncComputerDriver": _COMPUTER_USE,
        "AsyncComputerToolset": _COMPUTER_USE,
        "ComputerDriver": _COMPUTER_USE,
        "ComputerToolset": _COMPUTER_USE,
        "ReconnectingEvent": _WEBSOCKETS,
        "ReconnectingOverrides": _WEBSOCKETS,
        "WebSocketConnectionClosedError": _WEBSOCKETS,
        "WebSocketQueueFullError": _WEBSOCKETS,
        "AssistantEventHandler": _OTHER_PARTS,
        "AsyncAssistantEventHandler": _OTHER_PARTS,
        **dict.fromkeys(("audio", "beta", "images", "vector_stores"), _OTHER_PARTS),
        "lib": _INTERNAL,
        "log": _INTERNAL,
        "_types": _INTERNAL,
        "Edit": _OTHER_PARTS,
        "Image": _OTHER_PARTS,
        "Audio": _OTHER_PARTS,
    },
    "client": {
        **dict.fromkeys(
            (
                "admin",
                "audio",
                "containers",
                "content_provenance_checks",
                "conversations",
                "decisions",
                "evals",
                "images",
                "safety",
                "skills",
                "vector_stores",
                "videos",
            ),
            _OTHER_PARTS,
        ),
        "live": _WEBSOCKETS,
        "realtime": _WEBSOCKETS,
        "auth_headers": _INTERNAL,
        "custom_auth": _INTERNAL,
        "platform_headers": _INTERNAL,
        "qs": _INTERNAL,
        "user_agent": _INTERNAL,
    },
    "beta": {
        **dict.fromkeys(("agents", "assistants", "chatkit", "threads"), _OTHER_PARTS),
        "realtime": _WEBSOCKETS,
    },
    "resource": {
        "compact": _OTHER_PARTS,
        "connect": _WEBSOCKETS,
    },
    "webhooks": dict.fromkeys(_ENDPOINT_METHODS, _ENDPOINTS),
    "raw": dict.fromkeys(("http_request", "http_version", "is_closed", "method", "url"), _INTERNAL),
    "parameter": {
        "_enforce_credentials": _INTERNAL,
        "_extra_kwargs": _INTERNAL,
        "_strict_response_validation": "responses are read leniently",
        "admin_api_key": _OTHER_PARTS,
        "parse_as": "only JSON is parsed",
        **dict.fromkeys(
            ("base_url", "http_client", "organization", "project", "webhook_secret"),
            "create another client, which has its own connections",
        ),
        "data_residency": "pass the URL of the region as base_url=",
        "provider": _CLOUDS,
        "websocket_base_url": _WEBSOCKETS,
        "workload_identity": _TOKENS,
    },
}
"""Reason why a name is missing, by owner and name."""

SYNCHRONOUS = frozenset(
    {"APIResponse", "AzureOpenAI", "BedrockOpenAI", "Client", "OpenAI", "Stream"}
    | {"DefaultHttpxClient", "DefaultHttpx2Client"}
)
"""Names of the module that belong to the synchronous client."""


def find_hint(owners: tuple[str, ...], name: str) -> str | None:
    """Return what to write instead of a name, or why it is missing; None for other names.

    Args:
        owners: Owners to search, most specific first.
        name: The name.
    """
    for owner in owners:
        if name in INSTEAD.get(owner, {}):
            return f"write {INSTEAD[owner][name]}"
        if name in ABSENT.get(owner, {}):
            return ABSENT[owner][name]
    return None
