"""Scan of a module: which of its names are clients of the official SDK."""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Literal

import libcst as cst
from libcst.metadata import ParentNodeProvider, QualifiedName, QualifiedNameProvider

from tunesmith.codemod.names import public_path, translate_name

__all__ = ["ASYNC_CLIENTS", "Kind", "ModuleScan", "dotted_name", "imported_name", "variables"]

Kind = Literal["async", "sync", "module"]
"""Kind of a client: asynchronous, synchronous, or the module used as one."""

ASYNC_CLIENTS = frozenset({"openai.AsyncOpenAI", "openai.AsyncAzureOpenAI", "openai.AsyncClient"})
_SYNC_CLIENTS = frozenset({"openai.OpenAI", "openai.AzureOpenAI", "openai.Client"})
_COPIES = frozenset({"copy", "with_options"})

OfficialName = Callable[[cst.CSTNode], str | None]
Scope = cst.CSTNode


def dotted_name(node: cst.CSTNode | None) -> str | None:
    """Return an expression such as `self.client` as text; None for others."""
    if isinstance(node, cst.Name):
        return node.value
    if isinstance(node, cst.Attribute):
        inner = dotted_name(node.value)
        return inner and f"{inner}.{node.attr.value}"
    return None


def variables(node: cst.CSTNode) -> Iterator[cst.Name]:
    """Yield the names in a node that are neither attributes nor keywords."""
    if isinstance(node, cst.Name):
        yield node
    elif isinstance(node, cst.Attribute | cst.Arg):
        yield from variables(node.value)
    else:
        for child in node.children:
            yield from variables(child)


def imported_name(names: Collection[QualifiedName]) -> str | None:
    """Return the path of an expression that was imported from the official SDK; None for others."""
    for name in names:
        if name.source.name == "IMPORT" and name.name.split(".")[0] == "openai":
            return public_path(name.name)
    return None


class ModuleScan(cst.CSTVisitor):
    """Names bound in each scope of a module.

    Attributes:
        kinds: Kinds of the clients that the module creates or is passed.
        is_synchronous: Whether it uses the synchronous client, or the module as a client.
        names: All names in the module, but for attributes and keywords.
        modules: Modules that it imports by their own names.
        imported: Paths of the official SDK's names, by the names that imports bind.
    """

    METADATA_DEPENDENCIES = (QualifiedNameProvider, ParentNodeProvider)

    def __init__(self) -> None:
        super().__init__()
        self.kinds: set[Kind] = set()
        self.is_synchronous = False
        self.names: set[str] = set()
        self.modules: set[str] = set()
        self.imported: dict[str, str] = {}
        self._bound: dict[tuple[Scope, str], Kind | None] = {}
        self._scopes: list[Scope] = []

    def kind_of(
        self, node: cst.BaseExpression, scopes: Sequence[Scope], official_name: OfficialName
    ) -> Kind | None:
        """Return the kind of an expression.

        Args:
            node: The expression.
            scopes: The scopes around it, outermost first.
            official_name: Returns the path of a name of the official SDK.
        """
        if isinstance(node, cst.Await):
            return self.kind_of(node.expression, scopes, official_name)
        if isinstance(node, cst.Call):
            return self._kind_of_call(node, scopes, official_name)
        if official_name(node) == "openai":
            return "module"
        name = dotted_name(node)
        if name is None:
            return None
        for scope in reversed(scopes):
            if (scope, name) in self._bound:
                return self._bound[scope, name]
        return None

    def _kind_of_call(
        self, node: cst.Call, scopes: Sequence[Scope], official_name: OfficialName
    ) -> Kind | None:
        path = official_name(node.func)
        if path in ASYNC_CLIENTS:
            return "async"
        if path in _SYNC_CLIENTS:
            return "sync"
        if isinstance(node.func, cst.Attribute) and node.func.attr.value in _COPIES:
            return self.kind_of(node.func.value, scopes, official_name)
        return self.kind_of(node.func, scopes, official_name) if dotted_name(node.func) else None

    def bind(self, target: cst.CSTNode | None, kind: Kind | None, scopes: Sequence[Scope]) -> None:
        """Bind a name, or an attribute of `self`, to a kind."""
        name = dotted_name(target)
        if name is None or not scopes:
            return
        scope = scopes[-1]
        if "." in name:  # attributes belong to the object, which all methods share
            scope = next((s for s in reversed(scopes) if isinstance(s, cst.ClassDef)), scopes[0])
        if kind is not None or (scope, name) not in self._bound:
            self._bound[scope, name] = kind
        if kind is not None:
            self.kinds.add(kind)

    def _kind(self, node: cst.BaseExpression) -> Kind | None:
        return self.kind_of(node, self._scopes, self._official_name)

    def _official_name(self, node: cst.CSTNode) -> str | None:
        return imported_name(self.get_metadata(QualifiedNameProvider, node, ()))

    def _kind_of_annotation(self, node: cst.CSTNode) -> Kind | None:
        """Return the kind of the client that an annotation names, such as `AsyncOpenAI | None`."""
        for part in _expressions(node):
            paths = {self._official_name(part)}
            if isinstance(part, cst.SimpleString):
                paths |= {self.imported.get(name) for name in re.findall(r"\w+", part.value)}
            if paths & ASYNC_CLIENTS:
                return "async"
            if paths & _SYNC_CLIENTS:
                return "sync"
        return None

    def on_visit(self, node: cst.CSTNode) -> bool:
        """Enter a scope."""
        if isinstance(node, cst.Module | cst.FunctionDef | cst.ClassDef | cst.Lambda):
            if isinstance(node, cst.FunctionDef):
                self._bind_function(node)
            self._scopes.append(node)
        return super().on_visit(node)

    def on_leave(self, original_node: cst.CSTNode) -> None:
        """Leave a scope."""
        super().on_leave(original_node)
        if self._scopes and self._scopes[-1] is original_node:
            self._scopes.pop()

    def _bind_function(self, node: cst.FunctionDef) -> None:
        kind = self._kind_of_annotation(node.returns) if node.returns else None
        if kind is not None:
            self.bind(node.name, kind, self._scopes)

    def visit_Module(self, node: cst.Module) -> None:
        """Collect the names."""
        self.names.update(name.value for name in variables(node.with_changes(body=_code(node))))

    def visit_Import(self, node: cst.Import) -> None:
        """Collect the imported modules."""
        for alias in node.names:
            path = dotted_name(alias.name) or ""
            if alias.asname is None:
                self.modules.add(path)
            if path == "openai":
                self.imported[_bound_name(alias)] = path

    def visit_ImportFrom(self, node: cst.ImportFrom) -> None:
        """Collect the imported names."""
        module = dotted_name(node.module) or ""
        for alias in () if isinstance(node.names, cst.ImportStar) else node.names:
            if module.split(".")[0] == "openai":
                path = f"{module}.{dotted_name(alias.name)}"
                self.imported[_bound_name(alias)] = public_path(path)
            else:
                self.names.add(_bound_name(alias))

    def visit_Name(self, node: cst.Name) -> None:
        """Check for the synchronous client."""
        self._note_synchronous(node)

    def visit_Attribute(self, node: cst.Attribute) -> None:
        """Check for the synchronous client."""
        self._note_synchronous(node)

    def _note_synchronous(self, node: cst.CSTNode) -> None:
        path = self._official_name(node)
        translation = translate_name(path) if path else None
        if translation is not None and translation.is_synchronous:
            self.is_synchronous = True

    def visit_Param(self, node: cst.Param) -> None:
        """Bind a parameter by its annotation."""
        if node.annotation is not None:
            self.bind(node.name, self._kind_of_annotation(node.annotation), self._scopes)

    def visit_AnnAssign(self, node: cst.AnnAssign) -> None:
        """Bind a variable by its annotation."""
        self.bind(node.target, self._kind_of_annotation(node.annotation), self._scopes)

    def visit_Assign(self, node: cst.Assign) -> None:
        """Bind a variable by its value."""
        for target in node.targets:
            self.bind(target.target, self._kind(node.value), self._scopes)

    def visit_NamedExpr(self, node: cst.NamedExpr) -> None:
        """Bind a variable by its value."""
        self.bind(node.target, self._kind(node.value), self._scopes)

    def visit_WithItem(self, node: cst.WithItem) -> None:
        """Bind what `with … as` names."""
        if node.asname is not None:
            self.bind(node.asname.name, self._kind(node.item), self._scopes)

    def visit_Return(self, node: cst.Return) -> None:
        """Bind a function that returns a client."""
        function = self._scopes[-1] if self._scopes else None
        if node.value is not None and isinstance(function, cst.FunctionDef):
            kind = self._kind(node.value)
            if kind in {"async", "sync"}:
                self.bind(function.name, kind, self._scopes[:-1])


def _expressions(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    yield node
    for child in node.children:
        yield from _expressions(child)


def _bound_name(alias: cst.ImportAlias) -> str:
    return dotted_name(alias.asname.name if alias.asname else alias.name) or ""


def _code(module: cst.Module) -> list[cst.BaseStatement | cst.SimpleStatementLine]:
    """Return the statements of a module without its imports."""
    return [
        statement
        for statement in module.body
        if not isinstance(statement, cst.SimpleStatementLine)
        or not isinstance(statement.body[0], cst.Import | cst.ImportFrom)
    ]
