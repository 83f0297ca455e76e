"""Imports point one way, and importing the package is cheap."""

import ast
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from importlib.metadata import version
from pathlib import Path

import pytest

import tunesmith

SOURCE = Path(__file__).parents[2] / "src" / "tunesmith"

# A layer may import the layers named with it, and itself. `service` is not below `client`:
# the client knows it only by its seam.
ALLOWED = {
    "errors": {"_lazy"},
    "_sdk_names": set(),
    "_lazy": {"_sdk_names"},
    "_version": set(),
    "_extras": {"errors"},
    "_atomic": set(),
    "_html": set(),
    "_charts": {"_html"},
    "_json_types": set(),
    "known_models": set(),
    "training_rules": {"_json_types"},
    "_plots": {"_extras"},
    "clock": set(),
    "types": {"errors", "_extras", "_lazy", "_plots", "_charts", "_html"},
    "operations": {"errors", "_lazy", "types"},
    "protocol": {"_json_types", "errors", "types", "operations"},
    "backends": {"errors", "types", "operations", "protocol"},
    "calls": {"_json_types", "errors", "types", "operations", "protocol", "backends"},
    "resources": {
        "errors",
        "_atomic",
        "_lazy",
        "_sdk_names",
        "types",
        "operations",
        "protocol",
        "backends",
        "calls",
        "webhooks",
    },
    "client": {
        "errors",
        "_lazy",
        "types",
        "operations",
        "protocol",
        "backends",
        "calls",
        "resources",
    },
    "service": {
        "errors",
        "_extras",
        "_json_types",
        "known_models",
        "training_rules",
        "_atomic",
        "clock",
        "types",
        "operations",
        "protocol",
        "backends",
    },
    "testing": {
        "errors",
        "_atomic",
        "_lazy",
        "clock",
        "types",
        "operations",
        "protocol",
        "backends",
        "client",
        "service",
    },
    "datasets": {
        "errors",
        "_lazy",
        "_extras",
        "_atomic",
        "_json_types",
        "known_models",
        "training_rules",
        "_charts",
        "_html",
    },
    "integrations": {
        "errors",
        "_atomic",
        "_extras",
        "types",
        "operations",
        "protocol",
        "backends",
        "calls",
        "client",
        "_charts",
        "_html",
        "batch",  # which knows none of them
    },
    "reports": {"errors", "_charts", "_html", "datasets", "types", "client", "batch"},
    "playground": {
        "_version",
        "errors",
        "known_models",
        "training_rules",
        "protocol",
        "backends",
        "client",
        "service",
        "datasets",
    },
    "train": {"_atomic", "_json_types", "service", "training_rules"},
    "webhooks": {"errors", "types"},
    "fine_tuning_run": {
        "_atomic",
        "errors",
        "types",
        "client",
        "datasets",
        "operations",
        "training_rules",
    },
    "batch": {
        "errors",
        "_lazy",
        "_html",
        "_atomic",
        "_json_types",
        "_extras",
        "types",
        "operations",
        "protocol",
        "backends",
        "calls",
        "client",
        "datasets",
    },
    "codemod": {"_sdk_names", "client", "types"},  # loaded with the extra `cli`
    "cli": None,
    "__main__": {"cli"},
}

# The fast backend has its bytes from an asyncio protocol, and leaves trio to httpx.
ASYNCIO = {"backends/fast/response.py", "backends/fast/connection.py"}

# Those that speak with httpx, from either side.
HTTPX = {
    "backends/bodies.py",
    "backends/httpx.py",
    "backends/httpcore.py",
    "backends/settings.py",
    "cli/download.py",  # files from anywhere on the web, not from the API
    "service/http/httpx_transport.py",
}


@cache
def syntax():
    """The syntax nodes of each file."""
    return {
        path.relative_to(SOURCE).as_posix(): list(ast.walk(ast.parse(path.read_text())))
        for path in sorted(SOURCE.rglob("*.py"))
    }


def imported(nodes):
    """Every module that a file imports, wherever in the file, with the names taken from it."""
    for node in nodes:
        if isinstance(node, ast.ImportFrom):
            yield node.module or "", [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            yield from ((alias.name, []) for alias in node.names)


def layers(nodes):
    """The layers of the package that a file imports from; a public name of the root is one."""
    for module, names in imported(nodes):
        package, _, rest = module.partition(".")
        if package == "tunesmith":
            yield from [rest.split(".")[0]] if rest else names


def test_the_layers_form_no_cycle():
    TopologicalSorter({layer: below for layer, below in ALLOWED.items() if below}).prepare()


def test_imports_point_one_way():
    wrong = []
    for file, nodes in syntax().items():
        own = file.split("/")[0].removesuffix(".py")
        if own == "__init__":
            continue  # the public names come from everywhere
        allowed = ALLOWED[own]
        if allowed is not None:
            above = set(layers(nodes)) - allowed - {own}
            wrong += [f"{file} must not import {layer}" for layer in sorted(above)]
    assert not wrong, "\n".join(wrong)


def test_only_named_modules_import_httpx_or_asyncio():
    packages = {
        file: {module.partition(".")[0] for module, _ in imported(nodes)}
        for file, nodes in syntax().items()
    }
    assert {file for file, names in packages.items() if "asyncio" in names} == ASYNCIO
    assert {file for file, names in packages.items() if "httpx" in names} == HTTPX


def loaded_by(script):
    """The modules that are loaded once a script has run in a fresh process."""
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; {script}; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_a_plain_import_loads_hardly_anything():
    """Neither httpx nor a model is needed before the first client is made."""
    loaded = loaded_by("import tunesmith") - loaded_by("pass")
    assert {name for name in loaded if "tunesmith" in name} == {
        "tunesmith",
        "tunesmith.errors",
        "tunesmith._lazy",
    }
    assert not loaded & {"anyio", "asyncio", "httpx", "pydantic", "ssl"}
    assert len(loaded) <= 40  # all from the standard library, most of them quick


@pytest.mark.slow
def test_a_client_loads_neither_the_service_nor_what_it_does_not_use():
    loaded = loaded_by("import tunesmith; tunesmith.AsyncClient('sk-1').completions")
    unneeded = {
        "httptools",
        "tunesmith.backends.fast.backend",
        "tunesmith.datasets",
        "tunesmith.operations.fine_tuning",
        "tunesmith.service",
        "tunesmith.types.fine_tuning",
    }
    assert not loaded & unneeded
    assert len({name for name in loaded if name.startswith("tunesmith")}) <= 50


def test_every_public_name_is_there_and_in_order():
    assert tunesmith.__all__ == sorted(tunesmith.__all__)
    for name in tunesmith.__all__:
        assert hasattr(tunesmith, name)


def test_the_package_tells_its_version():
    assert tunesmith.__version__ == version("tunesmith")
