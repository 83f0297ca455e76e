"""Calls of clients: their constructors, methods and parameters."""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import libcst as cst

from tunesmith._sdk_names import INSTEAD, find_hint
from tunesmith.codemod.client_methods import (
    NEW_CLIENT,
    find_method,
    find_method_suffix,
    hint_for_member,
    parameters_of,
)
from tunesmith.codemod.context import Context
from tunesmith.codemod.names import translate_parameter
from tunesmith.codemod.scan import ASYNC_CLIENTS, Kind, variables
from tunesmith.codemod.streams import open_stream

__all__ = ["drop_beta", "translate_call", "translate_member_path"]

_AZURE = {
    "azure_endpoint": "endpoint",
    "azure_deployment": "deployment",
    "api_version": "api_version",
    "api_key": "api_key",
    "azure_ad_token_provider": "azure_ad_token_provider",
    "http_client": "http_client",
}
"""Parameters of the Azure client that belong to the backend, and their names there."""

_EQUAL = cst.AssignEqual(cst.SimpleWhitespace(""), cst.SimpleWhitespace(""))
_NOT_AWAITED = frozenset({"copy", "webhooks", "with_options"})
_TIMEOUTS = frozenset({"httpx.Timeout", "openai.Timeout"})
_IN_FILE = re.compile(r"await client\.files\.content\(…\)\.(\w+)\((\w*)\)")


class _Method(NamedTuple):
    """Method of a client that is called.

    Attributes:
        kind: Kind of the client; None if it is unknown.
        parts: Names of the method below the client.
    """

    kind: Kind | None
    parts: list[str]

    @property
    def name(self) -> str:
        return ".".join(part for part in self.parts if part not in {"beta", "with_raw_response"})


def translate_call(context: Context, call: cst.Call) -> None:
    """Translate a call, if it belongs to the official SDK."""
    path = context.official_name(call.func)
    if path in ASYNC_CLIENTS:
        _translate_constructor(context, call, path)
        return
    method = _find_called_method(context, call)
    if method is None:
        return
    if method.kind is None:
        is_async = isinstance(context.parent(call), cst.Await)
        method = method._replace(kind="async" if is_async else "sync")
        if not is_async and not context.scan.is_synchronous:
            return
    if method.kind == "sync":
        _report_synchronous(context, call, method)
    elif method.kind == "async":
        _translate_method(context, call, method)


def _find_called_method(context: Context, call: cst.Call) -> _Method | None:
    """Return the method that is called, of a client or of what looks like one."""
    parts: list[str] = []
    node = call.func
    while isinstance(node, cst.Attribute):
        parts.insert(0, node.attr.value)
        node = node.value
        kind = context.kind_of(node)
        if kind in {"async", "sync"}:
            return _Method(kind, parts)
        if kind is not None:
            return None
    root = [node.value] if isinstance(node, cst.Name) else [""]
    suffix = find_method_suffix([*root, *parts])
    return _Method(None, suffix) if suffix else None


def _report_synchronous(context: Context, call: cst.Call, method: _Method) -> None:
    if not callable(find_method([part for part in method.parts if part != "beta"])):
        context.report(call, hint_for_member(method.parts) or "the call is synchronous")
    elif _is_streamed(call) or method.parts[-1] == "stream":
        resource = method.name.rpartition(".")[0]
        context.report(
            call, f"write async with client.{resource}.stream(…) as stream, in an async function"
        )
    elif method.parts[0] not in _NOT_AWAITED:
        context.report(call, f"write await client.{method.name}(…), in an async function")


def _translate_constructor(context: Context, call: cst.Call, path: str) -> None:
    new = context.refer(call.func, "tunesmith.AsyncClient")
    context.edits.replace(call.func, new)
    context.done.add(call.func)
    if path == "openai.AsyncAzureOpenAI":
        _translate_azure(context, call)
        return
    for argument in call.args:
        _check_argument(context, argument, "AsyncClient", parameters_of(NEW_CLIENT))


def _translate_azure(context: Context, call: cst.Call) -> None:
    backend = context.refer(call.func, "tunesmith.AzureBackend")
    known = parameters_of(NEW_CLIENT) - {"base_url", "organization", "project"}
    names = {argument.keyword.value for argument in call.args if argument.keyword}
    for argument in call.args:
        if argument.keyword is None or argument.keyword.value not in _AZURE:
            _check_argument(context, argument, "AsyncClient", known)
    has_credentials = names & {"api_key", "azure_ad_token_provider"}
    if not {"azure_endpoint", "api_version"} <= names or not has_credentials:
        context.report(
            call,
            "tunesmith.AzureBackend reads no environment variables: pass azure_endpoint, "
            "api_version and api_key or azure_ad_token_provider",
        )

    def move(updated: cst.Call) -> cst.Call:
        own = [arg for arg in updated.args if _keyword(arg) not in _AZURE]
        inner = [
            cst.Arg(arg.value, cst.Name(_AZURE[name]), equal=_EQUAL)
            for arg in updated.args
            if (name := _keyword(arg)) in _AZURE
        ]
        # It takes the place of the first argument; the last one is before the closing bracket.
        place = updated.args[0 if own else -1] if updated.args else cst.Arg(cst.Name("None"))
        argument = place.with_changes(
            value=cst.Call(cst.parse_expression(backend), inner),
            keyword=cst.Name("backend"),
            equal=_EQUAL,
        )
        return updated.with_changes(args=[argument, *own])

    context.edits.add(call, move)


def _keyword(argument: cst.Arg) -> str:
    return argument.keyword.value if argument.keyword else ""


def _check_argument(
    context: Context, argument: cst.Arg, operation: str, known: frozenset[str]
) -> None:
    """Rename a parameter, convert a timeout, or report what the method does not take."""
    name = _keyword(argument)
    if not name:
        return
    if name not in known:
        new = translate_parameter(operation, name)
        if new.path is None:
            context.report(argument, new.hint, code=f"{name}=…")
        else:
            keyword = cst.Name(new.path)
            context.edits.add(argument, lambda updated: updated.with_changes(keyword=keyword))
    elif name == "timeout" and isinstance(argument.value, cst.Call):
        _convert_timeout(context, argument, argument.value)


def _convert_timeout(context: Context, argument: cst.Arg, call: cst.Call) -> None:
    name = context.official_name(call.func) or context.module.code_for_node(call.func)
    if name not in _TIMEOUTS:
        return
    positional = [arg.value for arg in call.args if arg.keyword is None]
    if len(call.args) == 1 and positional:
        (seconds,) = positional
        context.edits.add(argument, lambda updated: updated.with_changes(value=seconds))
        context.done.add(call.func)
    else:
        context.report(argument, f"write {INSTEAD['openai']['Timeout']}")


def _is_streamed(call: cst.Call) -> bool:
    return any(_keyword(arg) == "stream" and not _is_false(arg.value) for arg in call.args)


def _is_false(value: cst.BaseExpression) -> bool:
    return isinstance(value, cst.Name) and value.value in {"False", "None", "NOT_GIVEN", "omit"}


def _translate_method(context: Context, call: cst.Call, method: _Method) -> None:
    parts = [part for part in method.parts if part != "beta"]
    existing = find_method(parts)
    if method.name == "files.content":
        _translate_content(context, call)
    if not callable(existing):
        _translate_missing(context, call, method)
        return
    if parts[-1] == "stream" and parts[0] == "chat":
        context.report(call, f"events are chunks: write {INSTEAD['chunk']['type']}")
    _translate_stream(context, call, method)
    operation = method.name.replace(".stream", ".create")
    for argument in call.args:
        if _keyword(argument) != "stream":
            _check_argument(context, argument, operation, parameters_of(existing))


def _translate_stream(context: Context, call: cst.Call, method: _Method) -> None:
    """Replace `create(stream=True)` by `stream()`; leave out `stream=False`."""
    flag = next((arg for arg in call.args if _keyword(arg) == "stream"), None)
    if flag is None:
        return
    resource, _, verb = method.name.rpartition(".")
    new = "follow" if verb == "retrieve" else "stream"
    if _is_false(flag.value):
        context.edits.add(call, _without("stream"))
    elif not (isinstance(flag.value, cst.Name) and flag.value.value == "True"):
        context.report(call, f"write {verb}(…), or async with {new}(…) for a stream")
    elif open_stream(context, call, f"client.{resource}.{new}"):
        context.edits.add(call, _without("stream"))
        context.edits.add(call.func, lambda updated: updated.with_changes(attr=cst.Name(new)))


def _without(name: str) -> Callable[[cst.Call], cst.Call]:
    def edit(updated: cst.Call) -> cst.Call:
        args = [arg for arg in updated.args if _keyword(arg) != name]
        if args and updated.args and _keyword(updated.args[-1]) == name:
            # The place of the closing bracket belongs to the last argument.
            args[-1] = args[-1].with_changes(
                comma=updated.args[-1].comma,
                whitespace_after_arg=updated.args[-1].whitespace_after_arg,
            )
        return updated.with_changes(args=args)

    return edit


def _translate_missing(context: Context, call: cst.Call, method: _Method) -> None:
    if method.name == "files.retrieve_content":
        awaited = context.parent(call)
        name = cst.Name("content")
        context.edits.add(call.func, lambda updated: updated.with_changes(attr=name))
        if isinstance(awaited, cst.Await):
            context.edits.add(awaited, lambda updated: _await_method(updated.expression, "text"))
        return
    context.report(call, hint_for_member(method.parts) or "", code=f"….{method.name}(…)")


def _await_method(value: cst.BaseExpression, name: str, args: Any = ()) -> cst.Await:
    return cst.Await(cst.Call(cst.Attribute(value, cst.Name(name)), list(args)))


def _translate_content(context: Context, call: cst.Call) -> None:
    """Replace what is read from `await client.files.content(…)` by an awaited method."""
    awaited = context.parent(call)
    user = context.parent(awaited) if awaited else None
    if isinstance(awaited, cst.Await) and isinstance(user, cst.Attribute):
        if _translate_content_member(context, user):
            context.edits.add(awaited, lambda updated: updated.expression)
            return
    elif isinstance(awaited, cst.Await) and isinstance(user, cst.Assign):
        target = user.targets[0].target
        if isinstance(target, cst.Name) and _translate_content_uses(context, target):
            context.edits.add(awaited, lambda updated: updated.expression)
            return
    context.report(call, "write await client.files.content(…).read(), without awaiting the content")


def _translate_content_uses(context: Context, target: cst.Name) -> bool:
    """Translate the uses of a variable with the content of a file; return whether all were."""
    uses = [
        name
        for name in variables(context.function(target))
        if name.value == target.value and name is not target
    ]
    members = [context.parent(use) for use in uses]
    attributes = [node for node in members if isinstance(node, cst.Attribute)]
    if len(attributes) < len(members):
        return False
    return all([_translate_content_member(context, attribute) for attribute in attributes])  # noqa: C419 - all are translated


_SAME_IN_FILE: Mapping[str, str] = {"read": "read", "text": "text"}
"""Members of the content of a file that are awaited methods here."""


def _translate_content_member(context: Context, member: cst.Attribute) -> bool:
    name = member.attr.value
    hint = INSTEAD["file"].get(name, "")
    code = _IN_FILE.fullmatch(hint)
    new = _SAME_IN_FILE.get(name) or (code[1] if code else None)
    caller = context.parent(member)
    is_called = isinstance(caller, cst.Call) and caller.func is member
    if new is None:
        context.report(member, find_hint(("file",), name) or "", code=f"….{name}")
        return False
    if not is_called:
        context.edits.add(member, lambda updated: _await_method(updated.value, new))
        return True
    context.edits.add(member, lambda updated: updated.with_changes(attr=cst.Name(new)))
    around = context.parent(caller) if caller else None
    if caller is not None and not isinstance(around, cst.Await):  # `aread` is awaited already
        context.edits.add(caller, cst.Await)
    return True


def translate_member_path(context: Context, node: cst.Attribute) -> None:
    """Translate `client.beta.…`, or report a member of a client that is missing."""
    parts: list[str] = []
    inner: cst.BaseExpression = node
    while isinstance(inner, cst.Attribute):
        parts.insert(0, inner.attr.value)
        inner = inner.value
        if context.kind_of(inner) == "async":
            hint = hint_for_member(parts)
            if hint is not None:
                context.report(node, hint)
            return


def drop_beta(context: Context, node: cst.Attribute) -> None:
    """Leave `beta` out, where the client has the same without it."""
    inner = node.value
    if (
        isinstance(inner, cst.Attribute)
        and inner.attr.value == "beta"
        and INSTEAD["beta"].get(node.attr.value) == f"client.{node.attr.value}"
    ):
        context.edits.add(node, lambda updated: updated.with_changes(value=updated.value.value))
