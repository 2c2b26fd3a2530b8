"""Faults that only a runtime's own rewriting brings in: the level, the optimizer, the fused node."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

import normonnx
from normonnx.core.verdicts import Divergence, Verdict
from tests.fake_runtimes import put_first

pytest.importorskip("onnxruntime", reason="models run on ONNX Runtime: install normonnx[cpu]")

_DEMO = Path(normonnx.__file__).parent / "cli" / "demo.onnx"

# The real onnxruntime, but for sessions whose optimized graph holds what CONDITION says: these give
# results that are 3 % too large. `nodes` are those of the graph, `level` its optimization level.
_SPOILED = """
import importlib.machinery, importlib.util, sys, tempfile
from pathlib import Path

_here = str(Path(__file__).parents[1])
_spec = importlib.machinery.PathFinder.find_spec(
    "onnxruntime", [folder for folder in sys.path if folder != _here]
)
_module = importlib.util.module_from_spec(_spec)
sys.modules["onnxruntime"] = _module
_spec.loader.exec_module(_module)


class InferenceSession(_module.InferenceSession):
    def __init__(self, path, options, **others):
        import onnx

        if not options.optimized_model_filepath:
            options.optimized_model_filepath = tempfile.mktemp()
        super().__init__(path, options, **others)
        nodes = onnx.load(options.optimized_model_filepath, load_external_data=False).graph.node
        level = options.graph_optimization_level.name
        self.spoiled = CONDITION

    def run(self, *arguments):
        found = super().run(*arguments)
        return [one * one.dtype.type(1.03) if self.spoiled else one for one in found]


_module.InferenceSession = InferenceSession
"""


def _spoil(condition: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = folder / "onnxruntime"
    package.mkdir()
    (package / "__init__.py").write_text(_SPOILED.replace("CONDITION", condition))
    put_first(folder, monkeypatch)


def _located(model: onnx.ModelProto, repro: Path) -> Divergence:
    found = normonnx.validate(model, repro=repro)
    assert found.verdict is Verdict.MISMATCH
    assert found.divergence is not None
    return found.divergence


def _shows(repro: str) -> bool:
    onnx.checker.check_model(repro, full_check=True)
    again = normonnx.validate(repro, inputs=Path(repro).with_suffix(".npz"), locate=False)
    return again.verdict is Verdict.MISMATCH


GELU: dict[str, tuple[str, str]] = {
    "BiasGelu": ("/bottom/tokens/gelu/Mul_1_output_0", "Add '/bottom/tokens/expand/Add'"),
    "Gelu": ("/bottom/convnext/gelu/Mul_1_output_0", "Div '/bottom/convnext/gelu/Div'"),
}


@pytest.mark.parametrize("op_type", GELU)
def test_a_faulty_kernel_of_a_fused_node_is_named(
    op_type: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of two, in a network of a hundred nodes: found by level, optimizer and segment."""
    tensor, first = GELU[op_type]
    _spoil(f'any(node.op_type == "{op_type}" for node in nodes)', tmp_path, monkeypatch)
    found = _located(onnx.load(_DEMO), tmp_path / "repro")
    assert (found.op_type, found.tensor) == (op_type, tensor)
    assert found.local > 100 * found.floor
    assert "not reproducible below optimization level extended" in found.note
    assert "GeluFusion" in found.note.partition("of ONNX Runtime rewrites the graph")[0]
    assert f"one {op_type} instead of {first}" in found.note
    assert "right with ort:cpu,without=" in found.note
    assert _shows(found.repro)


def test_a_faulty_rule_of_a_runtime_is_named(tmp_path: Path) -> None:
    """ONNX Runtime takes a mean of third powers for a variance: a fault that is real."""
    text = """<ir_version: 8, opset_import: ["": 17]>
    g (float[N, 8] x) => (float[N, 8] y)
    <float three = {3}, float e = {1e-5}, float[8] s = {1, 2, 1, 1, 1, 1, 1, 1}, float[8] b = {0, 0, 0, 0, 0, 0, 0, 1}> {
        a = Abs(x) m = ReduceMean<axes = [-1]>(a) d = Sub(a, m) p = Pow(d, three)
        v = ReduceMean<axes = [-1]>(p) u = Add(v, e) r = Sqrt(u) n = Div(d, r)
        z = Mul(n, s) o = Add(z, b) y = Neg(o) }"""
    x = np.random.default_rng(0).exponential(size=(4, 8)).astype(np.float32)
    found = normonnx.validate(onnx.parser.parse_model(text), inputs={"x": x}, repro=tmp_path)
    assert found.divergence is not None
    assert (found.divergence.op_type, found.divergence.tensor) == ("LayerNormalization", "o")
    assert "LayerNormFusion" in found.divergence.note
    assert found.divergence.upstream < 4
    assert _shows(found.divergence.repro)


def test_what_shows_at_a_level_without_a_change_of_the_graph_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other kernels at a level, say: the level is named, and a node that is off there."""
    _spoil('level == "ORT_ENABLE_ALL"', tmp_path, monkeypatch)
    text = '<ir_version: 8, opset_import: ["": 17]> g (float[N, 8] x) => (float[N, 8] y) { a = Abs(x) y = Neg(a) }'
    found = _located(onnx.parser.parse_model(text), tmp_path / "repro")
    assert found.op_type == "Abs"
    assert "not reproducible below optimization level all" in found.note


def test_a_fault_of_no_node_that_was_made_still_names_the_optimizer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It shows only where both Gelus stand, never on a part of the network."""
    _spoil('{"Gelu", "BiasGelu"} <= {node.op_type for node in nodes}', tmp_path, monkeypatch)
    found = _located(onnx.load(_DEMO), tmp_path / "repro")
    assert found.op_type.endswith("Gelu")
    assert "GeluFusion" in found.note
    assert "no node that it made is off" in found.note


def test_a_node_with_subgraphs_is_judged_too(tmp_path: Path) -> None:
    """A variance by cancellation in a branch, which reads a value from around it."""
    text = """<ir_version: 8, opset_import: ["": 17]>
    g (float[N, 4, 64] x, bool c) => (float[N, 4, 64] y) <float k = {1000}> {
        a = Add(x, k)
        v = If (c) <
            then_branch = t () => (float[N, 4, 1] tv) {
                q = Mul(a, a) qm = ReduceMean<axes = [-1]>(q) m = ReduceMean<axes = [-1]>(a)
                mm = Mul(m, m) tv = Sub(qm, mm) },
            else_branch = e () => (float[N, 4, 1] ev) { ev = ReduceMean<axes = [-1]>(a) }>
        y = Div(x, v) }"""
    x = np.random.default_rng(0).standard_normal((2, 4, 64)).astype(np.float32)
    model = ir.to_proto(ir.from_proto(onnx.parser.parse_model(text)))
    found = normonnx.validate(model, inputs={"x": x, "c": np.array(True)}, repro=tmp_path)  # noqa: FBT003
    assert found.divergence is not None
    assert (found.divergence.op_type, found.divergence.tensor) == ("If", "v")
    assert _shows(found.divergence.repro)


def test_what_a_node_inherits_is_told_apart_from_what_it_adds() -> None:
    """The overflow is added by the cast; what it reads is right up to roundoff."""
    text = """<ir_version: 8, opset_import: ["": 17]> g (float[N, 8] x) => (float[N, 8] y) {
        k = Constant<value_float = 1e6>() s = Softmax(x) p = Mul(s, k)
        h = Cast<to = 10>(p) f = Cast<to = 1>(h) y = Div(f, k) }"""
    found = normonnx.validate(onnx.parser.parse_model(text)).divergence
    assert found is not None
    assert found.op_type == "Cast"
    assert 0 < found.upstream < 8
