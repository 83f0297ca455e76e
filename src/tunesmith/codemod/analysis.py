"""Analysis of a module: what to edit, and what cannot be translated."""

import re
from collections.abc import Iterable

import libcst as cst

from tunesmith._sdk_names import INSTEAD, find_hint
from tunesmith.codemod.calls import drop_beta, translate_call, translate_member_path
from tunesmith.codemod.context import Context
from tunesmith.codemod.names import Translation, public_path, translate_member, translate_name
from tunesmith.codemod.scan import ASYNC_CLIENTS, dotted_name

__all__ = ["Analysis"]

_PATCHED = re.compile(r"""[rb]?(["'])openai\.[\w.]+\1""")
_NOT_TRANSLATED = "modules of the official SDK are not translated"
_DOTTED = re.compile(r"[A-Za-z_][\w.]*")
_OF_ERRORS = frozenset({"headers", "status_code", "text"})
"""Attributes of an error's response that errors have themselves."""


class Analysis(cst.CSTVisitor):
    """Visitor that plans the edits of a module.

    Args:
        context: The module.
    """

    def __init__(self, context: Context) -> None:
        super().__init__()
        self._context = context

    def visit_Import(self, node: cst.Import) -> bool:
        """Leave imports out, as they follow from what refers to them; report unused ones."""
        self._report_unused(node.names, "")
        return False

    def visit_ImportFrom(self, node: cst.ImportFrom) -> bool:
        """Report imports of everything."""
        module = self._context.module.code_for_node(node.module) if node.module else ""
        if isinstance(node.names, cst.ImportStar) and module.split(".")[0] == "openai":
            self._context.report(node, "import the names that are used")
        elif not isinstance(node.names, cst.ImportStar):
            self._report_unused(node.names, f"{module}.")
        return False

    def _report_unused(self, names: Iterable[cst.ImportAlias], package: str) -> None:
        """Report unused imports that nothing replaces; uses are reported where they are."""
        for alias in names:
            name = dotted_name(alias.name) or ""
            bound = dotted_name(alias.asname.name) if alias.asname else name.split(".")[0]
            path = f"{package}{name}"
            if not path.startswith("openai.") or bound in self._context.scan.names:
                continue
            translation = translate_name(public_path(path))
            if translation is None or translation.path is None:
                hint = translation.hint if translation else _NOT_TRANSLATED
                self._context.report(alias, hint, code=path)

    def visit_Call(self, node: cst.Call) -> None:
        """Translate a call."""
        translate_call(self._context, node)

    def visit_Attribute(self, node: cst.Attribute) -> bool:
        """Translate a name of the module, or a member of a client or an error."""
        path = self._context.official_name(node)
        if node in self._context.done or (path and self._translate_reference(node, path)):
            return False
        parent = self._context.parent(node)
        is_called = isinstance(parent, cst.Call) and parent.func is node
        if not is_called and not isinstance(parent, cst.Attribute):
            translate_member_path(self._context, node)
        if node.attr.value in INSTEAD["page"] and self._context.scan.imported:
            self._context.report(node, find_hint(("page",), node.attr.value) or "")
        if not self._context.is_synchronous:
            drop_beta(self._context, node)
        return True

    def visit_Name(self, node: cst.Name) -> None:
        """Translate a name that was imported."""
        path = self._context.official_name(node)
        if path is None or node in self._context.done or self._translate_reference(node, path):
            return
        self._context.kept.add(node.value)
        if not isinstance(self._context.parent(node), cst.Attribute):
            self._context.report(node, _NOT_TRANSLATED)

    def visit_SimpleString(self, node: cst.SimpleString) -> None:
        """Translate annotations, and report paths such as those that `mock.patch` replaces."""
        if any(isinstance(around, cst.Annotation) for around in self._context.parents(node)):
            code = _DOTTED.sub(self._translate_annotation, node.value)
            if code != node.value:
                self._context.edits.replace(node, code)
        elif _PATCHED.fullmatch(node.value):
            self._context.report(
                node, "names of the official SDK in texts are not translated; see Test your code"
            )

    def _translate_annotation(self, reference: re.Match[str]) -> str:
        context = self._context
        root, _, rest = reference[0].partition(".")
        official = context.scan.imported.get(root)
        if official is None:
            return reference[0]
        official = f"{official}.{rest}" if rest else official
        translation = translate_name(official)
        is_translated = not context.scan.is_synchronous or official in ASYNC_CLIENTS
        if translation is None or translation.path is None or not is_translated:
            context.kept.add(root)
            return reference[0]
        context.scan.names.add(root)
        return context.refer_by_name(reference[0], official, translation.path)

    def visit_ExceptHandler(self, node: cst.ExceptHandler) -> None:
        """Translate the attributes of an error."""
        if node.name is None or node.type is None or self._context.scan.is_synchronous:
            return
        if not any(self._context.official_name(part) for part in _descendants(node.type)):
            return
        name = dotted_name(node.name.name)
        for part in _descendants(node.body):
            if isinstance(part, cst.Attribute) and dotted_name(part.value) == name:
                self._translate_error_member(part)

    def _translate_error_member(self, node: cst.Attribute) -> None:
        member = node.attr.value
        outer = self._context.parent(node)
        is_kept = isinstance(outer, cst.Attribute) and outer.attr.value in _OF_ERRORS
        if member == "response" and outer is not None and is_kept:
            self._context.edits.add(
                outer, lambda updated: updated.with_changes(value=updated.value.value)
            )
            return
        new = translate_member("error", member)
        if new is not None:
            name = cst.Name(new)
            self._context.edits.add(node, lambda updated: updated.with_changes(attr=name))
        elif hint := find_hint(("error",), member):
            self._context.report(node, hint)

    def _translate_reference(self, node: cst.Name | cst.Attribute, path: str) -> bool:
        """Translate a reference to a name of the official SDK; return whether it is done with."""
        context = self._context
        translation = translate_name(path)
        if translation is None:
            return False
        is_shared = context.is_mixed and translation.path != "tunesmith.AsyncClient"
        if translation.path is None:
            context.report(node, translation.hint)
        elif is_shared:
            context.report(node, f"both clients are used; for this one, write {translation.path}")
        elif not context.is_synchronous:
            self._replace(node, translation)
            return True
        context.kept.add((dotted_name(node) or "").split(".")[0])
        return True

    def _replace(self, node: cst.Name | cst.Attribute, translation: Translation) -> None:
        context = self._context
        new = translation.path or ""
        parent = context.parent(node)
        around = context.parent(parent) if parent else None
        if new == "None" and isinstance(parent, cst.Call) and parent.func is node:
            context.edits.replace(parent, new)  # NotGiven()
            context.refer(node, new)
        elif new == "None" and isinstance(parent, cst.Arg) and isinstance(around, cst.Call):
            context.report(around, f"compare with {new} instead")
            context.kept.add(node.value if isinstance(node, cst.Name) else "openai")
        else:
            context.edits.replace(node, context.refer(node, new))


def _descendants(node: cst.CSTNode) -> list[cst.CSTNode]:
    nodes = [node]
    for child in node.children:
        nodes += _descendants(child)
    return nodes
