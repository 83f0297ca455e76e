"""Names, positions and findings of a module during its analysis."""

from collections.abc import Collection, Iterator
from typing import Any, cast

import libcst as cst
from libcst.metadata import (
    MetadataWrapper,
    ParentNodeProvider,
    PositionProvider,
    QualifiedName,
    QualifiedNameProvider,
)

from tunesmith.codemod.edits import Edits, Finding, Import
from tunesmith.codemod.names import BUILTINS
from tunesmith.codemod.scan import Kind, ModuleScan, dotted_name, imported_name

__all__ = ["Context"]

_MAX_CODE_CHARS = 60
_SCOPES = (cst.Module, cst.FunctionDef, cst.ClassDef, cst.Lambda)


class Context:
    """Facts about the nodes of a module, and the edits so far.

    Args:
        wrapper: The module with its metadata.
    """

    def __init__(self, wrapper: MetadataWrapper) -> None:
        self.module = wrapper.module
        self.scan = ModuleScan()
        wrapper.visit(self.scan)
        self.edits = Edits()
        self.done: set[cst.CSTNode] = set()
        """References that need no further edit."""
        self.kept: set[str] = set()
        """Imported names that still refer to the official SDK."""
        self._names = cast("Any", wrapper.resolve(QualifiedNameProvider))
        self._parents = wrapper.resolve(ParentNodeProvider)
        self._positions = wrapper.resolve(PositionProvider)

    @property
    def is_mixed(self) -> bool:
        """Whether the module uses both clients, so that errors may come from either."""
        return self.scan.is_synchronous and "async" in self.scan.kinds

    @property
    def is_synchronous(self) -> bool:
        """Whether the module uses only the synchronous client."""
        return self.scan.is_synchronous and "async" not in self.scan.kinds

    def parent(self, node: cst.CSTNode) -> cst.CSTNode | None:
        """Return the node around a node."""
        return self._parents.get(node)

    def parents(self, node: cst.CSTNode) -> Iterator[cst.CSTNode]:
        """Yield the nodes around a node, innermost first."""
        around = self.parent(node)
        while around is not None:
            yield around
            around = self.parent(around)

    def scopes(self, node: cst.CSTNode) -> list[cst.CSTNode]:
        """Return the scopes around a node, outermost first."""
        scopes: list[cst.CSTNode] = []
        scopes += (around for around in self.parents(node) if isinstance(around, _SCOPES))
        return scopes[::-1]

    def function(self, node: cst.CSTNode) -> cst.CSTNode:
        """Return the function around a node, or the module."""
        return next(
            (around for around in self.parents(node) if isinstance(around, cst.FunctionDef)),
            self.module,
        )

    def official_name(self, node: cst.CSTNode) -> str | None:
        """Return the path of a name of the official SDK; None for others."""
        lazy = self._names.get(node, ())
        names = cast("Collection[QualifiedName]", lazy() if callable(lazy) else lazy)
        return imported_name(names)

    def kind_of(self, node: cst.BaseExpression) -> Kind | None:
        """Return the kind of an expression, such as a client."""
        return self.scan.kind_of(node, self.scopes(node), self.official_name)

    def report(self, node: cst.CSTNode, hint: str, *, code: str | None = None) -> None:
        """Add a finding about a node that cannot be translated."""
        text = " ".join((code or self.module.code_for_node(node)).split())
        if len(text) > _MAX_CODE_CHARS:
            text = text[: _MAX_CODE_CHARS - 2] + " …"
        self.edits.findings.add(Finding(self._positions[node].start.line, text, hint))

    def refer(self, node: cst.CSTNode, path: str) -> str:
        """Return how the new code refers to a name, and note the import for it.

        Args:
            node: The old reference, a name or an attribute.
            path: The new name, such as `tunesmith.types.ChatCompletion`.
        """
        return self.refer_by_name(dotted_name(node) or "", self.official_name(node) or "", path)

    def refer_by_name(self, dotted: str, official: str, path: str) -> str:
        """Return how the new code refers to a name, and note the import for it.

        Args:
            dotted: The old reference as text.
            official: The old name, such as `openai.types.chat.ChatCompletion`.
            path: The new name.
        """
        root = dotted.partition(".")[0]
        imports = self.edits.imports.setdefault(root, set())
        module, _, name = path.rpartition(".")
        if path in BUILTINS:
            return path
        if root != dotted or module == "httpx":
            if module not in self.scan.modules:
                imports.add(Import(module))
            return path
        is_renamed = official.rpartition(".")[2] != root
        if is_renamed or (name != root and name in self.scan.names):
            imports.add(Import(module, name, alias=None if name == root else root))
            return root
        imports.add(Import(module, name))
        return name
