"""`tunesmith doctor`: check the key, the service, its endpoints and the installation."""

import os
import platform
import re
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from typing import TYPE_CHECKING, Literal

import click

from tunesmith.cli.connection import ServiceOptions, redact_url
from tunesmith.cli.output import Output, echo
from tunesmith.errors import APIStatusError, ConfigurationError, NotFoundError, TunesmithError

if TYPE_CHECKING:
    from tunesmith import AsyncClient

__all__ = ["command"]

_TIMEOUT_S = 10.0
_FOR_DEVELOPERS = {"dev", "docs"}
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?([^;]*)(?:;\s*extra\s*==\s*'([^']+)')?")
_MARKS = {"ok": ("✓", "green"), "missing": ("·", "yellow"), "wrong": ("✗", "red")}

_ENDPOINTS = {
    "completions": ("POST", "/completions"),
    "chat": ("POST", "/chat/completions"),
    "responses": ("POST", "/responses"),
    "embeddings": ("POST", "/embeddings"),
    "files": ("GET", "/files"),
    "fine-tuning": ("GET", "/fine_tuning/jobs"),
    "batches": ("GET", "/batches"),
}
"""Endpoints to probe; the empty body of a POST is rejected before a model runs."""

_MISSING_STATUS, _DENIED_STATUS, _SERVER_ERROR = {404, 405, 501}, {401, 403}, 500
_NOT_OFFERED = "not offered"
_EXCERPT_BYTES = 1000


@dataclass(frozen=True, slots=True)
class Check:
    """Result of one check.

    Args:
        name: The subject.
        state: `ok`, `missing` if it is optional, or `wrong`.
        result: The result in words.
        fix: How to fix it; empty if nothing is wrong.
    """

    name: str
    state: Literal["ok", "missing", "wrong"]
    result: str
    fix: str = ""


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
@click.pass_obj
def command(connection: ServiceOptions, as_json: bool) -> None:
    """Check the API key, the service, its endpoints and the installed packages.

    The key itself is never shown. The exit code is 0 if everything required works, else 1.
    """
    output = Output(connection, as_json=as_json)
    checks = [*_versions(), _check_api_key(connection), _check_base_url(connection)]
    if not any(check.state == "wrong" for check in checks):
        checks += _check_service(connection)
    checks += _extras()
    if as_json:
        output.json([asdict(check) for check in checks])
    else:
        _show(checks)
    if any(check.state == "wrong" for check in checks):
        raise SystemExit(1)


def _show(checks: Iterable[Check]) -> None:
    width = max(len(check.name) for check in checks)
    for check in checks:
        mark, colour = _MARKS[check.state]
        line = f" {check.name:{width}}  {check.result}"
        echo(line, label=mark, fg=colour, wrap=True, indent=width + 4)
        if check.fix:
            echo(f"{'':{width}}    → {check.fix}", wrap=True, indent=width + 6)


def _versions() -> list[Check]:
    packages = ["anyio", "httpx", "pydantic"]
    return [
        Check("tunesmith", "ok", version("tunesmith")),
        Check("Python", "ok", f"{platform.python_version()} on {platform.system()}"),
        Check("packages", "ok", ", ".join(f"{name} {version(name)}" for name in packages)),
    ]


def _check_api_key(connection: ServiceOptions) -> Check:
    if connection.in_memory:
        return Check("key", "ok", "not required")
    if connection.api_key:
        return Check(
            "key",
            "ok",
            "set by --api-key, which other users can see in the process list",
            "set OPENAI_API_KEY instead",
        )
    if os.environ.get("OPENAI_API_KEY"):
        return Check("key", "ok", "set in OPENAI_API_KEY")
    return Check(
        "key",
        "wrong",
        "missing",
        "set OPENAI_API_KEY, or use a service in memory: --state DIR",
    )


def _check_base_url(connection: ServiceOptions) -> Check:
    from tunesmith.client import DEFAULT_BASE_URL

    if connection.in_memory:
        result = f"in memory, stored in {connection.state}" if connection.state else "in memory"
        return Check("base URL", "ok", result)
    base_url = connection.base_url or os.environ.get("OPENAI_BASE_URL") or DEFAULT_BASE_URL
    return Check("base URL", "ok", redact_url(base_url))


def _check_service(connection: ServiceOptions) -> list[Check]:
    import anyio

    async def connect() -> list[Check]:
        async with connection.client() as client:
            start = time.monotonic()
            try:
                options = client.with_options(timeout=_TIMEOUT_S, max_retries=0)
                models = Check("models", "ok", _count(await options.models.list()))
            except NotFoundError:
                models = Check("models", "missing", _NOT_OFFERED)
            duration_ms = (time.monotonic() - start) * 1000
            endpoints = [models, *[await _probe(client, name) for name in _ENDPOINTS]]
            if all(check.result == _NOT_OFFERED for check in endpoints):
                fix = "the base URL may lack its path, such as /v1"
                return [Check("service", "wrong", "offers no known endpoint", fix)]
            return [Check("service", "ok", f"responds in {duration_ms:.0f} ms"), *endpoints]

    try:
        return anyio.run(connect)
    except APIStatusError as error:
        fix = {401: "set OPENAI_API_KEY to a key of this service"}.get(
            error.status, "read the message of the service, then try again"
        )
        return [Check("service", "wrong", " ".join(str(error).split()), fix)]
    except ConfigurationError as error:
        return [Check("service", "wrong", str(error), "correct this setting")]
    except TunesmithError as error:
        fix = "check the base URL, the network and any proxy"
        return [Check("service", "wrong", " ".join(str(error).split()), fix)]


async def _probe(client: "AsyncClient", name: str) -> Check:
    """Check an endpoint without running a model: lists are read, creates are sent empty."""
    from tunesmith import Request

    method, path = _ENDPOINTS[name]
    body = b"{}" if method == "POST" else None
    headers = {"content-type": "application/json", "content-length": "2"} if body else {}
    query = () if body else (("limit", "1"),)
    request = Request(f"doctor.{name}", method, path, query, headers, body=body, timeout=_TIMEOUT_S)
    try:
        async with client.backend.send(request) as response:
            status, start = response.status, b""
            async for chunk in response.stream:
                start = (start + chunk)[:_EXCERPT_BYTES].lower()
                if len(start) == _EXCERPT_BYTES:
                    break
    except TunesmithError as error:
        return Check(name, "missing", " ".join(str(error).split()))
    # Some servers answer 200 for unknown endpoints, and 404 for the missing model.
    if b"unexpected endpoint" in start or (status in _MISSING_STATUS and b"model" not in start):
        return Check(name, "missing", _NOT_OFFERED)
    if status in _DENIED_STATUS:
        return Check(name, "missing", "not allowed with this key")
    if status >= _SERVER_ERROR:
        return Check(name, "missing", f"fails with status {status}")
    return Check(name, "ok", "offered")


def _count(models: object) -> str:
    number = len(getattr(models, "data", ()))
    return f"{number} model{'' if number == 1 else 's'}"


def _extras() -> list[Check]:
    needed: dict[str, list[str]] = {}
    for requirement in requires("tunesmith") or ():
        match = _REQUIREMENT.match(requirement)
        if match and match[3] and match[3] not in _FOR_DEVELOPERS and match[1] != "tunesmith":
            needed.setdefault(match[3], []).append(match[1])
    return [_check_extra(extra, names) for extra, names in sorted(needed.items())]


def _check_extra(extra: str, names: list[str]) -> Check:
    installed: list[str] = []
    missing: list[str] = []
    for name in names:
        try:
            installed.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    if not missing:
        return Check(f"extra {extra}", "ok", ", ".join(installed))
    return Check(
        f"extra {extra}",
        "missing",
        f"{', '.join(missing)} not installed",
        f"pip install 'tunesmith[{extra}]'",
    )
