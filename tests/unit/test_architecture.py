"""The shape of the code: arrows between rooms, names, what an import costs, documentation."""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import click
import grimp
import pytest

import normonnx
from normonnx.cli.sweeping import passed_options
from normonnx.cli.verbs import VERBS
from normonnx.cli.verbs import normonnx as command_line
from normonnx.core.version import VERSION

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "normonnx"
MODULES = sorted(PACKAGE.rglob("*.py"))


def _name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _python(code: str) -> str:
    """What a fresh interpreter prints for `code`."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
    )
    return done.stdout.strip()


def _contracts(root: Path) -> subprocess.CompletedProcess[str]:
    """What the import linter says, in a process of its own: it turns off every logger of this one."""
    return subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command as c; c(['--no-cache'])",
        ],
        capture_output=True,
        check=False,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        text=True,
    )


def test_rooms_depend_on_one_another_only_along_the_arrows() -> None:
    """Every import contract of pyproject.toml holds; each room has its place in one."""
    done = _contracts(ROOT)
    assert done.returncode == 0, done.stdout


def test_an_arrow_against_the_architecture_is_noticed(tmp_path: Path) -> None:
    """The contracts can fail: a copy in which the judge imports the accused breaks one."""
    for path in MODULES:
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    (tmp_path / "normonnx" / "validation" / "cheat.py").write_text("import normonnx.fold.planner\n")
    done = _contracts(tmp_path)
    assert done.returncode != 0
    assert "The judge does not know the accused BROKEN" in done.stdout


def test_only_the_command_line_and_the_workers_enter_by_the_front_door() -> None:
    """No room imports `normonnx` itself: only cli/ and the package's own __init__ wire rooms."""
    graph = grimp.build_graph("normonnx", cache_dir=None)
    importers = graph.find_modules_that_directly_import("normonnx")
    strangers = {name for name in importers if not name.startswith("normonnx.cli")}
    assert not strangers


@pytest.mark.parametrize("heavy", ["torch", "onnxruntime", "onnx", "onnx_ir", "rich", "matplotlib"])
def test_importing_normonnx_is_light(heavy: str) -> None:
    """`import normonnx` loads no runtime and no model library."""
    assert _python(f"import normonnx, sys; print({heavy!r} in sys.modules)") == "False"


def test_help_loads_nothing_heavy() -> None:
    """`normonnx --help` reads the verbs' files and nothing that computes."""
    code = (
        "import sys, contextlib, io; from normonnx.cli.__main__ import main\n"
        "with contextlib.redirect_stdout(io.StringIO()): main(['--help'])\n"
        "print(sorted({'matplotlib', 'numpy', 'onnx', 'onnx_ir', 'rich', 'torch'} & set(sys.modules)))"
    )
    assert _python(code) == "[]"


def test_no_module_bears_the_name_of_a_public_object() -> None:
    """A submodule's import would shadow the function of the same name."""
    reserved = {*normonnx.__all__, "export", "export_scaler", "norms"}
    assert not {path.stem for path in PACKAGE.glob("*.py")} & reserved
    assert not {path.name for path in PACKAGE.iterdir() if path.is_dir()} & reserved
    spoken = {"validate", "export", "optimize", "norms"}
    assert not {path.stem for path in MODULES} & spoken


def test_every_room_is_a_package_under_a_name_that_says_what() -> None:
    """No namespace packages by accident, and no room called after nothing."""
    folders = [path for path in PACKAGE.rglob("*") if path.is_dir() and path.name != "__pycache__"]
    filled = [path for path in folders if {item.name for item in path.iterdir()} - {"__pycache__"}]
    assert [path for path in filled if not (path / "__init__.py").exists()] == []
    vague = {"utils", "util", "helper", "helpers", "common", "manager", "process", "data", "misc"}
    assert not {path.stem for path in [*MODULES, *folders]} & vague


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_every_module_says_what_it_does(path: Path) -> None:
    """Each file starts with a docstring."""
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("name", sorted(normonnx.__all__))
def test_every_public_name_exists_and_is_documented(name: str) -> None:
    """What __all__ promises is there, with a docstring of its own."""
    found = getattr(normonnx, name)
    assert not isinstance(found, ModuleType)
    assert found.__doc__
    assert not found.__doc__.startswith(f"{name}("), "that is the signature dataclass makes up"


def test_public_functions_are_keyword_only_after_the_model() -> None:
    """Options can be added without breaking a call."""
    for name in ("bench", "optimize", "fold_batch_norm", "inspect", "tune", "validate"):
        first, *rest = inspect.signature(getattr(normonnx, name)).parameters.values()
        assert first.name == "model"
        assert all(option.kind is option.KEYWORD_ONLY for option in rest)


def test_the_version_is_said_once() -> None:
    """Package, command line and build agree."""
    assert normonnx.__version__ == VERSION
    build = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert build["tool"]["hatch"]["version"]["path"] == "normonnx/core/version.py"
    assert "version" in build["project"]["dynamic"]


def _commands() -> dict[str, click.Command]:
    found = {}
    for verb, place in VERBS.items():
        module, _, name = place.partition(":")
        found[verb] = getattr(importlib.import_module(module), name)
    return found


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_every_verb_has_help_json_and_a_row_in_the_readme(verb: str) -> None:
    """Each option says what it does, results can be had as JSON, and README.md knows all of it."""
    command = _commands()[verb]
    assert command.name == verb
    assert command.help
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (row,) = re.findall(rf"^\| `{verb}\b.*$", readme, re.MULTILINE)
    everywhere = {"--json", "--quiet", "--verbose"}  # told once, for all verbs
    assert all(option in readme for option in everywhere)
    for handed_on, one in _with_options(command):
        options = [found for found in one.params if isinstance(found, click.Option)]
        assert one.help
        assert all(option.help for option in options)
        assert any("--json" in option.opts for option in options)
        named = {option.opts[-1] for option in options} - everywhere - handed_on
        assert {name for name in named if not re.search(rf"{name}\b(?!-)", row)} == set()


def _with_options(command: click.Command) -> list[tuple[set[str], click.Command]]:
    """The commands that take options, and which of these are told in another verb's row."""
    if not isinstance(command, click.Group):
        return [(set(), command)]
    context = click.Context(command)
    found = []
    for name in command.list_commands(context):
        one = command.get_command(context, name)
        assert one is not None
        handed_on = {option.opts[-1] for option in passed_options(name)}
        found.append((handed_on, one))
    return found


def test_verbs_are_listed_in_order_and_unknown_ones_are_none() -> None:
    """The group offers exactly the table."""
    context = click.Context(command_line)
    assert command_line.list_commands(context) == list(VERBS)
    assert command_line.get_command(context, "no-such-verb") is None


def test_the_readme_begins_with_the_two_commands_that_ci_runs() -> None:
    """Set-up and demo, then set-up and tests: the first two code blocks, one command each."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```\w*\n(.*?)```", readme, re.DOTALL)
    demo, tests = (block.strip().splitlines() for block in blocks[:2])
    assert len(demo) == len(tests) == 1
    assert demo[0].startswith("python3 -m venv ")
    assert demo[0].endswith("normonnx demo")
    assert tests[0].startswith("python3 -m venv ")
    assert "pytest" in tests[0]


def test_the_package_says_that_it_is_typed_and_under_which_licence() -> None:
    """py.typed and LICENSE are there and are what they claim to be."""
    assert (PACKAGE / "py.typed").read_bytes() == b""
    licence = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in licence
    assert "Version 2.0, January 2004" in licence
    assert "END OF TERMS AND CONDITIONS" in licence
