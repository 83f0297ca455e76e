"""Edits of a syntax tree, and findings about what cannot be edited."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import libcst as cst

__all__ = ["Applier", "Edit", "Edits", "Finding", "Import", "StreamBlock"]

Edit = Callable[[Any], Any]
"""Function from a node, whose children are edited already, to its replacement."""


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """Place that could not be translated.

    Args:
        line: Number of the line, counting from 1.
        code: The code.
        hint: What to write instead.
    """

    line: int
    code: str
    hint: str


@dataclass(frozen=True, slots=True)
class Import:
    """Import that the new code needs.

    Args:
        module: The module.
        name: Name to import from it; None for the module itself.
        alias: Name to import it as, if it is another one.
    """

    module: str
    name: str | None = None
    alias: str | None = None


@dataclass(frozen=True, slots=True)
class StreamBlock:
    """Statements that use a stream, to be moved into an `async with` block.

    Args:
        opening: The statement that opens the stream.
        last: The last statement that uses it.
    """

    opening: cst.SimpleStatementLine
    last: cst.BaseStatement


@dataclass(slots=True)
class Edits:
    """Changes of a module.

    Attributes:
        by_node: Edits of nodes.
        blocks: Stream blocks of the lists of statements that contain them.
        findings: What cannot be translated.
        imports: The imports that each name of an old import is replaced by.
    """

    by_node: dict[cst.CSTNode, Edit] = field(default_factory=dict[cst.CSTNode, Edit])
    blocks: dict[cst.CSTNode, list[StreamBlock]] = field(
        default_factory=dict[cst.CSTNode, list[StreamBlock]]
    )
    findings: set[Finding] = field(default_factory=set[Finding])
    imports: dict[str, set[Import]] = field(default_factory=dict[str, set[Import]])

    def add(self, node: cst.CSTNode, edit: Edit) -> None:
        """Add an edit, after earlier ones of the same node."""
        earlier = self.by_node.get(node)
        self.by_node[node] = edit if earlier is None else lambda updated: edit(earlier(updated))

    def replace(self, node: cst.CSTNode, code: str) -> None:
        """Replace an expression by code."""
        self.by_node[node] = lambda _: cst.parse_expression(code)


class Applier(cst.CSTTransformer):
    """Transformer that applies edits.

    Args:
        edits: The edits.
    """

    def __init__(self, edits: Edits) -> None:
        super().__init__()
        self._edits = edits
        self._results: dict[cst.CSTNode, Any] = {}

    def on_leave(self, original_node: Any, updated_node: Any) -> Any:
        """Apply the edit of a node."""
        result: Any = super().on_leave(original_node, updated_node)
        edit = self._edits.by_node.get(original_node)
        if edit is not None:
            result = edit(result)
        for block in reversed(self._edits.blocks.get(original_node, ())):
            result = result.with_changes(body=self._nest(list(result.body), block))
        if isinstance(original_node, cst.BaseStatement):
            self._results[original_node] = result
        return result

    def _nest(self, statements: list[Any], block: StreamBlock) -> list[Any]:
        """Move the statements after the opening one into an `async with` block."""
        opening: cst.SimpleStatementLine = self._results[block.opening]
        first = statements.index(opening)
        last = statements.index(self._results[block.last])
        assignment = cst.ensure_type(opening.body[0], cst.Assign)
        name = cst.ensure_type(assignment.targets[0].target, cst.Name)
        inner = statements[first + 1 : last + 1]
        inner[0] = inner[0].with_changes(leading_lines=_without_blank(inner[0].leading_lines))
        nested = cst.With(
            items=[cst.WithItem(assignment.value, cst.AsName(cst.Name(name.value)))],
            body=cst.IndentedBlock(inner, header=opening.trailing_whitespace),
            asynchronous=cst.Asynchronous(),
            leading_lines=opening.leading_lines,
        )
        return [*statements[:first], nested, *statements[last + 1 :]]


def _without_blank(lines: Sequence[cst.EmptyLine]) -> list[cst.EmptyLine]:
    """Return the lines from the first comment on."""
    comments = [number for number, line in enumerate(lines) if line.comment]
    return list(lines[comments[0] :]) if comments else []
