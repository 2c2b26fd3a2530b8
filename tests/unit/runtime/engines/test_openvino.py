"""OpenVINO's own runtime: what it runs, in which precision, and what it can't."""

# ruff: noqa: ANN401  # arrays and attributes of every type

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir
import pytest

import normonnx
from normonnx.core.verdicts import NodePlacement, Verdict
from normonnx.runtime.engines import openvino as engine
from normonnx.runtime.oracle import evaluate
from normonnx.runtime.probing import probe
from tests.fake_runtimes import put_first
from tests.unit.runtime.engines.conftest import HEAD, NEG, Run, X, reason_of

openvino = pytest.importorskip("openvino")

rng = np.random.default_rng(5)
WEIGHT = "{" + ", ".join(f"{x:.9g}" for x in rng.standard_normal(64 * 64)) + "}"
PRODUCT = (
    f"g (float[N, 64] x) => (float[N, 64] y) <float[64, 64] w = {WEIGHT}> {{ y = MatMul(x, w) }}"
)
ROWS = {"x": rng.standard_normal((4, 64)).astype(np.float32)}


def test_a_model_runs(run: Run) -> None:
    """Outputs by name, who ran it, and with which settings."""
    outcome = run("openvino", NEG, X)
    assert (outcome.run.verdict, outcome.run.reason) == (Verdict.PASS, "")
    assert outcome.outputs[0]["y"].tolist() == [-1, -2, -3, -4, -5]
    assert outcome.run.asked == "CPU"
    assert outcome.run.settings["openvino"] == openvino.__version__.partition("-")[0]
    assert outcome.run.settings["device"]
    assert outcome.run.placement == {"CPU": len(outcome.run.nodes)}
    assert outcome.run.coverage == 1


def test_float32_is_asked_for_and_nodes_tell_that_they_used_it(run: Run) -> None:
    """A CPU with bfloat16 would use that by default, for an error thousands of times larger."""
    found = run("openvino", PRODUCT, ROWS).run
    assert found.settings["INFERENCE_PRECISION_HINT"] == "f32"
    assert found.settings["EXECUTION_MODE_HINT"] == "ACCURACY"
    assert {node.precision for node in found.nodes} == {"f32"}
    assert found.reduced == ()
    report = normonnx.validate(onnx.parser.parse_model(HEAD + PRODUCT), backends=["openvino"])
    assert report.passed


@pytest.mark.parametrize(("asked", "name"), [("bf16", "bfloat16"), ("f16", "float16")])
def test_reduced_precision_is_named_where_nodes_really_ran_in_it(
    run: Run, asked: str, name: str
) -> None:
    """A CPU that lacks the format computes in float32 all the same, and nothing is to be said."""
    outcome = run(f"openvino,precision={asked}", PRODUCT, ROWS)
    ran = {node.precision for node in outcome.run.nodes}
    assert outcome.run.settings["INFERENCE_PRECISION_HINT"] == asked
    assert outcome.run.reduced == ((name,) if asked in ran else ())
    expected = evaluate(ir.from_proto(onnx.parser.parse_model(HEAD + PRODUCT)), ROWS)["y"]
    error = np.max(np.abs(outcome.outputs[0]["y"] - expected)) / np.max(np.abs(expected))
    assert (error > 1e-5) == bool(outcome.run.reduced)


class _Model:
    """The types of a model's inputs, outputs and operators, as OpenVINO tells them."""

    def __init__(self, inputs: str, inside: str) -> None:
        self.inputs = self.outputs_of = [_Port(kind) for kind in inputs.split()]
        self.outputs = self.inputs
        self._inside = [*self.inputs, *(_Port(kind) for kind in inside.split())]

    def get_ops(self) -> list[Any]:
        return [self._op()]

    def _op(self) -> Any:
        inside = self._inside

        class Op:
            def outputs(self) -> list[_Port]:
                return inside

        return Op()


class _Port:
    def __init__(self, kind: str) -> None:
        self._kind = kind

    def get_element_type(self) -> Any:
        return self

    def get_type_name(self) -> str:
        return self._kind


PRECISIONS = {
    "as declared": ("f32", "", "f32", ()),
    "bf16 by itself": ("f32", "", "f32 bf16", ("bfloat16",)),
    "both": ("f32", "", "f16 bf16", ("bfloat16", "float16")),
    "the model's own": ("f16", "", "f16", ()),
    "the model's own inside": ("f32", "bf16", "bf16", ()),
    "another than its own": ("f16", "", "bf16", ("bfloat16",)),
    "float64 in float32": ("f64", "", "f32", ("float32",)),
    "integers": ("i64 f32", "i32", "i32 u8 i8 f32", ()),
}


@pytest.mark.parametrize(
    ("inputs", "inside", "ran", "expected"), PRECISIONS.values(), ids=PRECISIONS
)
def test_precision_is_reduced_when_the_model_does_not_ask_for_it(
    inputs: str, inside: str, ran: str, expected: tuple[str, ...]
) -> None:
    """Formats that nodes ran in and that are nowhere in the model."""
    nodes = tuple(NodePlacement("n", "Eltwise", "CPU", kind) for kind in ran.split())
    converting = NodePlacement("c", "Convert", "CPU", "f16")  # it reads that, it computes nothing
    assert engine._reduced(_Model(inputs, inside), (*nodes, converting)) == expected


def test_a_float64_model_is_computed_in_float32_and_the_reason_says_so() -> None:
    """OpenVINO has no other kernels; a mismatch that is no fault of the model."""
    text = PRODUCT.replace("float[", "double[")
    found = normonnx.validate(onnx.parser.parse_model(HEAD + text), backends=["openvino"])
    assert found.backends[0].reduced == ("float32",)
    assert found.verdict is Verdict.MISMATCH
    assert all("reduced precision (float32)" in one.reason for one in found.comparisons)


def test_properties_reach_openvino(run: Run) -> None:
    """By their own names; threads as well. What it does not know is one line that says so."""
    settings = run("openvino,threads=2,PERFORMANCE_HINT=THROUGHPUT", NEG, X).run.settings
    assert settings["INFERENCE_NUM_THREADS"] == "2"
    assert settings["PERFORMANCE_HINT"] == "THROUGHPUT"
    assert "threads" not in settings
    assert "Unsupported property MADE_UP" in reason_of(run("openvino,MADE_UP=1", NEG, X))


@pytest.mark.parametrize("device", ["GPU", "npu", "MadeUp", "GPU.1"])
def test_a_device_that_is_not_here_is_unavailable(run: Run, device: str) -> None:
    """With those that are."""
    known = openvino.Core().available_devices
    if device.partition(".")[0].upper() in {name.partition(".")[0] for name in known}:
        pytest.skip(f"{device} is here")
    reason = reason_of(run(f"openvino:{device}", NEG, X))
    assert reason == f"OpenVINO finds no device {device.upper()!r} here, only {', '.join(known)}"


MISSING = {
    "not installed": ("raise ModuleNotFoundError(\"No module named 'openvino'\")", "not installed; pip install"),
    "empty": ("", "not installed; pip install"),
    "damaged": ("raise ImportError('libopenvino.so: cannot open')", "can't be imported: libopenvino.so"),
    "dies": ("import os; os.abort()", "SIGABRT"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "words"), MISSING.values(), ids=MISSING)
def test_an_openvino_that_is_not_there_is_unavailable(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, words: str
) -> None:
    """The way to install it is said, or what is wrong with it."""
    fakes = tmp_path / "fakes"
    fakes.mkdir()
    (fakes / "openvino.py").write_text(content)
    put_first(fakes, monkeypatch)
    assert words in reason_of(run("openvino", NEG, X))


@pytest.mark.parametrize("asked", ["run", "listed"])
def test_nothing_is_sent_to_its_makers(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    """Its package for usage statistics, which it takes where it can, can't be had in a worker."""
    fakes = tmp_path / "fakes"
    fakes.mkdir()
    sent = tmp_path / "sent.txt"
    (fakes / "openvino_telemetry.py").write_text(f"open({str(sent)!r}, 'w').close()")
    (fakes / "openvino.py").write_text(
        "try:\n    import openvino_telemetry\nexcept ImportError:\n    pass\n"
    )
    put_first(fakes, monkeypatch)
    if asked == "run":
        assert "not installed" in reason_of(run("openvino", NEG, X))
    else:
        assert not any(each.name.startswith("openvino") and each.here for each in probe())
    assert not sent.exists()


def test_shapes_may_change_from_case_to_case(run: Run) -> None:
    """One compiled model, several sizes, none at all included."""
    cases = [{"x": np.ones((rows, 64), np.float32)} for rows in (1, 5, 2)]
    assert [case["y"].shape for case in run("openvino", PRODUCT, *cases).outputs] == [
        (1, 64),
        (5, 64),
        (2, 64),
    ]


def test_outputs_of_one_case_are_not_overwritten_by_the_next(run: Run) -> None:
    """OpenVINO reuses its memory; each case keeps its own."""
    cases = [{"x": np.full(3, number, np.float32)} for number in range(4)]
    found = run("openvino", NEG, *cases).outputs
    assert [case["y"].tolist() for case in found] == [[-n, -n, -n] for n in range(4)]


NAMES = {
    "an alias": "g (float[n] x) => (float[n] y, float[n] z) { y = Neg(x) z = Identity(y) }",
    "an input": "g (float[n] x) => (float[n] z, float[n] y) { y = Neg(x) z = Neg(y) }",
    "one inside": "g (float[n] x) => (float[n] y, float[n] z) { y = Neg(x) q = Neg(y) z = Neg(q) }",
}


@pytest.mark.parametrize("text", NAMES.values(), ids=NAMES)
def test_every_output_is_found_by_its_name(run: Run, text: str) -> None:
    """Also where OpenVINO gives one tensor several names, or removes nodes."""
    (found,) = run("openvino", text, X).outputs
    (expected,) = run("ort:cpu", text, X).outputs
    assert found["y"].tolist() == expected["y"].tolist()
    assert found["z"].tolist() == expected["z"].tolist()


def test_odd_names_and_scalars(run: Run) -> None:
    """Names that OpenVINO might take apart; arrays without dimensions."""
    model = onnx.parser.parse_model(HEAD + "g (float x, float z) => (float y) { y = Sub(x, z) }")
    model.graph.node[0].input[1] = model.graph.input[1].name = "z:0/ü b"
    model.graph.node[0].output[0] = model.graph.output[0].name = "y,1:0"
    (found,) = run("openvino", model, {"z:0/ü b": np.float32(1), "x": np.float32(5)}).outputs
    assert found["y,1:0"].tolist() == 4
    assert found["y,1:0"].shape == ()


KINDS = {
    "int64": (np.asarray([1, -(2**30)]), "y = Identity(x)"),
    "int32": (np.asarray([1, -2], np.int32), "y = Add(x, x)"),
    "uint8": (np.asarray([1, 255], np.uint8), "y = Identity(x)"),
    "bool": (np.asarray([True, False]), "y = Not(x)"),
    "float16": (np.asarray([1.5, -2], np.float16), "y = Add(x, x)"),
    "bfloat16": (np.asarray([1.5, -2], ml_dtypes.bfloat16), "y = Add(x, x)"),
    "double": (np.asarray([1.5, -2]), "y = Add(x, x)"),
    "string": (np.asarray(["a", "üc"], object), "y = Identity(x)"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_types_go_in_and_out(run: Run, kind: str) -> None:
    """In the type that the model declares, whatever OpenVINO computes in."""
    x, node = KINDS[kind]
    outcome = run("openvino", f"g ({kind}[n] x) => ({kind}[n] y) {{ {node} }}", {"x": x})
    assert outcome.run.reason == ""
    y = outcome.outputs[0]["y"]
    assert y.dtype == x.dtype
    computes: dict[str, Any] = {"Add": lambda x: x + x, "Not": np.logical_not, "Identity": np.copy}
    expected = computes[node.split()[2].partition("(")[0]](x)
    assert y.tolist() == expected.tolist()


def test_a_float16_model_passes_in_the_wider_type() -> None:
    """Declared float16, computed in float32: nothing is reduced, and the numbers are right."""
    model = onnx.parser.parse_model(
        HEAD + PRODUCT.replace("float[N", "float16[N").replace("{ y =", "{ h = Cast<to = 10>(w) y =").replace("(x, w)", "(x, h)")
    )  # fmt: skip
    found = normonnx.validate(model, backends=["openvino"])
    assert (found.verdict, found.backends[0].reduced) == (Verdict.PASS, ())


CAN_NOT = {
    "an operator": ("odd.Frob(x)", "No conversion rule found for operations: odd.Frob"),
    "a sequence": ("SequenceConstruct(x, x)", "No conversion rule found"),
}


@pytest.mark.parametrize(("node", "words"), CAN_NOT.values(), ids=CAN_NOT)
def test_what_it_can_not_take_is_one_line(run: Run, node: str, words: str) -> None:
    """What, instead of where in OpenVINO's source it was found out."""
    kind = "seq(float[n])" if "Seq" in node else "float[n]"
    head = '<ir_version: 8, opset_import: ["": 17, "odd": 1]>\n'
    reason = reason_of(run("openvino", f"{head}g (float[n] x) => ({kind} y) {{ y = {node} }}", X))
    assert words in reason
    assert "Exception from" not in reason


def test_failing_while_running_is_one_line(run: Run) -> None:
    """An array of another shape than the model declares."""
    reason = reason_of(run("openvino", NEG.replace("[n]", "[3]"), X))
    assert reason.startswith("failed while running: Can't set the input tensor")
    assert "incompatible" in reason
    assert ".cpp" not in reason


def test_an_input_without_a_value_is_never_computed_with(run: Run) -> None:
    """OpenVINO would take whatever lies in its memory."""
    text = "g (float[n] x, float[n] z) => (float[n] y) { y = Add(x, z) }"
    assert reason_of(run("openvino", text, X)) == "nothing was given for its input 'z'"


def test_a_model_that_the_checker_rejects_too_is_invalid(run: Run) -> None:
    """No runtime could."""
    found = run("openvino", "g (float[n] x) => (float[n] y) { y = Frob(x) }", X).run
    assert found.verdict is Verdict.INVALID
    assert "Frob" in found.reason


def test_a_file_of_any_name(run: Run, tmp_path: Path) -> None:
    """Without the usual ending, with blanks and letters of any script."""
    from normonnx.runtime import backends

    assert run("openvino", NEG, X).run.reason == ""
    odd = tmp_path / "mödel 中 blob"
    shutil.copy(tmp_path / "model.onnx", odd)
    assert backends.run("openvino", backends.Request(odd, [X], 120)).run.reason == ""
