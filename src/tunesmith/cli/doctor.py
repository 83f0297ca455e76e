"""`tunesmith doctor`: check the key, the service and the installation."""

import os
import platform
import re
import time
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Literal

import click

from tunesmith.cli.connection import ServiceOptions, redact_url
from tunesmith.cli.output import Output
from tunesmith.errors import APIStatusError, ConfigurationError, TunesmithError

__all__ = ["command"]

_TIMEOUT_S = 10.0
_FOR_DEVELOPERS = {"dev", "docs"}
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?([^;]*)(?:;\s*extra\s*==\s*'([^']+)')?")
_MARKS = {"ok": "✓", "missing": "·", "wrong": "✗"}


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
    """Check the API key, the service and the installed packages.

    The key itself is never shown. The exit code is 0 if everything required works, else 1.
    """
    output = Output(connection, as_json=as_json)
    checks = [*_versions(), _check_api_key(connection), _check_base_url(connection)]
    if not any(check.state == "wrong" for check in checks):
        checks.append(_service(connection))
    checks += _extras()
    if as_json:
        output.json([asdict(check) for check in checks])
    else:
        width = max(len(check.name) for check in checks)
        for check in checks:
            output.text(f"{_MARKS[check.state]} {check.name:{width}}  {check.result}")
            if check.fix:
                output.text(f"  {'':{width}}  → {check.fix}")
    if any(check.state == "wrong" for check in checks):
        raise SystemExit(1)


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
        "set OPENAI_API_KEY, or use a service in memory: --state FILE",
    )


def _check_base_url(connection: ServiceOptions) -> Check:
    from tunesmith.client import DEFAULT_BASE_URL

    if connection.in_memory:
        result = f"in memory, stored in {connection.state}" if connection.state else "in memory"
        return Check("base URL", "ok", result)
    base_url = connection.base_url or os.environ.get("OPENAI_BASE_URL") or DEFAULT_BASE_URL
    return Check("base URL", "ok", redact_url(base_url))


def _service(connection: ServiceOptions) -> Check:
    import anyio

    async def connect() -> str:
        async with connection.client() as client:
            start = time.monotonic()
            probe = client.with_options(timeout=_TIMEOUT_S, max_retries=0)
            models = await probe.models.list()
            return f"responds in {(time.monotonic() - start) * 1000:.0f} ms, {_count(models)}"

    try:
        return Check("service", "ok", anyio.run(connect))
    except APIStatusError as error:
        fix = {
            401: "set OPENAI_API_KEY to a key of this service",
            404: "the base URL may lack its path, such as /v1",
        }.get(error.status, "read the message of the service, then try again")
        return Check("service", "wrong", " ".join(str(error).split()), fix)
    except ConfigurationError as error:
        return Check("service", "wrong", str(error), "correct this setting")
    except TunesmithError as error:
        return Check(
            "service",
            "wrong",
            " ".join(str(error).split()),
            "check the base URL, the network and any proxy",
        )


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
