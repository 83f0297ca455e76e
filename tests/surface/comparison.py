"""Compare the public names of both SDKs, and render the comparison."""

import inspect
import json
import subprocess
import textwrap
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import tunesmith
from tunesmith import AsyncClient, errors
from tunesmith._sdk_names import ABSENT, INSTEAD, find_hint
from tunesmith.resources.file_content import FileContent
from tunesmith.resources.raw import RawResponse
from tunesmith.resources.stream import Stream
from tunesmith.types import ChatCompletion, ChatCompletionChunk

ROOT = Path(__file__).parents[2]
OFFICIAL = ROOT / "tests" / "clients" / ".installed" / "openai-3" / "bin" / "python"
PAGE = ROOT / "docs" / "reference" / "sdk-surface.md"

# Owner of hints, our class, and attributes that only instances have.
OBJECTS = {
    "page": (tunesmith.Page, ()),
    "stream": (Stream, ()),
    "chat_stream": (Stream, ()),
    "response_stream": (Stream, ()),
    "chunk": (ChatCompletionChunk, ()),
    "result": (ChatCompletion, ()),
    "error": (errors.APIStatusError, vars(errors.APIStatusError("", status=400))),
    "file": (FileContent, ()),
    "raw": (RawResponse, ("headers", "request_id", "retries_taken", "status_code")),
}
TITLES = {
    "page": "Page of a list",
    "stream": "Stream",
    "chat_stream": "Stream of a chat completion",
    "response_stream": "Stream of a response",
    "chunk": "Chunk of a chat completion",
    "result": "Result, such as a chat completion",
    "error": "Error with a status",
    "file": "Content of a file",
    "raw": "Raw response",
}
WRITTEN = {
    "openai": "openai.{}",
    "types": "openai.types.….{}",
    "client": "client.{}",
    "beta": "client.beta.{}",
    "resource": "client.….{}",
    "webhooks": "client.webhooks.{}",
    "list": "client.….list(…).{}",
    "page": "page.{}",
    "stream": "stream.{}",
    "chunk": "chunk.{}",
    "event": "event.{}",
    "completion": "completion.{}",
    "message": "completion.choices[0].message.{}",
    "choice": "completion.choices[0].{}",
    "completion_choice": "client.completions.create(…).choices[0].{}",
    "usage": "response.usage.{}",
    "completion_usage": "completion.usage.{}",
    "response": "response.{}",
    "result": "result.{}",
    "error": "error.{}",
    "file": "(await client.files.content(…)).{}",
    "raw": "raw_response.{}",
    "parameter": "{}=…",
    "chat.completions.parse": "client.chat.completions.parse({}=…)",
    "responses.parse": "client.responses.parse({}=…)",
    "chat.completions.create": "client.chat.completions.create({}=…)",
    "completions.create": "client.completions.create({}=…)",
    "fine_tuning.jobs.create": "client.fine_tuning.jobs.create({}=…)",
    "responses.create": "client.responses.create({}=…)",
}

NOT_SENT = {"client.files.content(extra_body=)"}
"""Parameters that the official SDK accepts without a use."""


@dataclass
class Comparison:
    """Names of the official SDK by what became of them."""

    version: str
    same: dict[str, list[str]] = field(default_factory=dict)
    others: dict[str, dict[str, str]] = field(default_factory=dict)
    counts: Counter = field(default_factory=Counter)
    unexplained: list[str] = field(default_factory=list)

    def add(self, section, name, *, known, owners, count=1, key=None):
        """Count a name as the same, or look its hint up."""
        if known:
            self.same.setdefault(section, []).append(name)
            return
        hint = find_hint(owners, key or name)
        if hint is None:
            self.unexplained.append(f"{section}: {name}")
            return
        self.others.setdefault(section, {})[name] = hint
        self.counts[section, name] += count


def read_official():
    """Return the public names of the installed official SDK."""
    script = Path(__file__).with_name("official.py")
    done = subprocess.run([OFFICIAL, script], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def compare(official):
    """Compare the names of the official SDK with those of tunesmith."""
    comparison = Comparison(official["version"])
    modules = {"types", *tunesmith.__all__}
    for name in official["module"]:
        comparison.add("Module", name, known=name in modules, owners=("openai",))
    own = inspect.signature(AsyncClient).parameters
    for name in official["constructor"]:
        comparison.add("Options of the client", name, known=name in own, owners=("parameter",))
    client = AsyncClient(api_key="sk-1")
    for path, parameters in official["methods"].items():
        _compare_method(comparison, client, path, parameters)
    for owner, names in official["objects"].items():
        cls, attributes = OBJECTS[owner]
        known = {*dir(cls), *getattr(cls, "model_fields", ()), *attributes}
        owners = ("stream",) if owner.endswith("stream") else (owner,)
        for name in names:
            comparison.add(TITLES[owner], name, known=name in known, owners=owners)
    return comparison


def _compare_method(comparison, client, path, parameters):
    value = client
    parts = path.split(".")[1:]
    for depth, part in enumerate(parts):
        if not hasattr(value, part):
            missing, owners = _missing(parts, depth)
            comparison.add(
                "Methods", missing, known=False, owners=owners, key=missing.split(".")[-1]
            )
            return
        value = getattr(value, part)
    comparison.add("Methods", path, known=True, owners=())
    if not callable(value):
        return
    own = inspect.signature(value).parameters
    for name in parameters:
        if name not in own and f"{path}({name}=)" not in NOT_SENT:
            comparison.add(
                "Parameters", f"{path}({name}=)", known=False, owners=("parameter",), key=name
            )


def _missing(parts, depth):
    """Return the first name that is missing, and the owners of its hint."""
    if parts[0] == "beta":
        return f"client.beta.{parts[1]}", ("beta",)
    owners = (
        ("client",) if depth == 0 else ("webhooks",) if parts[0] == "webhooks" else ("resource",)
    )
    return ".".join(["client", *parts[: depth + 1]]), owners


def render(comparison):
    """Return the page about a comparison."""
    lines = [
        "# Names of the official SDK",
        "",
        f"Public names of `openai` {comparison.version} and of its older versions beside those of",
        "tunesmith, written by `python -m tests.surface --write`. See also",
        "[migrate from the OpenAI SDK](../how-to/migrate-from-openai.md).",
        "",
        "| Part | Same name | Another name | Deliberately missing |",
        "|---|---|---|---|",
    ]
    sections = list(dict.fromkeys([*comparison.same, *comparison.others]))
    for section in sections:
        others = comparison.others.get(section, {})
        counts = {True: 0, False: 0}
        for name, hint in others.items():
            counts[hint.startswith("write ")] += comparison.counts[section, name]
        same = len(comparison.same.get(section, ()))
        lines.append(f"| {section} | {same} | {counts[True]} | {counts[False]} |")
    lines += ["", render_names(), "", "## Same names"]
    for section in sections:
        same = [f"`{name}`" for name in comparison.same.get(section, ())]
        if same:
            lines += ["", *_wrap(f"{section}: {', '.join(same)}.")]
    return "\n".join(lines) + "\n"


def _wrap(text):
    return textwrap.wrap(text, 100, break_long_words=False, break_on_hyphens=False)


def render_names():
    """Return the tables of all names that are written otherwise, by the object that has them."""
    lines = ["## Other names"]
    for owner, names in INSTEAD.items():
        lines += ["", f"### `{WRITTEN[owner].format('…')}`", ""]
        lines += ["| OpenAI SDK | tunesmith |", "|---|---|"]
        lines += [f"| {old} | `{new}` |" for old, new in _grouped(owner, names)]
    lines += ["", "## Missing names", "", "| Not in tunesmith | Reason |", "|---|---|"]
    for owner, names in ABSENT.items():
        lines += [f"| {old} | {reason} |" for old, reason in _grouped(owner, names)]
    return "\n".join(lines)


def _grouped(owner, names):
    """Return pairs of names and what they have in common."""
    groups = {}
    for name, target in names.items():
        groups.setdefault(target, []).append(f"`{WRITTEN[owner].format(name)}`")
    return [(", ".join(group), target) for target, group in groups.items()]
