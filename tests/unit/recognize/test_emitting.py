"""Calls in place of normalizations: valid models, the same function, and nothing lost."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import onnx
import onnx_ir as ir
import pytest

import normonnx
from normonnx.core.verdicts import Verdict
from normonnx.pipeline import OptimizeResult
from normonnx.recognize.passes import RecognizeNorms
from tests.rewriting import parsed

CHAIN: Final = """
    m = ReduceMean<axes=[-1]>(x)
    d = Sub(x, m)
    q = Pow(d, two)
    v = ReduceMean<axes=[-1]>(q)
    ve = Add(v, e)
    sd = Sqrt(ve)
    r = Reciprocal(sd)
    n = Mul(d, r)
    ns = Mul(n, s)
"""
WEIGHTS: Final = "float[8] s, float[8] b, float e = {0.00001}, float two = {2.0}"
HEAD: Final = "g (float[N,4,8] x) => (float[N,4,8] y"


def _recognised(text: str, *, opset: int = 17, **options: object) -> OptimizeResult:
    """Recognise in a copy; the result is valid, the same function, and stable."""
    proto = parsed(text, opset=opset)
    before = proto.SerializeToString(deterministic=True)
    result = normonnx.optimize(proto, passes=("recognize",), verify="final", **options)  # type: ignore[arg-type]
    assert proto.SerializeToString(deterministic=True) == before
    written = ir.to_proto(result.model)
    onnx.checker.check_model(written, full_check=True)
    verification = result.report.verification
    assert verification is not None
    assert verification.verdict is Verdict.PASS, verification
    again = normonnx.optimize(result.model, passes=("recognize",), **options)  # type: ignore[arg-type]
    assert again.report.applied == ()
    assert [i.name for i in result.model.graph.inputs] == [i.name for i in proto.graph.input]
    assert [o.name for o in result.model.graph.outputs] == [o.name for o in proto.graph.output]
    return result


def _ops(result: OptimizeResult) -> str:
    return " ".join(node.op_type for node in result.model.graph)


def test_a_chain_becomes_one_call_of_the_function() -> None:
    """With the model's own scale and bias, the function in the model, and an IR version with functions."""
    result = _recognised(f"{HEAD}) <{WEIGHTS}> {{ {CHAIN} y = Add(ns, b) }}")
    (node,) = result.model.graph
    assert (node.domain, node.op_type) == ("normonnx", "LayerNorm")
    assert [value.name for value in node.inputs if value is not None] == ["x", "s", "b"]
    assert node.attributes["epsilon"].as_float() == pytest.approx(1e-5)
    assert node.attributes["axis"].as_int() == -1
    assert [key[:2] for key in result.model.functions] == [("normonnx", "LayerNorm")]
    assert result.model.opset_imports["normonnx"] == 1
    assert result.model.ir_version >= 8
    (event,) = result.report.applied
    assert event.reason == "10 nodes that normalize 'x' became normonnx::LayerNorm"
    assert (event.removed, event.added, len(event.nodes)) == (10, 1, 10)


def test_what_is_read_outside_and_the_function_gives_is_taken_from_it() -> None:
    """The mean and one over the deviation are outputs of LayerNorm, too."""
    text = f"{HEAD}, float[N,4,1] w, float[N,4,1] r) <{WEIGHTS}> {{ {CHAIN} y = Add(ns, b) w = Neg(m) }}"
    result = _recognised(text)
    assert _ops(result) == "LayerNorm Neg"
    assert [value.name for value in next(iter(result.model.graph)).outputs] == ["y", "m", "r"]


def test_the_operators_own_mean_and_deviation_stay_outputs() -> None:
    """LayerNormalization has them; so has the function."""
    text = f"""{HEAD}, float[N,4,1] r) <float[8] s, float[8] b> {{
        y, m, r = LayerNormalization<axis = -1>(x, s, b) }}"""
    result = _recognised(text)
    assert _ops(result) == "LayerNorm"


@pytest.mark.parametrize(
    ("tail", "reason"),
    [
        ("y = Add(ns, b) w = Neg(v)", "the result of ReduceMean 'v' is used by Neg 'w', too"),
        ("y = Add(ns, b) w = Identity(ve)", "the result of Add 've' is used by Identity 'w', too"),
    ],
)
def test_a_statistic_that_is_read_outside_keeps_the_chain(tail: str, reason: str) -> None:
    """It would be computed twice."""
    result = _recognised(f"{HEAD}, float[N,4,1] w) <{WEIGHTS}> {{ {CHAIN} {tail} }}")
    assert "LayerNorm" not in _ops(result)
    assert reason in [event.reason for event in result.report.refused]


def test_a_centered_value_that_is_read_outside_keeps_the_chain() -> None:
    """Neither a LayerNorm of x, nor an RMSNorm of x - mean(x)."""
    text = f"{HEAD}, float[N,4,8] w) <{WEIGHTS}> {{ {CHAIN} y = Add(ns, b) w = Neg(d) }}"
    result = _recognised(text)
    assert "Norm" not in _ops(result)
    reasons = [event.reason for event in result.report.refused]
    assert "the result of Sub 'd' is used by Neg 'w', too" in reasons


def test_the_normalized_value_that_is_read_twice_ends_the_call() -> None:
    """The scale stays outside; what is normalized is there for both."""
    text = f"{HEAD}, float[N,4,8] w) <{WEIGHTS}> {{ {CHAIN} y = Add(ns, b) w = Neg(n) }}"
    assert _ops(_recognised(text)) == "LayerNorm Mul Add Neg"


def test_below_the_opset_of_functions_nothing_is_changed() -> None:
    """What it is, is said, and what it would need."""
    chain = CHAIN.replace("axes=[-1]", "axes=[2]")
    result = _recognised(f"{HEAD}) <{WEIGHTS}> {{ {chain} y = Add(ns, b) }}", opset=11)
    assert result.report.applied == ()
    (event,) = result.report.refused
    assert event.reason.startswith("it is a LayerNorm, but normonnx::LayerNorm needs opset 13")


@pytest.mark.parametrize("name", ["y", "v", "r*"])
def test_what_is_kept_stays(name: str) -> None:
    """A node within, by its name or that of its value, or by a pattern."""
    text = f"{HEAD}) <{WEIGHTS}> {{ {CHAIN} y = Add(ns, b) }}"
    result = _recognised(text, keep=(name,))
    assert result.report.applied == ()
    assert [event.reason.endswith("is kept as asked") for event in result.report.refused] == [True]


def test_a_norm_inside_a_branch_is_recognised() -> None:
    """Its call stands in the branch, and reads what the branch captures."""
    inner = f"{CHAIN} o = Add(ns, b)".replace("\n", " ")
    text = f"""g (float[N,4,8] x, bool c) => (float[N,4,8] y) <{WEIGHTS}> {{
        y = If (c) <then_branch = t () => (float[N,4,8] o) {{ {inner} }},
                    else_branch = f () => (float[N,4,8] p) {{ p = Neg(x) }}>
    }}"""
    result = _recognised(text)
    calls = [node.op_type for node in result.model.graph.all_nodes() if node.domain == "normonnx"]
    assert calls == ["LayerNorm"]


def test_a_norm_inside_a_function_is_recognised() -> None:
    """Shapes come from its call; scale and bias are its own parameters."""
    text = f"""<ir_version: 8, opset_import: ["": 17, "local": 1]>
        g (float[N,4,8] x) => (float[N,4,8] y) <float[8] s, float[8] b> {{ y = local.ln(x, s, b) }}
        <domain: "local", opset_import: ["": 17]> ln (x, s, b) => (y) {{
            two = Constant<value_float = 2.0>()
            e = Constant<value_float = 0.00001>()
            {CHAIN} y = Add(ns, b)
        }}"""
    result = _recognised(text)
    (function,) = [f for f in result.model.functions.values() if f.domain == "local"]
    assert [node.op_type for node in function] == ["LayerNorm"]
    assert function.opset_imports["normonnx"] == 1


def test_an_operand_at_run_time_is_brought_into_the_shape_of_a_parameter() -> None:
    """(N, 1, 8) is a row a sample; 1 + it is the offset of AdaptiveLayerNorm."""
    body = CHAIN.replace(
        "ns = Mul(n, s)", "one = Constant<value_float = 1.0>() f = Add(c, one) ns = Mul(n, f)"
    )
    text = f"""g (float[N,4,8] x, float[N,1,8] c, float[N,1,8] b) => (float[N,4,8] y)
        <float e = {{0.00001}}, float two = {{2.0}}> {{ {body} y = Add(ns, b) }}"""
    result = _recognised(text)
    assert "AdaptiveLayerNorm" in _ops(result)
    node = next(node for node in result.model.graph if node.domain == "normonnx")
    assert node.attributes["offset"].as_float() == 1.0


def test_a_written_model_runs_and_is_the_same_twice(tmp_path: Path) -> None:
    """Two runs write the same bytes; ONNX Runtime loads them."""
    ort = pytest.importorskip("onnxruntime", reason="loads the result: install normonnx[cpu]")
    proto = parsed(f"{HEAD}) <{WEIGHTS}> {{ {CHAIN} y = Add(ns, b) }}")
    onnx.save(proto, tmp_path / "x.onnx")
    for name in ("a.onnx", "b.onnx"):
        result = normonnx.optimize(tmp_path / "x.onnx", style="function")
        normonnx.save(result.model, tmp_path / name)
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()
    ort.InferenceSession(tmp_path / "a.onnx", providers=["CPUExecutionProvider"])


def test_each_call_is_judged_by_itself() -> None:
    """verify="each" looks at what a call stands for, on what the model computes there."""
    proto = parsed(f"{HEAD}) <{WEIGHTS}> {{ {CHAIN} k = Add(ns, b) y = Relu(k) }}")
    report = normonnx.optimize(proto, style="function", verify="each").report
    assert report.checked == len(report.applied) == 1


def test_as_a_pass_it_composes_with_those_of_onnx_ir() -> None:
    """It says whether it changed anything; a second run doesn't."""
    model = ir.from_proto(parsed(f"{HEAD}) <{WEIGHTS}> {{ {CHAIN} y = Add(ns, b) }}"))
    passes = ir.passes.Sequential(RecognizeNorms())
    assert passes(model).modified
    assert not passes(model).modified


CHANNELS_LAST: Final = [
    pytest.param(
        """x5 = Reshape(x, groups) m = ReduceMean<axes=[1, 2, 4]>(x5) d = Sub(x5, m) q = Mul(d, d)
        v = ReduceMean<axes=[1, 2, 4]>(q) ve = Add(v, e) sd = Sqrt(ve) n = Div(d, sd)
        z = Reshape(n, whole)""",
        "GroupNorm",
        id="GroupNorm",
    ),
    pytest.param(
        """m = ReduceMean<axes=[1, 2]>(x) d = Sub(x, m) q = Mul(d, d)
        v = ReduceMean<axes=[1, 2]>(q) ve = Add(v, e) sd = Sqrt(ve) z = Div(d, sd)""",
        "InstanceNorm",
        id="InstanceNorm",
    ),
]


@pytest.mark.parametrize(("body", "norm"), CHANNELS_LAST)
def test_channels_last_is_recognised_between_two_transposes(body: str, norm: str) -> None:
    """Keras has channels on the last axis; the functions have them on axis 1."""
    text = f"""g (float[N,4,5,8] x) => (float[N,4,5,8] y) <float[8] s, float[8] b, float e = {{0.001}},
        int64[5] groups = {{0, 4, 5, 2, 4}}, int64[4] whole = {{0, 4, 5, 8}}> {{
        {body} ns = Mul(z, s) y = Add(ns, b) }}"""
    result = _recognised(text)
    assert _ops(result) == f"Transpose {norm} Transpose"
    (found,) = normonnx.inspect(parsed(text)).norms
    assert (found.norm, found.normalizes, found.shape) == (norm, "x", (None, 4, 5, 8))


@pytest.mark.parametrize("inverse", ["r = Reciprocal(sd) i = Mul(s, r)", "i = Div(s, sd)"])
def test_the_scale_within_the_inverse_deviation(inverse: str) -> None:
    """Keras: x (scale / sd) + (bias - mean (scale / sd)), scale along what is normalized."""
    text = f"""{HEAD}) <{WEIGHTS}> {{
        m = ReduceMean<axes=[-1]>(x) d = Sub(x, m) q = Mul(d, d) v = ReduceMean<axes=[-1]>(q)
        ve = Add(v, e) sd = Sqrt(ve) {inverse} xi = Mul(x, i) mi = Mul(m, i) t = Sub(b, mi)
        y = Add(xi, t) }}"""
    assert _ops(_recognised(text)) == "LayerNorm"
    square = text.replace("[N,4,8]", "[N,8,8]").replace("float[8] s", "float[8,1] s")
    assert "Norm" not in _ops(_recognised(square))  # a scale along the other axis is none


def test_a_norm_in_a_branch_of_a_function_is_written_for_the_function() -> None:
    """Its opset and its imports count, not the model's, however deep the branch is."""
    inner = f"{CHAIN} o = Add(ns, b)".replace("\n", " ")
    text = f"""<ir_version: 8, opset_import: ["": 17, "local": 1]>
        g (float[N,4,8] x, bool c) => (float[N,4,8] y) <float[8] s, float[8] b> {{
            y = local.f(x, s, b, c) }}
        <domain: "local", opset_import: ["": 17]> f (x, s, b, c) => (y) {{
            two = Constant<value_float = 2.0>()
            e = Constant<value_float = 0.00001>()
            y = If (c) <then_branch = t () => (o) {{ {inner} }},
                        else_branch = z () => (p) {{ p = Neg(x) }}>
        }}"""
    result = _recognised(text)
    (function,) = [f for f in result.model.functions.values() if f.domain == "local"]
    calls = [node for node in function.graph.all_nodes() if node.domain == "normonnx"]
    assert [node.op_type for node in calls] == ["LayerNorm"]
    assert function.opset_imports["normonnx"] == 1
