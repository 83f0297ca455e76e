"""Migration of the source of a module: edits applied, imports replaced."""

from collections.abc import Iterable
from dataclasses import dataclass

import libcst as cst
from libcst.metadata import MetadataWrapper

from tunesmith.codemod.analysis import Analysis
from tunesmith.codemod.context import Context
from tunesmith.codemod.edits import Applier, Finding, Import
from tunesmith.codemod.names import public_path, translate_name
from tunesmith.codemod.scan import dotted_name

__all__ = ["Migration", "migrate_source"]

_COMMA = ",\n    "
_MAX_LINE = 88


@dataclass(frozen=True, slots=True)
class Migration:
    """Module before and after the migration.

    Args:
        old: The old source.
        new: The new source.
        encoding: The encoding of both.
        findings: What could not be translated, by line of the old source.
    """

    old: str
    new: str
    encoding: str
    findings: tuple[Finding, ...]


def migrate_source(source: bytes) -> Migration:
    """Translate a module from the official SDK to tunesmith.

    Args:
        source: The source.

    Raises:
        ParserSyntaxError: The source is not valid Python.

    Example:
        ```python
        from tunesmith.codemod.migration import migrate_source

        migration = migrate_source(b"from openai import APIError")
        assert migration.new == "from tunesmith import APIError"
        ```
    """
    wrapper = MetadataWrapper(cst.parse_module(source))
    context = Context(wrapper)
    module = wrapper.module
    module.visit(Analysis(context))
    edited = module.visit(Applier(context.edits)).visit(_ImportReplacer(context))
    findings = tuple(sorted(context.edits.findings))
    return Migration(module.code, edited.code, module.encoding, findings)


class _ImportReplacer(cst.CSTTransformer):
    """Transformer that replaces imports of the official SDK.

    Args:
        context: The analysed module.
    """

    def __init__(self, context: Context) -> None:
        super().__init__()
        self._context = context
        self._depth = 0

    def visit_IndentedBlock(self, node: cst.IndentedBlock) -> None:  # noqa: ARG002 - libcst's signature
        """Enter a block."""
        self._depth += 1

    def leave_IndentedBlock(
        self,
        original_node: cst.IndentedBlock,  # noqa: ARG002 - libcst's signature
        updated_node: cst.IndentedBlock,
    ) -> cst.IndentedBlock:
        """Leave a block."""
        self._depth -= 1
        return updated_node

    def leave_SimpleStatementLine(
        self,
        original_node: cst.SimpleStatementLine,  # noqa: ARG002 - libcst's signature
        updated_node: cst.SimpleStatementLine,
    ) -> cst.BaseStatement | cst.FlattenSentinel[cst.BaseStatement] | cst.RemovalSentinel:
        """Replace an import statement by one or more."""
        (statement, *others) = updated_node.body
        if others or not isinstance(statement, cst.Import | cst.ImportFrom):
            return updated_node
        remaining, new = self._split(statement)
        if remaining is statement:
            return updated_node
        lines = [*_import_lines(new)]
        if remaining is not None:
            lines.append(updated_node.with_changes(body=[remaining], leading_lines=[]))
        elif lines:
            lines[-1] = lines[-1].with_changes(trailing_whitespace=updated_node.trailing_whitespace)
        elif self._depth:  # blocks must not be empty
            return updated_node.with_changes(body=[cst.Pass()])
        else:
            return cst.RemoveFromParent()
        lines[0] = lines[0].with_changes(leading_lines=updated_node.leading_lines)
        return cst.FlattenSentinel(lines)

    def _split(
        self, statement: cst.Import | cst.ImportFrom
    ) -> tuple[cst.Import | cst.ImportFrom | None, list[Import]]:
        """Return what an import keeps, and the new imports that replace the rest."""
        if isinstance(statement.names, cst.ImportStar):
            return statement, []
        module = dotted_name(statement.module) if isinstance(statement, cst.ImportFrom) else None
        remaining: list[cst.ImportAlias] = []
        new: list[Import] = []
        for alias in statement.names:
            path = dotted_name(alias.name) or ""
            full = f"{module}.{path}" if module else path
            bound = dotted_name(alias.asname.name) if alias.asname else path.split(".")[0]
            if full.split(".")[0] != "openai" or bound is None:
                remaining.append(alias)
                continue
            replaced = self._replacements(full, bound)
            new += [needed for needed in replaced if needed not in new]
            is_replaced = replaced or bound in self._context.edits.imports
            if bound in self._context.kept or not is_replaced:
                remaining.append(alias)
        if not new and len(remaining) == len(statement.names):
            return statement, new
        if not remaining:
            return None, new
        remaining[-1] = remaining[-1].with_changes(comma=cst.MaybeSentinel.DEFAULT)
        return statement.with_changes(names=remaining), new

    def _replacements(self, path: str, bound: str) -> list[Import]:
        """Return the imports that replace one name of an old import."""
        if bound in self._context.scan.names:
            imports = self._context.edits.imports.get(bound, set())
            return sorted(imports, key=_import_key)
        return [] if self._context.scan.is_synchronous else _translate_unused(path, bound)


def _translate_unused(path: str, bound: str) -> list[Import]:
    translation = translate_name(public_path(path))
    if translation is None or translation.path is None or "." not in translation.path:
        return []
    module, _, name = translation.path.rpartition(".")
    return [Import(module, name, None if name == bound else bound)]


def _import_key(needed: Import) -> tuple[str, str, str]:
    return needed.module, needed.name or "", needed.alias or ""


def _name_key(name: str) -> tuple[bool, bool, str]:
    """Sort constants first, then classes, then functions, as formatters do."""
    return name[:1].islower(), not name.isupper(), name


def _import_lines(imports: Iterable[Import]) -> list[cst.SimpleStatementLine]:
    """Return import statements, one for each module."""
    lines: list[str] = []
    by_module: dict[str, list[str]] = {}
    for needed in imports:
        if needed.name is None:
            lines.append(f"import {needed.module}")
        else:
            alias = f" as {needed.alias}" if needed.alias else ""
            by_module.setdefault(needed.module, []).append(f"{needed.name}{alias}")
    for module, names in by_module.items():
        names.sort(key=_name_key)
        line = f"from {module} import {', '.join(names)}"
        if len(line) > _MAX_LINE:
            line = f"from {module} import (\n    {_COMMA.join(names)},\n)"
        lines.append(line)
    statements = [cst.parse_statement(f"{line}\n") for line in lines]
    return [cst.ensure_type(statement, cst.SimpleStatementLine) for statement in statements]
