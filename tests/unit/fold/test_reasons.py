"""Every reason for a refusal is quoted by a test: none is there that no test has seen."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import normonnx.fold

TESTS = Path(__file__).parent
SOURCES = sorted(Path(normonnx.fold.__path__[0]).glob("*.py"))
# What the types ask for, and no legal model leads to.
UNREACHABLE = {
    "has no input",  # a DequantizeLinear without one
    "it has no branches",  # a sum of nothing
    "its input is no constant",  # asked only about constants
}
Words = frozenset[tuple[str, ...]]


def _threes(text: str) -> Words:
    """All runs of three words."""
    words = re.findall(r"[\w'+,-]+", text.lower())
    return frozenset(tuple(words[i : i + 3]) for i in range(len(words) - 2))


def _texts(node: ast.expr) -> list[str]:
    """The texts of a string, between the values that are put into it."""
    if isinstance(node, ast.JoinedStr):
        return [text for value in node.values for text in _texts(value)]
    return [node.value] if isinstance(node, ast.Constant) and isinstance(node.value, str) else []


def _reasons() -> Iterator[tuple[str, list[str]]]:
    """Where each reason stands, and its texts: of a Refusal, or returned as a string."""
    for path in SOURCES:
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "Refusal" and node.args:
                yield f"{path.name}:{node.lineno}", _texts(node.args[0])
            if isinstance(node, ast.FunctionDef) and node.returns is not None:
                returned = [n for n in ast.walk(node) if isinstance(n, ast.Return) and n.value]
                if "str" in ast.unparse(node.returns):
                    for found in returned:
                        yield f"{path.name}:{found.lineno}", _texts(found.value or ast.Constant(""))


def _said() -> Words:
    """What the strings of the tests say, models and docstrings left out."""
    found: set[tuple[str, ...]] = set()
    for path in sorted(TESTS.glob("test_*.py")):
        if path != Path(__file__):
            nodes = list(ast.walk(ast.parse(path.read_text())))
            docstrings = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
            for node in (node for node in nodes if id(node) not in docstrings):
                texts = _texts(node) if isinstance(node, ast.expr) else []
                found |= {three for text in texts if "=>" not in text for three in _threes(text)}
    return frozenset(found)


def test_each_reason_is_quoted() -> None:
    """By three words of its own in a row, where it has them; what two reasons share is not enough."""
    reasons = [(place, texts) for place, texts in _reasons() if any(map(_threes, texts))]
    assert len(reasons) > 150
    threes = {place: frozenset[tuple[str, ...]]().union(*map(_threes, t)) for place, t in reasons}
    count = Counter(three for found in threes.values() for three in found)
    said = _said()
    missing = []
    for place, texts in reasons:
        own = {three for three in threes[place] if count[three] == 1} or threes[place]
        guard = any(words in text.lower() for words in UNREACHABLE for text in texts)
        if not guard and not own & said:
            missing.append(f"{place} {' ... '.join(texts)}")
    assert not missing, "\n".join(missing)
