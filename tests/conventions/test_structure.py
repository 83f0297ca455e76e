"""Modules form layers without cycles, and each is neither too long nor too short to read."""

import ast
import fnmatch
from collections import Counter
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "tunesmith"

MAX_LINES = 400
MAX_SERVICE_EDGES = 30

# Shorter modules would be read sooner as a part of another one, but for a reason.
MIN_LINES = 40
SHORT = {
    "*/__init__.py": "describes a package, or lists its names",
    "__init__.py": "loads the public names when they are first used",
    "__main__.py": "makes `python -m tunesmith` work",
    "_extras.py": "used by packages that do not import each other",
    "_json_types.py": "used by packages that do not import each other",
    "_version.py": "imports importlib.metadata, which not every program needs",
    "backends/*.py": "one module per backend",
    "batch/lock.py": "hides the differences between operating systems",
    "cli/*.py": "one module per command",
    "datasets/checks/*.py": "one module per check",
    "operations/*.py": "one module per noun of the API, and one for shared parameters",
    "resources/*.py": "one module per noun of the API",
    "service/engines/selection.py": "imports the default engine, which not every service needs",
    "types/*.py": "one module per noun of the API",
}


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
    graph = {name: imports(name) for name in PATHS if name}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


def test_the_packages_of_the_service_depend_on_few_others():
    edges = Counter(
        (name.split(".")[1], other.split(".")[1])
        for name in PATHS
        for other in imports(name)
        if name.startswith("service.") and other.startswith("service.")
    )
    between = {edge for edge in edges if edge[0] != edge[1]}
    assert len(between) <= MAX_SERVICE_EDGES


LINES = {
    path.relative_to(SOURCE).as_posix(): len(path.read_text().splitlines())
    for path in PATHS.values()
}


def test_a_module_is_read_in_one_sitting():
    assert {file: lines for file, lines in LINES.items() if lines > MAX_LINES} == {}


def test_a_short_module_has_a_reason():
    short = {file for file, lines in LINES.items() if lines < MIN_LINES}
    explained = {pattern: set(fnmatch.filter(short, pattern)) for pattern in SHORT}
    assert short - set().union(*explained.values()) == set()
    assert {pattern for pattern, files in explained.items() if not files} == set()
