"""Names, docstrings and messages are written in the field's standard terms."""

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "tunesmith"

MAX_WHAT_PER_1000_WORDS = 3

NOT_AN_OPENING = re.compile(
    r"(?:What|Tells?|Lets?|Gives?|Says?|How|Who|Why|When|Where|That|Those|So|Be|Go|Have|Until|"
    r"Something|Nothing|Begins?|Forget|Meet|Note|Look|Ask|Hand|Learn)\b"
)
NOT_FOR_FUNCTIONS = re.compile(r"Whether\b")
NOT_FOR_CLASSES = re.compile(
    r"(?:Answers|Keeps|Takes|Makes|Reads|Finds|Looks|Sends|Counts|Goes|Puts|Turns|Removes|Runs|"
    r"Writes|Passes|Holds|Does|Learns|Waits|Asks|Remembers|Watches|Decides|Joins)\b"
)
NO_X = re.compile(
    r"\b(?:is|are|was|were) no "
    r"(?!longer\b|more\b|such\b|op\b|need\b|one\b|way\b|limit\b|key\b|match\b|network\b)[a-z]+"
)

MODULES = sorted(SOURCE.rglob("*.py"))


@cache
def nodes(path):
    return list(ast.walk(ast.parse(path.read_text())))


def documented(path):
    """Each docstring of a module with its node; the module's own comes first."""
    for node in nodes(path):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node)
            if docstring:
                yield node, docstring


def place(path, line):
    return f"{path.relative_to(SOURCE)}:{line}"


def is_property(node):
    return any("property" in ast.unparse(decorator) for decorator in node.decorator_list)


def identifiers(path):
    """Names that a module defines: functions, classes, parameters and variables."""
    for node in nodes(path):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, node.lineno
        elif isinstance(node, ast.arg):
            yield node.arg, node.lineno
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id, node.lineno


def glossary():
    path = Path(__file__).with_name("glossary.txt")
    lines = [line.split(None, 1) for line in path.read_text().splitlines()]
    entries = {line[0]: line[1] for line in lines if len(line) > 1 and line[0] != "#"}
    whole = {word[1:]: term for word, term in entries.items() if word.startswith("=")}
    parts = {word: term for word, term in entries.items() if not word.startswith("=")}
    return whole, parts


def test_identifiers_are_standard_terms():
    whole, parts = glossary()
    wrong = []
    for path in MODULES:
        for name, line in identifiers(path):
            bare = name.strip("_").lower()
            words = re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower())
            terms = (
                [whole[bare]] if bare in whole else [parts[word] for word in words if word in parts]
            )
            wrong += [f"{place(path, line)} {name}: write {term}" for term in terms]
    assert not wrong, "\n".join(wrong)


def test_docstrings_begin_with_a_verb_or_a_noun_phrase():
    wrong = []
    for path in MODULES:
        for node, docstring in documented(path):
            if isinstance(node, ast.Module):
                continue
            bad = NOT_AN_OPENING.match(docstring)
            if isinstance(node, ast.ClassDef):
                bad = bad or NOT_FOR_CLASSES.match(docstring)
            elif not is_property(node):
                bad = bad or NOT_FOR_FUNCTIONS.match(docstring)
            if bad:
                wrong.append(f"{place(path, node.lineno)} {docstring.splitlines()[0]}")
    assert not wrong, "\n".join(wrong)


def test_docstrings_name_things_instead_of_writing_what():
    texts = [docstring for path in MODULES for _, docstring in documented(path)]
    words = sum(len(text.split()) for text in texts)
    clauses = sum(len(re.findall(r"\b[Ww]hat\b", text)) for text in texts)
    assert clauses * 1000 <= MAX_WHAT_PER_1000_WORDS * words


def test_messages_say_what_must_be_instead_of_is_no():
    wrong = [
        f"{place(path, node.lineno)} {node.value}"
        for path in MODULES
        for node in nodes(path)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and NO_X.search(node.value)
    ]
    assert not wrong, "\n".join(wrong)
