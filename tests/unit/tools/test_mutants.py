"""Small mistakes in code: which are made, which are noticed by tests."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tools.mutation.mutants import mutants_of

ROOT = Path(__file__).parents[3]
CASES = [
    # source, kind, what its mutants of that kind are
    ("x = a < b", "comparison", ["x = a <= b", "x = a >= b"]),
    ("x = a is not b", "comparison", ["x = a is b"]),
    ("x = (a) not in (b)", "comparison", ["x = (a) in (b)"]),
    ("x = 0 <= a < b", "comparison", ["x = 0 < a < b", "x = 0 > a < b", "x = 0 <= a <= b", "x = 0 <= a >= b"]),
    ("x = a - b", "arithmetic", ["x = a + b"]),
    ("x = a and b", "and/or", ["x = a or b"]),
    ("x = a or b", "operand left out", ["x = False or b", "x = a or False"]),
    ("x = not a == b", "unary operator removed", ["x = (a == b)"]),
    ("x = -a ** 2", "unary operator removed", ["x = (a ** 2)"]),
    ("x = 1", "constant", ["x = 2", "x = 0"]),
    ("x = 0", "constant", ["x = 1", "x = (-1)"]),
    ("x = True", "True/False", ["x = False"]),
    ("x = a if b else c", "condition", ["x = a if True else c", "x = a if False else c"]),
    ("x = [a for a in b if a]", "condition", ["x = [a for a in b if True]"]),
    ("x = max(a, b)", "opposite function", ["x = min(a, b)"]),
    ("x = np.any(a)", "opposite function", ["x = np.all(a)"]),
    ("x = f(a, b + 1)", "arguments swapped", ["x = f(b + 1, a)"]),
    ("x = f(a, a)", "arguments swapped", []),
    ("x = max(a, b)", "arguments swapped", []),
    ("x = f(a, b=c, d=e)", "keyword left out", ["x = f(a,  d=e)", "x = f(a, b=c, )"]),
    ("for a in zip(b, c, strict=True):\n    pass", "keyword left out", []),
    ("def f() -> int | None:\n    return 1", "return None", ["def f() -> int | None:\n    return None"]),
    ("def f() -> bool:\n    return a == b", "return negated", ["def f() -> bool:\n    return not (a == b)"]),
    ("def f():\n    if a:\n        return 1\n    return 2", "statement dropped", ["def f():\n    if a:\n        pass\n    return 2"]),
    ("def f(a):\n    a = b\n    c = a\n    return c", "statement dropped", ["def f(a):\n    pass\n    c = a\n    return c"]),
    ("a.b = c\nwhile d:\n    e += f", "statement dropped", ["a.b = c\nwhile d:\n    pass"]),
    ("ü = 'ä' + a", "arithmetic", ["ü = 'ä' - a"]),
    ('x = f"{a + 1}"', "arithmetic", []),
    ("x: Final[f(1, 2)] = a", "arguments swapped", []),
    ("@f(1)\ndef g(): pass", "constant", []),
]  # fmt: skip


@pytest.mark.parametrize(
    ("source", "kind", "expected"), CASES, ids=[f"{s} ({k})" for s, k, _ in CASES]
)
def test_mutants(source: str, kind: str, expected: list[str]) -> None:
    """Each is the source with one mistake, and legal."""
    found = mutants_of("a.py", source)
    made = [mutant.applied(source) for mutant in found if mutant.kind == kind]
    assert sorted(made) == sorted(expected)


def test_places() -> None:
    """A mutant knows its line, and the function around it with its decorators."""
    (only,) = mutants_of("a.py", "class A:\n    @b\n    def f(self):\n        return a - b\n")
    assert (only.line, only.function) == (4, 2)
    assert mutants_of("a.py", "x = 1\n")[0].function == 0


_TRIALS = """
import json, sys
from pathlib import Path
from tools.mutation.mutants import mutants_of
from tools.mutation.trials import Trials, copy_of
root = Path(sys.argv[1])
with copy_of(root, ["calc", "tests", "nothing"]) as tree:
    trials = Trials(tree, ["calc/numbers.py"], tree / "log.txt", slack=1.0)
    trials.record(["tests/test_numbers.py"])
    found = [trials.verdict(m) for m in mutants_of("calc/numbers.py", (root / "calc/numbers.py").read_text())]
print(json.dumps([[v.mutant.kind, v.mutant.text, v.fate, v.tests] for v in found]))
"""
_NUMBERS = """
def above(a, b):
    return a > b


def below(a):
    while a > 3:
        a -= 2
    return a


def unread(a):
    return a + 1
"""
_TESTS = """
from calc.numbers import above, below


def test_above():
    assert above(2, 1)


def test_below():
    assert below(8) == 2
"""


@pytest.fixture(scope="module")
def fates(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], tuple[str, int]]:
    """What becomes of the mutants of a small package."""
    root = tmp_path_factory.mktemp("tree")
    for name, text in (
        ("calc/__init__.py", ""),
        ("calc/numbers.py", _NUMBERS),
        ("tests/test_numbers.py", _TESTS),
    ):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text)
    command = [sys.executable, "-c", _TRIALS, str(root)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (root / "calc/numbers.py").read_text() == _NUMBERS
    return {(kind, text): (fate, tests) for kind, text, fate, tests in json.loads(done.stdout)}


def test_what_a_test_notices_is_caught(fates: dict[tuple[str, str], tuple[str, int]]) -> None:
    """By the tests that call the function, and no others."""
    assert fates["comparison", "<="] == ("caught", 1)
    assert fates["statement dropped", "pass"][0] == "hung"


def test_what_no_test_notices_survives(fates: dict[tuple[str, str], tuple[str, int]]) -> None:
    """A boundary that is not met; and what is not called at all."""
    assert ("survived", 1) in fates.values()
    assert fates["arithmetic", "-"] == ("unreached", 0)
