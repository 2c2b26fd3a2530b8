"""Backends: worker processes, what they answer, and every way in which they fail."""

# ruff: noqa: ANN401  # arrays and attributes of every type

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from normonnx.core.verdicts import Verdict
from normonnx.runtime import backends
from normonnx.runtime.backends import Outcome, Request, run

HEAD = '<ir_version: 8, opset_import: ["": 17]>\n'
DOUBLE = HEAD + "g (float[n] x) => (float[n] y) { y = Add(x, x) }"
X = {"x": np.arange(3, dtype=np.float32)}


def _file(folder: Path, text: str, name: str = "model.onnx") -> Path:
    path = folder / name
    onnx.save(onnx.parser.parse_model(text), path)
    return path


def _run(
    folder: Path,
    text: str,
    cases: Sequence[Mapping[str, Any]] = (X,),
    backend: str = "ort:cpu",
    timeout: float = 120,
) -> Outcome:
    return run(backend, Request(_file(folder, text), cases, timeout))


def test_a_model_runs_in_a_worker(tmp_path: Path) -> None:
    """Outputs of each case by name in the model's own type, who ran it, and with which settings."""
    outcome = _run(tmp_path, DOUBLE, [X, {"x": np.ones(1, np.float32)}])
    assert (outcome.run.verdict, outcome.run.reason) == (Verdict.PASS, "")
    assert [case["y"].tolist() for case in outcome.outputs] == [[0, 2, 4], [2]]
    assert outcome.outputs[0]["y"].dtype == np.float32
    assert outcome.run.settings["onnxruntime"] == onnxruntime.__version__
    assert outcome.run.settings["provider"] == "CPUExecutionProvider"
    assert set(outcome.run.settings) >= {"optimization level", "intra-op threads"}


def test_nodes_are_counted_by_the_provider_that_ran_them(tmp_path: Path) -> None:
    """What ONNX Runtime assigned after its own rewriting."""
    assert _run(tmp_path, DOUBLE).run.placement == {"CPUExecutionProvider": 1}


def test_without_cases_a_model_is_only_loaded(tmp_path: Path) -> None:
    """Whether a backend is there and takes the model can be asked without inputs."""
    outcome = _run(tmp_path, DOUBLE, ())
    assert (outcome.run.verdict, outcome.outputs) == (Verdict.PASS, ())


def test_names_with_odd_characters_and_many_outputs(tmp_path: Path) -> None:
    """Tensor names never become names of files or of archive members."""
    model = onnx.parser.parse_model(
        HEAD + "g (float[n] x) => (float[n] y, bool[n] z) { y = Neg(x) z = IsNaN(x) }"
    )
    odd = "../a b:0/ÿ"
    model.graph.node[0].output[0] = model.graph.output[0].name = odd
    onnx.save(model, tmp_path / "odd.onnx")
    outcome = run("ort:cpu", Request(tmp_path / "odd.onnx", [X], 120))
    assert outcome.outputs[0][odd].tolist() == [0, -1, -2]
    assert outcome.outputs[0]["z"].tolist() == [False] * 3


def test_strings_go_in_and_out(tmp_path: Path) -> None:
    """Strings are objects on both sides."""
    text = HEAD + "g (string[n] x) => (string[n] y) { y = Identity(x) }"
    outcome = _run(tmp_path, text, [{"x": np.asarray(["a", "bc"])}])
    assert outcome.outputs[0]["y"].tolist() == ["a", "bc"]
    assert outcome.outputs[0]["y"].dtype == object


def test_an_output_that_is_no_tensor_is_none(tmp_path: Path) -> None:
    """Sequences are not compared, and do not bring the worker down."""
    text = HEAD + "g (float[n] x) => (seq(float[n]) s, float[n] y) {"
    text += " y = Neg(x) s = SequenceConstruct(x, y, x) }"
    outcome = _run(tmp_path, text)
    assert outcome.outputs[0]["s"] is None
    assert outcome.outputs[0]["y"].tolist() == [0, -1, -2]


def test_bfloat16_goes_in_and_out(tmp_path: Path) -> None:
    """ONNX Runtime's bindings take no bfloat16 from NumPy; its bits travel as they are."""
    import ml_dtypes

    text = HEAD + "g (bfloat16[n] x) => (float[n] y, bfloat16[n] z) {"
    text += " y = Cast<to = 1>(x) z = Identity(x) }"
    x = np.asarray([1.5, -3], ml_dtypes.bfloat16)
    outcome = _run(tmp_path, text, [{"x": x}])
    assert outcome.outputs[0]["y"].tolist() == [1.5, -3]
    assert outcome.outputs[0]["z"].dtype == ml_dtypes.bfloat16
    assert outcome.outputs[0]["z"].tolist() == [1.5, -3]


def test_a_family_that_nobody_knows_is_unavailable(tmp_path: Path) -> None:
    """The names that there are, and no verdict that could pass."""
    found = _run(tmp_path, DOUBLE, backend="abacus").run
    assert found.verdict is Verdict.UNAVAILABLE
    assert "'abacus'" in found.reason
    assert "ort:cpu" in found.reason


PROVIDERS = {
    "ort:cuda": "CUDAExecutionProvider",
    "ort:tensorrt": "TensorrtExecutionProvider",
    "ort:openvino": "OpenVINOExecutionProvider",
    "ort:CUDAExecutionProvider": "CUDAExecutionProvider",
    "ort:MadeUp": "MadeUp",
}


@pytest.mark.parametrize("backend", PROVIDERS)
def test_a_provider_that_is_not_installed_is_unavailable(tmp_path: Path, backend: str) -> None:
    """ONNX Runtime would silently fall back to the CPU; here it says what is missing."""
    provider = PROVIDERS[backend]
    if provider in onnxruntime.get_available_providers():
        pytest.skip(f"{provider} is installed here")
    outcome = _run(tmp_path, DOUBLE, backend=backend)
    assert outcome.run.verdict is Verdict.UNAVAILABLE
    assert f"no {provider}" in outcome.run.reason
    assert outcome.outputs == ()


def test_a_provider_that_runs_no_node_is_unavailable(tmp_path: Path) -> None:
    """Azure's provider is in every build, and takes no ordinary node."""
    if "AzureExecutionProvider" not in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has no AzureExecutionProvider")
    found = _run(tmp_path, DOUBLE, backend="ort:azure").run
    assert found.verdict is Verdict.UNAVAILABLE
    assert found.reason == "AzureExecutionProvider was asked for but ran no node"


@pytest.mark.parametrize(
    "text",
    [
        (
            '<ir_version: 8, opset_import: ["": 17, "odd": 1]>\n'
            "g (float[n] x) => (float[n] y) { y = odd.Frobnicate(x) }"
        ),
        HEAD + "g (float[1, 4, 2, 2] x) => (float[1, 4, 2, 2] y) { y = LRN<size = 2>(x) }",
    ],
    ids=["custom operator", "no kernel"],
)
def test_a_legal_model_that_the_runtime_can_not_take_is_unavailable(
    tmp_path: Path, text: str
) -> None:
    """It is the runtime that lacks something."""
    found = _run(tmp_path, text).run
    assert found.verdict is Verdict.UNAVAILABLE
    assert "\n" not in found.reason


def test_a_model_that_the_checker_rejects_too_is_invalid(tmp_path: Path) -> None:
    """Neg of a boolean: no runtime could."""
    found = _run(tmp_path, HEAD + "g (bool[n] x) => (bool[n] y) { y = Neg(x) }").run
    assert found.verdict is Verdict.INVALID
    assert found.reason.startswith("can't load the model")


def test_failing_while_running_is_one_line(tmp_path: Path) -> None:
    """Inputs of shapes that don't fit."""
    text = HEAD + "g (float[n] x, float[m] z) => (float[k] y) { y = Add(x, z) }"
    found = _run(tmp_path, text, [{**X, "z": np.ones(2, np.float32)}]).run
    assert found.verdict is Verdict.UNAVAILABLE
    assert found.reason.startswith("failed while running")
    assert "\n" not in found.reason


ENDLESS = HEAD + (
    "g (float[1] x) => (float[1] y) { n = Constant<value_int = 9223372036854775807>()"
    ' y = Loop(n, "", x) <body = b (int64 i, bool c, float[1] s) => (bool d, float[1] t)'
    " { d = Identity(c) t = Neg(s) }> }"
)


def test_a_hang_ends_with_the_timeout(tmp_path: Path) -> None:
    """A loop that never ends, inside the runtime."""
    started = time.monotonic()
    found = _run(tmp_path, ENDLESS, [{"x": np.ones(1, np.float32)}], timeout=6).run
    assert found.verdict is Verdict.UNAVAILABLE
    assert "within 6 s" in found.reason
    assert time.monotonic() - started >= 6


def test_a_worker_dies_with_its_parent(tmp_path: Path) -> None:
    """Even when the parent is killed and can't say goodbye, in the middle of a run."""
    path = _file(tmp_path, ENDLESS)
    code = (
        "import sys, numpy as np; from pathlib import Path\n"
        "from normonnx.runtime.backends import Request, run\n"
        f"run('ort:cpu', Request(Path({str(path)!r}), [{{'x': np.ones(1, np.float32)}}], 100))"
    )
    root = str(Path(backends.__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": root, "TMPDIR": str(tmp_path)}
    parent = subprocess.Popen([sys.executable, "-c", code], env=environment)
    try:
        worker = _until(lambda: _worker_in(tmp_path))
        time.sleep(1.5)  # well into the loop
        assert _is_alive(worker)
    finally:
        parent.kill()
        parent.wait()
    assert _until(lambda: 0 if _is_alive(worker) else 1)


def _worker_in(folder: Path) -> int:
    """The process whose command line holds a folder inside `folder`; 0 for none."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                command = (entry / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if "normonnx.runtime.worker" in command and str(folder) in command:
                return int(entry.name)
    return 0


def _is_alive(number: int) -> bool:
    try:
        state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def _until(found: Any) -> int:
    for _ in range(300):
        number = int(found())
        if number:
            return number
        time.sleep(0.1)
    return 0


def test_files_in_the_current_folder_shadow_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An onnxruntime.py or numpy.py lying about is not what runs."""
    for name in ("onnxruntime", "numpy", "normonnx"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('shadowed')\n")
    path = _file(tmp_path, DOUBLE)
    monkeypatch.chdir(tmp_path)
    outcome = run("ort:cpu", Request(path.relative_to(tmp_path), [X], 120))
    assert (outcome.run.verdict, outcome.run.reason) == (Verdict.PASS, "")
