"""What the README shows for pre-commit and GitHub Actions parses, and its commands run as they stand."""

from __future__ import annotations

import re
import shlex
import shutil
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import normonnx
from tests.cli.running import Cli

pytest.importorskip("onnxruntime", reason="models run on ONNX Runtime: install normonnx[cpu]")

ROOT = Path(normonnx.__file__).parents[1]
DEMO = ROOT / "normonnx" / "cli" / "demo.onnx"


def _documents() -> list[Any]:
    yaml = pytest.importorskip("yaml", reason="PyYAML comes with ray: install normonnx[ray]")
    del yaml
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    return [import_module("yaml").safe_load(block) for block in blocks]


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one model in `models`, which is the current one."""
    (tmp_path / "models").mkdir()
    shutil.copy(DEMO, tmp_path / "models" / "demo.onnx")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_hook_of_pre_commit_runs(cli: Cli, repository: Path) -> None:
    """As pre-commit calls it: the entry, then the files."""
    hook = _documents()[0]["repos"][0]["hooks"][0]
    assert re.search(hook["files"], "models/demo.onnx")
    assert hook["require_serial"], "two sweeps can't write to one folder"
    program, *arguments = shlex.split(hook["entry"])
    assert program == "normonnx"
    ran = cli(*arguments, "models/demo.onnx", cwd=repository)
    assert ran.code == 0, ran
    assert cli(*arguments, "models/demo.onnx", cwd=repository).out.startswith(
        "validate: 1 model, 1 of them done before"
    )


def test_the_workflow_of_github_runs(cli: Cli, repository: Path) -> None:
    """Its steps that call normonnx do, and leave what it uploads."""
    workflow = _documents()[1]
    assert workflow[True] == ["push"]  # YAML takes `on` for a truth
    steps = workflow["jobs"]["models"]["steps"]
    commands = [step["run"] for step in steps if step.get("run", "").startswith("normonnx ")]
    assert len(commands) == 1
    ran = cli(*shlex.split(commands[0])[1:], cwd=repository)
    assert ran.code == 0, ran
    (upload,) = [step["with"] for step in steps if "upload-artifact" in step.get("uses", "")]
    assert all((repository / path).exists() for path in upload["path"].split())
    (cache,) = [step["with"] for step in steps if "cache" in step.get("uses", "")]
    assert (repository / cache["path"] / "results.jsonl").exists()
    made = repository / "swept" / "models" / "demo.onnx"
    assert b"normonnx.provenance" in made.read_bytes()
