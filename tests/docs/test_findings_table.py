"""The table of findings lists every code, and its examples have the findings."""

import ast
import json
import re
from pathlib import Path

import pytest

import tunesmith.datasets
from tunesmith.datasets import Dataset, diagnose
from tunesmith.datasets.checks.rows import FINDINGS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "findings.md").read_text()
ROW = re.compile(r"^\| `([a-z-]+)` \| (\w+) \| (.*) \| (.*) \|$", re.MULTILINE)
TABLE = {code: (severity, example, fix) for code, severity, example, fix in ROW.findall(PAGE)}
STANDS_FOR = {
    "U": '{"role": "user", "content": "Hello"}',
    "A": '{"role": "assistant", "content": "Hi."}',
}


def codes_in_the_source():
    """Yield the code of every finding in the source, as a pattern if it is composed."""
    for path in Path(tunesmith.datasets.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                given = [k.value for k in node.keywords if k.arg == "code"]
                if name == "Finding":
                    yield from (code for value in given for code in patterns(value))
                elif name == "finding" and node.args:
                    yield from patterns(node.args[0])
    yield from FINDINGS


def patterns(node):
    if isinstance(node, ast.Constant):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        parts = [part.value if isinstance(part, ast.Constant) else ".+" for part in node.values]
        yield "".join(parts)
    elif isinstance(node, ast.IfExp):
        yield from patterns(node.body)
        yield from patterns(node.orelse)
    elif ast.unparse(node) == "name":
        yield "separator|ending"


def examples():
    for code, (severity, example, fix) in TABLE.items():
        rows = [row for row in re.findall(r"`([^`]*)`", example) if row.startswith("{")]
        if rows and not example.startswith("A "):
            yield pytest.param(code, severity, rows, fix, id=code)


@pytest.mark.parametrize("pattern", sorted(set(codes_in_the_source())))
def test_every_code_is_in_the_table(pattern):
    assert [code for code in TABLE if re.fullmatch(pattern, code)]


@pytest.mark.parametrize("code", TABLE)
def test_every_code_in_the_table_exists(code):
    assert [p for p in codes_in_the_source() if re.fullmatch(p, code)]


@pytest.mark.parametrize(("code", "severity", "rows", "fix"), list(examples()))
def test_an_example_has_its_finding(code, severity, rows, fix):
    spelt_out = [re.sub(r"\b[UA]\b(?=[],])", lambda m: STANDS_FOR[m[0]], row) for row in rows]
    found = {f.code: f for f in diagnose(Dataset.open(map(json.loads, spelt_out))).findings}

    assert code in found
    assert found[code].severity == severity
    assert (fix == "—") == (found[code].fix is None)
    if found[code].fix:
        assert ("required" in fix) == found[code].fix.required
