"""The public names of the official SDK, as JSON; run in an environment that has it."""

import importlib
import inspect
import json
import sys

import openai
import pydantic

OBJECTS = {
    "page": "openai.pagination:AsyncCursorPage",
    "stream": "openai:AsyncStream",
    "chat_stream": "openai.lib.streaming.chat:AsyncChatCompletionStream",
    "response_stream": "openai.lib.streaming.responses:AsyncResponseStream",
    "chunk": "openai.types.chat:ChatCompletionChunk",
    "result": "openai.types.chat:ChatCompletion",
    "error": "openai:APIStatusError",
    "file": "openai._legacy_response:HttpxBinaryResponseContent",
    "raw": "openai._legacy_response:LegacyAPIResponse",
}


def parameters(function):
    return [
        parameter.name
        for parameter in list(inspect.signature(function).parameters.values())[1:]
        if parameter.kind is not parameter.VAR_KEYWORD
    ]


def methods(resource, path):
    """Yield the path and the parameters of each method below a resource."""
    for name in sorted(dir(type(resource))):
        if name.startswith(("_", "with_")):
            continue
        value = inspect.getattr_static(type(resource), name)
        if inspect.isfunction(value):
            yield f"{path}.{name}", parameters(value)
        elif isinstance(value, property) or hasattr(value, "attrname"):
            part = getattr(resource, name)
            if ".resources." in type(part).__module__:
                yield from methods(part, f"{path}.{name}")
            elif path == "client":
                yield f"{path}.{name}", []


def names(path):
    module, _, name = path.partition(":")
    cls = getattr(importlib.import_module(module), name)
    inherited = set(dir(pydantic.BaseModel)) | set(dir(Exception))
    annotated = {key for base in cls.__mro__ for key in getattr(base, "__annotations__", {})}
    own = {key for key in {*dir(cls), *annotated} if not key.startswith("_")}
    return sorted(own - inherited)


client = openai.AsyncOpenAI(api_key="sk-1")
surface = {
    "version": openai.__version__,
    "module": sorted(openai.__all__),
    "constructor": parameters(openai.AsyncOpenAI.__init__),
    "methods": dict(methods(client, "client")),
    "objects": {owner: names(path) for owner, path in OBJECTS.items()},
}
sys.stdout.write(json.dumps(surface))
