"""The mutants of a Python file: each the file with one small mistake in it.

What is only said, and not done, stays: docstrings, annotations, f-strings, strings. So do
decorators, and the `strict` of a zip, which asserts what holds anyway.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

_COMPARISONS: Final = {
    ast.Eq: ("==", ("!=",)),
    ast.NotEq: ("!=", ("==",)),
    ast.Lt: ("<", ("<=", ">=")),
    ast.LtE: ("<=", ("<", ">")),
    ast.Gt: (">", (">=", "<=")),
    ast.GtE: (">=", (">", "<")),
    ast.Is: ("is", ("is not",)),
    ast.IsNot: ("is not", ("is",)),
    ast.In: ("in", ("not in",)),
    ast.NotIn: ("not in", ("in",)),
}
_ARITHMETIC: Final = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "/"),
    ast.Div: ("/", "*"),
    ast.FloorDiv: ("//", "*"),
    ast.Mod: ("%", "+"),
    ast.BitOr: ("|", "&"),
    ast.BitAnd: ("&", "|"),
    ast.LShift: ("<<", ">>"),
    ast.RShift: (">>", "<<"),
}
_OPPOSITES: Final = {"min": "max", "max": "min", "any": "all", "all": "any"}
_IN_ANY_ORDER: Final = frozenset(["max", "min"])
_UNTOUCHED_KEYWORDS: Final = frozenset(["strict"])
_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Mutant:
    """One mistake.

    Attributes:
        path: The file, from the root of the tree.
        kind: What is done to it.
        start: Where the text that is replaced starts, in characters.
        end: Where it ends.
        text: What stands there instead.
        line: Number of the first line that changes.
        function: Line on which the function around it starts, decorators included; 0 outside.
    """

    path: str
    kind: str
    start: int
    end: int
    text: str
    line: int
    function: int

    def applied(self, source: str) -> str:
        """The file with the mistake."""
        return source[: self.start] + self.text + source[self.end :]


def mutants_of(path: str, source: str) -> list[Mutant]:
    """All mutants of a file that are legal Python, from its start to its end."""
    found = _Finder(path, source)
    found.visit(ast.parse(source))
    legal = [mutant for mutant in dict.fromkeys(found.mutants) if _compiles(mutant.applied(source))]
    return sorted(legal, key=lambda mutant: (mutant.start, mutant.end, mutant.kind, mutant.text))


def _compiles(source: str) -> bool:
    try:
        compile(source, "mutant", "exec")
    except SyntaxError:
        return False
    return True


class _Finder(ast.NodeVisitor):
    """Walks over a file and collects mutants."""

    def __init__(self, path: str, source: str) -> None:
        self.path = path
        self.source = source
        self.mutants: list[Mutant] = []
        self.lines = [0]
        for line in source.splitlines(keepends=True):
            self.lines.append(self.lines[-1] + len(line))
        self.rows = source.splitlines(keepends=True)
        self.functions: list[_Function] = []

    def _place(self, row: int, column: int) -> int:
        """Index of a character, from the line and the bytes before it that ast gives."""
        line = self.rows[row - 1] if row <= len(self.rows) else ""
        return self.lines[row - 1] + len(line.encode()[:column].decode())

    def _span(self, node: ast.expr | ast.stmt | ast.keyword) -> tuple[int, int]:
        end = self._place(node.end_lineno or node.lineno, node.end_col_offset or 0)
        return self._place(node.lineno, node.col_offset), end

    def _text(self, node: ast.expr) -> str:
        start, end = self._span(node)
        return self.source[start:end]

    def _add(self, kind: str, span: tuple[int, int], text: str) -> None:
        start, end = span
        line = self.source.count("\n", 0, start) + 1
        function = 0
        if self.functions:
            innermost = self.functions[-1]
            function = min([innermost.lineno, *(d.lineno for d in innermost.decorator_list)])
        self.mutants.append(Mutant(self.path, kind, start, end, text, line, function))

    def _replace(self, kind: str, node: ast.expr | ast.stmt, text: str) -> None:
        self._add(kind, self._span(node), text)

    def _operator(self, kind: str, left: ast.expr, right: ast.expr, old: str, new: str) -> None:
        """Replace the operator between two operands."""
        start, end = self._span(left)[1], self._span(right)[0]
        word = rf"\b{old}\b" if old[0].isalpha() else re.escape(old)
        found = re.search(word, self.source[start:end])
        if found is not None:
            self._add(kind, (start + found.start(), start + found.end()), new)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        """Defaults and body, without decorators and annotations."""
        for default in (*node.args.defaults, *(d for d in node.args.kw_defaults if d is not None)):
            self.visit(default)
        self.functions.append(node)
        for statement in node.body:
            self.visit(statement)
        self._drop_statements(node.body)
        self._drop_assignments(node)
        self.functions.pop()

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        """Its body, without decorators."""
        for statement in node.body:
            self.visit(statement)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        """The value alone."""
        if node.value is not None:
            self.visit(node.value)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """Messages stay."""

    def visit_Compare(self, node: ast.Compare) -> None:
        """Flip each comparison, and move each boundary."""
        operands = [node.left, *node.comparators]
        for left, right, operator in zip(operands, operands[1:], node.ops, strict=False):
            old, others = _COMPARISONS[type(operator)]
            for new in others:
                self._operator("comparison", left, right, old, new)
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        """Swap the operator for another."""
        if type(node.op) in _ARITHMETIC:
            old, new = _ARITHMETIC[type(node.op)]
            self._operator("arithmetic", node.left, node.right, old, new)
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        """Swap `and` and `or`, and leave out each operand."""
        old, new = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        for left, right in zip(node.values, node.values[1:], strict=False):
            self._operator("and/or", left, right, old, new)
        for operand in node.values:
            self._replace("operand left out", operand, str(isinstance(node.op, ast.And)))
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        """Remove `not` and `-`."""
        if isinstance(node.op, ast.Not | ast.USub):
            self._replace("unary operator removed", node, f"({self._text(node.operand)})")
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        """Numbers one more and one less, True and False."""
        if isinstance(node.value, bool):
            self._replace("True/False", node, str(not node.value))
        elif isinstance(node.value, int | float):
            for new in (node.value + 1, node.value - 1):
                self._replace("constant", node, repr(new) if new >= 0 else f"({new!r})")

    def visit_If(self, node: ast.If) -> None:
        """The condition always true, never true; statements of both branches dropped."""
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return
        self._decide(node.test)
        self._drop_statements(node.body)
        self._drop_statements(node.orelse)
        self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        """The condition always true, never true."""
        self._decide(node.test)
        self.generic_visit(node)

    def visit_While(self, node: ast.While) -> None:
        """The condition never true; statements dropped."""
        self._replace("condition", node.test, "False")
        self._drop_statements(node.body)
        self.generic_visit(node)

    def visit_For(self, node: ast.For) -> None:
        """Statements dropped."""
        self._drop_statements(node.body)
        self.generic_visit(node)

    def visit_With(self, node: ast.With) -> None:
        """Statements dropped."""
        self._drop_statements(node.body)
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        """The condition always true."""
        for test in node.ifs:
            self._replace("condition", test, "True")
        self.generic_visit(node)

    def visit_Return(self, node: ast.Return) -> None:
        """Nothing returned, or the opposite of a truth value."""
        returns = self.functions[-1].returns if self.functions else None
        declared = "" if returns is None else ast.unparse(returns)
        if node.value is not None and "None" in declared and not _is_none(node.value):
            self._replace("return None", node.value, "None")
        if node.value is not None and declared == "bool":
            self._replace("return negated", node.value, f"not ({self._text(node.value)})")
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        """Neighbouring arguments swapped, a keyword left out, min for max and any for all."""
        ordered = ast.unparse(node.func) not in _IN_ANY_ORDER
        for first, second in zip(node.args, node.args[1:], strict=False):
            plain = not isinstance(first, ast.Starred) and not isinstance(second, ast.Starred)
            if plain and ordered and self._text(first) != self._text(second):
                (start, middle), (later, end) = self._span(first), self._span(second)
                between = self.source[middle:later]
                text = self._text(second) + between + self._text(first)
                self._add("arguments swapped", (start, end), text)
        for keyword in node.keywords:
            if keyword.arg is not None and keyword.arg not in _UNTOUCHED_KEYWORDS:
                start, end = self._span(keyword)
                comma = re.match(r"\s*,", self.source[end:])
                end += comma.end() if comma is not None else 0
                self._add("keyword left out", (start, end), "")
        name = node.func
        if isinstance(name, ast.Name) and name.id in _OPPOSITES:
            self._replace("opposite function", name, _OPPOSITES[name.id])
        if isinstance(name, ast.Attribute) and name.attr in _OPPOSITES:
            new = f"{self._text(name.value)}.{_OPPOSITES[name.attr]}"
            self._replace("opposite function", name, new)
        for child in (name, *node.args):
            self.visit(child)
        for keyword in node.keywords:
            if keyword.arg not in _UNTOUCHED_KEYWORDS:
                self.visit(keyword.value)

    def _decide(self, test: ast.expr) -> None:
        self._replace("condition", test, "True")
        self._replace("condition", test, "False")

    def _drop_statements(self, body: Sequence[ast.stmt]) -> None:
        """What is done for its effect, and what ends a function or a round early."""
        last_of_function = self.functions[-1].body[-1] if self.functions else None
        for statement in body:
            does = isinstance(statement, ast.AugAssign | ast.Continue | ast.Break | ast.Raise)
            does |= isinstance(statement, ast.Expr) and not isinstance(
                statement.value, ast.Constant
            )
            does |= isinstance(statement, ast.Return) and statement is not last_of_function
            if isinstance(statement, ast.Assign):
                does |= not all(isinstance(target, ast.Name) for target in statement.targets)
            if does:
                self._replace("statement dropped", statement, "pass")

    def _drop_assignments(self, function: _Function) -> None:
        """Assignments to a name that has a value already."""
        bound = {argument.arg for argument in function.args.args}
        for statement in _assignments(function):
            names = {target.id for target in statement.targets if isinstance(target, ast.Name)}
            if names and names <= bound:
                self._replace("statement dropped", statement, "pass")
            bound |= names


def _assignments(function: _Function) -> Iterator[ast.Assign]:
    found = [node for node in ast.walk(function) if isinstance(node, ast.Assign)]
    yield from sorted(found, key=lambda node: node.lineno)


def _is_none(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is None
