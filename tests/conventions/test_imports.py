"""Imports point one way, and importing the package is cheap."""

import ast
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import tunesmith

SOURCE = Path(__file__).parents[2] / "src" / "tunesmith"

# A layer may import the layers named with it, and itself. `service` is not below `client`:
# the client knows it only by its seam.
ALLOWED = {
    "errors": set(),
    "_lazy": set(),
    "_version": set(),
    "_extras": {"errors"},
    "_atomic": set(),
    "_json_types": set(),
    "known_models": set(),
    "training_rules": {"_json_types"},
    "_plots": {"_extras"},
    "clock": set(),
    "types": {"errors", "_lazy", "_plots"},
    "operations": {"errors", "_lazy", "types"},
    "protocol": {"_json_types", "errors", "types", "operations"},
    "backends": {"errors", "types", "operations", "protocol"},
    "calls": {"errors", "types", "operations", "protocol", "backends"},
    "resources": {"errors", "_atomic", "types", "operations", "protocol", "backends", "calls"},
    "client": {"errors", "types", "operations", "protocol", "backends", "calls", "resources"},
    "service": {
        "errors",
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
        "_extras",
        "_atomic",
        "_json_types",
        "known_models",
        "training_rules",
        "reports._charts",
        "reports._html",
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
        "batch",  # which knows none of them
    },
    "reports": {"errors", "datasets.cost", "types", "client", "batch"},
    "webhooks": {"errors", "types"},
    "lifecycle": {
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


def modules():
    return sorted(SOURCE.rglob("*.py"))


def layer(name):
    return name.split(".")[1]


def imported(path):
    """Every module of the package that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tunesmith."):
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.startswith("tunesmith."))


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(SOURCE)))
def test_imports_point_one_way(path):
    if path == SOURCE / "__init__.py":
        return  # the public names come from everywhere
    own = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    allowed = ALLOWED[own]
    if allowed is None:
        return
    wrong = {
        name
        for name in imported(path)
        if layer(name) not in allowed | {own} and name.removeprefix("tunesmith.") not in allowed
    }
    assert not wrong, f"{own} must not import {sorted(wrong)}"


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(SOURCE)))
def test_only_named_modules_import_httpx_or_asyncio(path):
    names = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(path.read_text()))
        for name in (
            [a.name for a in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    name = path.relative_to(SOURCE).as_posix()
    assert name in ASYNCIO or "asyncio" not in names
    assert name in HTTPX or "httpx" not in names


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
        assert getattr(tunesmith, name) is not None


def test_the_package_tells_its_version():
    assert tunesmith.__version__ == version("tunesmith")
