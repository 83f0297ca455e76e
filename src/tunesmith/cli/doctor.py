"""`tunesmith doctor`: is everything in place?"""

import os
import platform
import re
import time
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Literal

import click

from tunesmith.cli.connection import ServiceOptions, strip_url_password
from tunesmith.cli.output import Output
from tunesmith.errors import APIStatusError, ConfigurationError, TunesmithError

__all__ = ["command"]

_REACH_WITHIN_S = 10.0
_FOR_DEVELOPERS = {"dev", "docs"}
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?([^;]*)(?:;\s*extra\s*==\s*'([^']+)')?")
_MARKS = {"ok": "✓", "missing": "·", "wrong": "✗"}


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Args:
        name: What it is.
        state: `ok`, `missing` where one can do without, or `wrong`.
        found: What was found.
        remedy: What to do about it.
    """

    name: str
    state: Literal["ok", "missing", "wrong"]
    found: str
    remedy: str = ""


@click.command("doctor", short_help="See whether everything is in place.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
@click.pass_obj
def command(connection: ServiceOptions, as_json: bool) -> None:
    """See whether there is a key, whether the service answers, and what is installed.

    The key itself is never shown. The exit code is 0 if all that is needed is there, else 1.
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
            output.text(f"{_MARKS[check.state]} {check.name:{width}}  {check.found}")
            if check.remedy:
                output.text(f"  {'':{width}}  → {check.remedy}")
    if any(check.state == "wrong" for check in checks):
        raise SystemExit(1)


def _versions() -> list[Check]:
    named = ["anyio", "httpx", "pydantic"]
    return [
        Check("tunesmith", "ok", version("tunesmith")),
        Check("Python", "ok", f"{platform.python_version()} on {platform.system()}"),
        Check("packages", "ok", ", ".join(f"{name} {version(name)}" for name in named)),
    ]


def _check_api_key(connection: ServiceOptions) -> Check:
    if connection.in_memory:
        return Check("key", "ok", "none is needed")
    if connection.api_key:
        return Check("key", "ok", "given as --api-key, where others may see it in the list of "
                     "processes", "set OPENAI_API_KEY instead")  # fmt: skip
    if os.environ.get("OPENAI_API_KEY"):
        return Check("key", "ok", "set in OPENAI_API_KEY")
    return Check(
        "key",
        "wrong",
        "there is none",
        "set OPENAI_API_KEY, or use a service in memory: --state FILE",
    )


def _check_base_url(connection: ServiceOptions) -> Check:
    from tunesmith.client import DEFAULT_BASE_URL

    if connection.in_memory:
        found = f"in memory, kept in {connection.state}" if connection.state else "in memory"
        return Check("address", "ok", found)
    base_url = connection.base_url or os.environ.get("OPENAI_BASE_URL") or DEFAULT_BASE_URL
    return Check("address", "ok", strip_url_password(base_url))


def _service(connection: ServiceOptions) -> Check:
    import anyio

    async def look() -> str:
        async with connection.client() as client:
            began = time.monotonic()
            quick = client.with_options(timeout=_REACH_WITHIN_S, max_retries=0)
            models = await quick.models.list()
            return f"answers in {(time.monotonic() - began) * 1000:.0f} ms, with {_count(models)}"

    try:
        return Check("service", "ok", anyio.run(look))
    except APIStatusError as error:
        remedy = {
            401: "set OPENAI_API_KEY to a key of this service",
            404: "the address may lack its path, such as /v1",
        }.get(error.status, "see what the service says, and try again")
        return Check("service", "wrong", " ".join(str(error).split()), remedy)
    except ConfigurationError as error:
        return Check("service", "wrong", str(error), "mend this setting")
    except TunesmithError as error:
        return Check(
            "service",
            "wrong",
            " ".join(str(error).split()),
            "see whether the address is right and the network lets you through",
        )


def _count(models: object) -> str:
    number = len(getattr(models, "data", ()))
    return f"{number} model{'' if number == 1 else 's'}"


def _extras() -> list[Check]:
    needed: dict[str, list[str]] = {}
    for requirement in requires("tunesmith") or ():
        found = _REQUIREMENT.match(requirement)
        if found and found[3] and found[3] not in _FOR_DEVELOPERS and found[1] != "tunesmith":
            needed.setdefault(found[3], []).append(found[1])
    return [_check_extra(extra, names) for extra, names in sorted(needed.items())]


def _check_extra(extra: str, names: list[str]) -> Check:
    there: list[str] = []
    missing: list[str] = []
    for name in names:
        try:
            there.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    if not missing:
        return Check(f"extra {extra}", "ok", ", ".join(there))
    return Check(
        f"extra {extra}",
        "missing",
        f"{', '.join(missing)} not installed",
        f"pip install 'tunesmith[{extra}]'",
    )
