"""`create(stream=True)`, which becomes `async with ….stream(…) as stream`."""

import libcst as cst

from tunesmith._sdk_names import find_hint
from tunesmith.codemod.context import Context
from tunesmith.codemod.edits import StreamBlock
from tunesmith.codemod.scan import variables

__all__ = ["open_stream"]

_MAX_NAMES = 100


def open_stream(context: Context, call: cst.Call, method: str) -> bool:
    """Plan how a stream is opened; return whether that is possible.

    Args:
        context: The module.
        call: The call that creates the stream.
        method: The call by its new name, for the hint.
    """
    awaited = context.parent(call)
    user = context.parent(awaited) if isinstance(awaited, cst.Await) else None
    if isinstance(awaited, cst.Await) and user is not None:
        if isinstance(user, cst.WithItem):
            _drop_await(context, awaited)
            return True
        if isinstance(user, cst.For) and user.iter is awaited:
            _drop_await(context, awaited)
            _wrap_loop(context, user)
            return True
        block = _find_block(context, user) if isinstance(user, cst.Assign) else None
        if block is not None:
            _drop_await(context, awaited)
            _check_members(context, block)
            holder = context.parent(block.opening)
            context.edits.blocks.setdefault(holder or context.module, []).append(block)
            return True
    context.report(call, f"write async with {method}(…) as stream around all uses of the stream")
    return False


def _check_members(context: Context, block: StreamBlock) -> None:
    """Report members that streams do not have here."""
    assignment = cst.ensure_type(block.opening.body[0], cst.Assign)
    target = cst.ensure_type(assignment.targets[0].target, cst.Name)
    for variable in variables(context.function(target)):
        member = context.parent(variable)
        if variable.value == target.value and isinstance(member, cst.Attribute):
            hint = find_hint(("stream",), member.attr.value)
            if hint is not None:
                context.report(member, hint)


def _drop_await(context: Context, awaited: cst.Await) -> None:
    context.edits.add(awaited, lambda updated: updated.expression)


def _wrap_loop(context: Context, loop: cst.For) -> None:
    names = {name.value for name in variables(context.function(loop))}
    candidates = ["stream", *(f"stream_{number}" for number in range(2, _MAX_NAMES))]
    name = next(candidate for candidate in candidates if candidate not in names)

    def wrap(updated: cst.For) -> cst.With:
        return cst.With(
            items=[cst.WithItem(updated.iter, cst.AsName(cst.Name(name)))],
            body=cst.IndentedBlock([updated.with_changes(iter=cst.Name(name), leading_lines=[])]),
            asynchronous=cst.Asynchronous(),
            leading_lines=updated.leading_lines,
        )

    context.edits.add(loop, wrap)


def _find_block(context: Context, assignment: cst.Assign) -> StreamBlock | None:
    """Return the statements that use a stream; None if it is used elsewhere, or returned."""
    opening = context.parent(assignment)
    (target, *others) = assignment.targets
    if (
        others
        or not isinstance(target.target, cst.Name)
        or not isinstance(opening, cst.SimpleStatementLine)
        or len(opening.body) > 1
    ):
        return None
    holder = context.parent(opening)
    if not isinstance(holder, cst.IndentedBlock | cst.Module):
        return None
    following = list(holder.body)
    following = following[following.index(opening) + 1 :]
    name = target.target.value
    users = [statement for statement in following if _count(statement, name)]
    inside = sum(_count(statement, name) for statement in users)
    if not users or inside + 1 != _count(context.function(opening), name):
        return None
    if any(_escapes(statement, name) for statement in users):
        return None
    return StreamBlock(opening, users[-1])


def _escapes(node: cst.CSTNode, name: str) -> bool:
    """Return whether a stream is used after the statements have ended."""
    if isinstance(node, cst.Return | cst.Yield | cst.FunctionDef | cst.Lambda | cst.Assign):
        return _count(node, name) > _count_consumed(node, name) and not _is_awaited_use(node)
    return any(_escapes(child, name) for child in node.children)


def _count_consumed(node: cst.CSTNode, name: str) -> int:
    """Count the uses of a stream that read it to its end at once, in a list for example."""
    own = 0
    if isinstance(node, cst.ListComp | cst.SetComp | cst.DictComp):
        own = _count(node.for_in.iter, name)
    return own + sum(_count_consumed(child, name) for child in node.children)


def _is_awaited_use(node: cst.CSTNode) -> bool:
    """Return whether a value is what an awaited method of the stream returns."""
    return isinstance(node, cst.Return | cst.Assign) and isinstance(node.value, cst.Await)


def _count(node: cst.CSTNode, name: str) -> int:
    return sum(variable.value == name for variable in variables(node))
