"""What the README shows runs as it stands there: Python, and every command line."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import normonnx
from tests.cli.running import on_terminal, without_styles

pytest.importorskip("onnxruntime", reason="models run on ONNX Runtime: install normonnx[cpu]")

ROOT = Path(normonnx.__file__).parents[1]
DEMO = ROOT / "normonnx" / "cli" / "demo.onnx"
README = (ROOT / "README.md").read_text(encoding="utf-8")


def _blocks(language: str = "python") -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def _classifier() -> onnx.ModelProto:
    """Of rows of four features."""
    return onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 17]> g (float[N,4] features) => (float[N,3] scores) '
        "<float[4,3] w = {1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3}, float[3] b = {1, 2, 3}> "
        "{ scores = Gemm(features, w, b) }"
    )


@pytest.mark.parametrize("number", range(len(_blocks())))
def test_python_blocks_run(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each by itself, in a folder with a model.onnx, the same as optimized.onnx, a classifier.onnx."""
    monkeypatch.chdir(tmp_path)
    np.random.seed(0)  # noqa: NPY002  # the README draws without a seed
    for name in ("model.onnx", "optimized.onnx"):
        shutil.copy(DEMO, tmp_path / name)
    onnx.save(_classifier(), tmp_path / "classifier.onnx")
    exec(compile(_blocks()[number], f"README block {number}", "exec"), {"__name__": "readme"})  # noqa: S102  # that is the test


def test_the_readme_counts_the_norms_rightly() -> None:
    """As `normonnx list norms` does."""
    assert f"lists all {len(normonnx.norms)}." in README.replace("\n", " ")


def _commands() -> list[str]:
    """Every command line: those of shell blocks, after a prompt, and in the text."""
    lines = [line for block in _blocks("sh") for line in block.splitlines()]
    prompted = [line for block in _blocks("text") for line in block.splitlines()]
    lines += [line.removeprefix("$ ") for line in prompted if line.startswith("$ ")]
    text = re.sub(r"```.*?```", "", README, flags=re.DOTALL)
    inline = (" ".join(found.split()) for found in re.findall(r"`([^`]+)`", text))
    lines += [found for found in inline if re.match(r"(normonnx|python|pip) ", found)]
    return list(dict.fromkeys(line.partition("  #")[0].strip() for line in lines if line.strip()))


@dataclass(frozen=True, slots=True)
class Run:
    """How a command line is run here.

    Attributes:
        instead: Parts that are replaced: what is not here, and what would take long.
        more: What is put behind it, for the same reason.
        code: The exit code that the README leads one to expect.
        says: What it must say.
        needs: Packages without which it is left out.
    """

    instead: Mapping[str, str] | None = None
    more: str = ""
    code: int = 0
    says: str = ""
    needs: tuple[str, ...] = ()


_QUICK = " --seconds 0 --sessions 1"
RUNS: Mapping[str, Run] = {
    "normonnx demo": Run(says="verdict: pass"),
    "normonnx list norms": Run(says="GroupNorm"),
    "normonnx list backends": Run(says="ort:cpu"),
    "normonnx explain GroupNorm": Run(says="statistics over"),
    "normonnx explain --compare BatchNorm LayerNorm InstanceNorm GroupNorm": Run(
        says="one for each"
    ),
    "normonnx tune": Run(more=" model.onnx --seconds 0", says="costs-ort-cpu.json written"),
    "normonnx tune model.onnx": Run(more=" --seconds 0", says="costs-ort-cpu.json written"),
    "normonnx bench model.onnx": Run(more=_QUICK, says="A/A"),
    "normonnx bench optimized.onnx --against model.onnx": Run(more=_QUICK, says="all agree"),
    "normonnx record model.onnx --backend ort:cuda -o run.bundle": Run(
        instead={"ort:cuda": "ort:cpu"}, says="run.bundle written"
    ),
    "normonnx compare run.bundle --backend ort:cpu": Run(says="verdict: pass"),
    "normonnx validate spoiled.onnx --against demo.onnx --repro repro": Run(
        code=1, says="first goes wrong at Conv '/bottom/convnext/depthwise/Conv'"
    ),
    "cd repro && normonnx validate bottom_convnext_depthwise_Conv.onnx "
    "--inputs bottom_convnext_depthwise_Conv.npz": Run(code=1, says="verdict: mismatch"),
    "python -m models NAME --size full --exporter legacy -o NAME.onnx": Run(
        instead={"NAME": "mlp"}, says="mlp.onnx: mlp", needs=("torch",)
    ),
}
ELSEWHERE: Mapping[str, str] = {  # the beginning of a command line, and who runs it
    "python3 -m venv .venv": ".ci/run",
    "pip install": "tests/unit/test_readme.py",  # whether there is such an extra
    'eval "$(_NORMONNX_COMPLETE=': "tests/cli/test_completion.py",
    "_NORMONNX_COMPLETE=fish_source": "tests/cli/test_completion.py",
    "normonnx demo --html": "tests/browser/test_reports_in_chromium.py",
    "normonnx export": "tests/cli/test_export.py",
    "normonnx inspect model.onnx --svg": "tests/cli/test_html.py",
    "normonnx optimize model.onnx -o optimized.onnx --html": "tests/cli/test_html.py",
    "normonnx prepend": "tests/cli/test_prepend.py",
    "normonnx sweep": "tests/cli/test_sweep.py",
    "normonnx validate optimized.onnx --against model.onnx --html": "tests/cli/test_html.py",
    "normonnx bench optimized.onnx --against model.onnx --seconds": "tests/cli/test_html.py",
    "python tools/fuzz.py": "tests/fuzz/test_hostile.py",
    "python tools/measure_exports.py": "tests/unit/tools/test_measure_exports.py",
    "python tools/measure_scaling.py": "tests/unit/tools/test_measure_scaling.py",
    "python tools/cuda_evidence.py": "tests/conformance/test_cuda_evidence.py",
    "python tools/benchmark_latency.py": "tests/unit/tools/test_benchmark_latency.py",
    "python tools/benchmark_peers.py": "tests/unit/tools/test_benchmark_peers.py",
    "python tools/measure_forms.py": "tests/unit/tools/test_measure_forms.py",
    "python tools/mutate.py": "tests/unit/tools/test_mutate.py",
}


def test_every_command_is_run_by_some_test() -> None:
    """A command line that is new in the README must be added here; one that went must go."""
    known = {*RUNS}
    found = set(_commands())
    strangers = {line for line in found - known if not line.startswith(tuple(ELSEWHERE))}
    assert strangers == set()
    assert known - found == set()
    for beginning, place in ELSEWHERE.items():
        assert any(line.startswith(beginning) for line in found), beginning
        word = re.split(r"[ =]", beginning.removeprefix('eval "$('))[-1] or "VARIABLE"
        tool = Path(word).stem if word.startswith("tools/") else ""
        verb = f'"{beginning.split()[1]}"' if beginning.startswith("normonnx ") else ""
        text = (ROOT / place).read_text(encoding="utf-8")
        assert tool in text
        assert verb in text


def test_every_extra_that_is_named_exists() -> None:
    """What `pip install` is given in the README and in messages is an extra of pyproject.toml."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    texts = [README, *(path.read_text("utf-8") for path in (ROOT / "normonnx").rglob("*.py"))]
    named = {
        extra.strip()
        for text in texts
        for found in re.findall(r"(?:normonnx|\")?\.?\[([a-z, ]+)\]['\"]", text)
        for extra in found.split(",")
        if f"normonnx[{found}]" in text or f'".[{found}]"' in text
    }
    assert {"cpu", "bench"} <= named
    assert named <= set(extras["optional-dependencies"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the models that the README speaks of, and the commands on its PATH."""
    place = tmp_path_factory.mktemp("readme")
    for name in ("demo.onnx", "model.onnx", "optimized.onnx"):
        shutil.copy(DEMO, place / name)
    spoiled = onnx.load(DEMO)
    node = next(one for one in spoiled.graph.node if one.name == "/bottom/convnext/depthwise/Conv")
    weight = next(one for one in spoiled.graph.initializer if one.name == node.input[1])
    turned = numpy_helper.to_array(weight).swapaxes(-1, -2)
    weight.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(turned), weight.name))
    onnx.save(spoiled, place / "spoiled.onnx")
    (place / "bin").mkdir()
    for name, module in (("normonnx", " -m normonnx"), ("python", "")):
        shim = place / "bin" / name
        shim.write_text(f'#!/bin/sh\nexec {sys.executable}{module} "$@"\n')
        shim.chmod(0o755)
    return place


@pytest.mark.parametrize("line", RUNS)
def test_a_command_runs(folder: Path, line: str) -> None:
    """With the exit code and the words that the README tells, in the order in which it tells them."""
    run = RUNS[line]
    if any(find_spec(package) is None for package in run.needs):
        pytest.skip(f"{run.needs} must be installed")
    command = line
    for part, other in (run.instead or {}).items():
        command = command.replace(part, other)
    path = os.pathsep.join((str(folder / "bin"), os.environ.get("PATH", "")))
    env = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "NORMONNX_COSTS": str(folder)}
    done = subprocess.run(
        ["/bin/sh", "-c", command + run.more],
        capture_output=True,
        check=False,
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=300,
    )
    assert done.returncode == run.code, done
    assert run.says in done.stdout
    assert done.stderr == ""


def _without_figures(text: str) -> list[str]:
    """Words alone: figures, versions and where a line ends differ from machine to machine."""
    return re.sub(r"[\d.,+-]+|e\b|\w?B\b", " ", text).split()


def test_the_demo_prints_what_the_readme_shows() -> None:
    """On a terminal of 100 columns, but for the figures."""
    shown = next(block for block in _blocks("text") if block.startswith("1. normonnx inspect demo"))
    seen = without_styles(on_terminal("demo", errors=False, env={"COLUMNS": "100"}))
    assert _without_figures(seen) == _without_figures(shown)


def test_the_comparison_of_norms_is_what_the_readme_shows() -> None:
    """Letter by letter."""
    shown = next(block for block in _blocks("text") if block.startswith("BatchNorm  "))
    names = ("BatchNorm", "LayerNorm", "InstanceNorm", "GroupNorm")
    done = subprocess.run(
        [sys.executable, "-m", "normonnx", "explain", "--compare", *names],
        capture_output=True,
        check=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"},
    )
    assert done.stdout.split("\n")[: shown.count("\n")] == shown.split("\n")[:-1]
