"""Modules form layers without cycles, and each is neither too long nor too short to read."""

import ast
from collections import Counter
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "tunesmith"

MAX_LINES = 400
MAX_SERVICE_EDGES = 30


# Cycles that are still to be removed: edges that the search leaves out. Only ever taken from.
PENDING_EDGES: set[tuple[str, str]] = set()


def module_name(path):
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


PATHS = {module_name(path): path for path in sorted(SOURCE.rglob("*.py"))}


@cache
def imports(name):
    """Modules of the package that a module imports, wherever in its text."""
    targets = set()
    for node in ast.walk(ast.parse(PATHS[name].read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tunesmith"):
            package = node.module.removeprefix("tunesmith").removeprefix(".")
            submodules = {f"{package}.{alias.name}".strip(".") for alias in node.names}
            targets |= {target for target in submodules if target in PATHS} or {package}
        elif isinstance(node, ast.Import):
            targets |= {
                alias.name.removeprefix("tunesmith.")
                for alias in node.names
                if alias.name.startswith("tunesmith.")
            }
    # The package itself collects public names from everywhere.
    return targets & PATHS.keys() - {name, ""}


def test_no_module_imports_itself_through_others():
    graph = {
        name: {other for other in imports(name) if (name, other) not in PENDING_EDGES}
        for name in PATHS
        if name
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


def test_every_pending_edge_is_still_there():
    assert {edge for edge in PENDING_EDGES if edge[1] not in imports(edge[0])} == set()


def test_the_packages_of_the_service_depend_on_few_others():
    edges = Counter(
        (name.split(".")[1], other.split(".")[1])
        for name in PATHS
        for other in imports(name)
        if name.startswith("service.") and other.startswith("service.")
    )
    between = {edge for edge in edges if edge[0] != edge[1]}
    assert len(between) <= MAX_SERVICE_EDGES


@pytest.mark.parametrize("name", PATHS)
def test_a_module_is_read_in_one_sitting(name):
    assert len(PATHS[name].read_text().splitlines()) <= MAX_LINES
