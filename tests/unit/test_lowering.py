"""Normalizations of a model in the forms that its target runs best."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any, Final

import numpy as np
import onnx
import onnx.checker
import onnx.parser
import onnx_ir as ir
import pytest

import normonnx
from normonnx.catalogue.contents import CATALOGUE
from normonnx.catalogue.norm import DOMAIN
from normonnx.lower.choosing import Style, Wanted, accuracy_bounds
from normonnx.lower.lookup import nearest
from normonnx.lower.stored import tables_for
from normonnx.lower.targets import TARGETS
from normonnx.lowering import Forms, lower
from normonnx.recognize.finding import find
from normonnx.runtime.oracle import evaluate
from tests.unit.catalogue.uses import FUNCTION, Use, call_of, input_of, uses_of

OPSETS: Final = (9, 13, 17, 21, 23)
USES: Final = tuple(
    next(use for use in uses_of(norm) if use.norm == name)
    for name, norm in CATALOGUE.items()
    if norm.region.measures and not norm.region.fixed
)
MEASURED: Final = Wanted(TARGETS["ort-cpu"], tables=tables_for("ort-cpu"))
PRIMITIVE: Final = replace(MEASURED, style=Style.PRIMITIVE)
NORMS_MEASURED: Final = {each.norm for table in MEASURED.tables for each in table.entries}


def operators(model: ir.Model) -> Counter[str]:
    """How many nodes of each operator, constants aside."""
    return Counter(node.op_type for node in model.graph if node.op_type != "Constant")


def text(model: ir.Model) -> bytes:
    """The model, byte for byte."""
    return bytes(ir.to_proto(model).SerializeToString(deterministic=True))


def close(found: Any, truth: Any) -> None:  # noqa: ANN401  # arrays
    """Equal in float64 up to what float32 constants lose."""
    size = max(1.0, np.abs(truth).max())
    np.testing.assert_allclose(found, truth, 2e-6, 2e-6 * size)


@pytest.mark.parametrize("wanted", [MEASURED, PRIMITIVE], ids=["ort-cpu", "primitive"])
@pytest.mark.parametrize("use", USES, ids=lambda use: use.id)
def test_every_form_becomes_the_chosen_one(use: Use, wanted: Wanted) -> None:
    """Whatever it was spelled as: the same form, the same numbers, and a second run does nothing."""
    call, runtime = call_of(use, np.dtype(np.float32))
    feeds = {"X": input_of(use, np.dtype(np.float32)), **runtime}
    for opset in OPSETS:
        results: dict[str, set[str]] = {}
        for name in [form.name for form in call.forms_at(opset)]:
            model = call.model(name, opset=opset)
            given = {str(each.name): feeds[str(each.name)] for each in model.graph.inputs}
            truth = evaluate(model, given)["Y"]
            rounds = 0
            while lower(model, wanted).applied:  # InstanceNorm may have been a GroupNorm before
                onnx.checker.check_model(ir.to_proto(model))
                rounds += 1
                assert rounds <= 2, (name, opset)
            close(evaluate(model, given)["Y"], truth)
            right = str(
                [
                    accuracy_bounds(entry, call.norm.form(name))
                    for table in wanted.tables
                    for entry in nearest(table, call, opset)
                ]
            )  # what was right on some profile stays right there
            again = find(call.model(name, opset=opset)).norms[0].call.norm
            if again is not call.norm or call.norm.form(name).generic:
                continue
            results.setdefault(right, set()).add(str(sorted(operators(model).items())))
        if use.norm in NORMS_MEASURED:
            assert {len(each) for each in results.values()} <= {1}, opset


@pytest.mark.parametrize("use", USES, ids=lambda use: use.id)
def test_forms_know_themselves(use: Use) -> None:
    """A form as it stands in a graph is spelled as this form, and as no other that differs."""
    call, _ = call_of(use, np.dtype(np.float32))
    for form in call.forms_at(17):
        model = call.model(form.name, opset=17)
        (found,) = find(model).norms
        forms = Forms(model, Wanted(TARGETS["portable"]))
        if found.call.norm is call.norm and not form.generic:
            assert forms.is_spelled_as(found, form), form.name


def test_calls_take_a_form() -> None:
    """A call of the catalogue's function is a normalization like others; its function goes."""
    call, _ = call_of(Use("GroupNorm", (2, 6, 5, 3), {"num_groups": 2}), np.dtype(np.float32))
    model = call.model(FUNCTION, opset=17)
    assert lower(model, MEASURED).applied
    assert not [node for node in model.graph if node.domain == DOMAIN]


def test_calls_of_curves_stay_in_float64() -> None:
    """Their form in float32 is faster, and off for exponents that were not measured."""
    call, _ = call_of(Use("YeoJohnson", (6, 4)), np.dtype(np.float32))
    model = call.model(FUNCTION, opset=17)
    assert lower(model, MEASURED).applied
    kinds = [node.attributes["to"].as_int() for node in model.graph if node.op_type == "Cast"]
    assert int(ir.DataType.DOUBLE) in kinds


MODEL: Final = """<ir_version: 8, opset_import: ["": 13]>
    g (float[N, 8, 16] x) => (float[N, 8, 16] y, float[N, 8, 16] z)
    <float two = {2.0}, float epsilon = {1e-5}> {
        [average] mean = ReduceMean<axes = [-1]>(x)
        [centre] d = Sub(x, mean)
        [square] s = Mul(d, d)
        [spread] v = ReduceMean<axes = [-1]>(s)
        [more] e = Add(v, epsilon)
        [root] r = Sqrt(e)
        [over] i = Reciprocal(r)
        [unit] u = Mul(d, i)
        [factor] f = Mul(u, scale)
        [shift] y = Add(f, bias)
        [twice] z = Mul(y, two)
    }"""


def layer_norm() -> onnx.ModelProto:
    """A LayerNorm as no runtime fuses it, whose result is an output and read again."""
    made = onnx.parser.parse_model(MODEL)
    for name, seed in (("scale", 1), ("bias", 2)):
        drawn = np.random.default_rng(seed).normal(1, 0.2, 16).astype(np.float32)
        made.graph.initializer.append(onnx.numpy_helper.from_array(drawn, name))
    return made


def test_names_survive() -> None:
    """Of the outputs and of the node that gives the result; parameters stay what they are."""
    found = normonnx.optimize(layer_norm(), target="ort-cpu", verify="final")
    assert found.report.verification is not None
    assert found.report.verification.passed
    graph = found.model.graph
    assert [value.name for value in graph.outputs] == ["y", "z"]
    assert {"scale", "bias"} <= set(graph.initializers)
    (last,) = [node for node in graph if graph.outputs[0] in node.outputs]
    assert last.name == "shift"
    assert any(event.rule == "lower" and event.node == "shift" for event in found.report.applied)
    names = [value.name for node in graph for value in node.outputs]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("kept", ["root", "v", "shift"])
def test_kept_nodes_stay(kept: str) -> None:
    """A normalization with a node in it that is to be kept is not rewritten."""
    found = normonnx.optimize(layer_norm(), target="ort-cpu", keep=[kept])
    assert operators(found.model) == operators(ir.from_proto(layer_norm()))


@pytest.mark.parametrize("prefer", ["speed", "accuracy"])
@pytest.mark.parametrize("first", ["ort-cpu", "portable", "tensorrt"])
@pytest.mark.parametrize("last", ["openvino", "ort-cpu", "portable", "tensorrt"])
def test_the_last_target_counts(first: str, last: str, prefer: Any) -> None:  # noqa: ANN401
    """Optimizing for one target and then another is optimizing for the last."""
    call, _ = call_of(Use("GroupNorm", (2, 6, 5, 3), {"num_groups": 2}), np.dtype(np.float32))
    for opset in (13, 21):
        model = call.model("Reshape-InstanceNorm-Reshape-Mul-Add", opset=opset)
        once = normonnx.optimize(model, target=last, prefer=prefer).model
        between = normonnx.optimize(model, target=first, prefer=prefer).model
        twice = normonnx.optimize(between, target=last, prefer=prefer).model
        assert operators(twice) == operators(once), opset


def test_two_runs_are_alike() -> None:
    """Byte for byte, and a second one changes nothing."""
    once, again = (normonnx.optimize(layer_norm(), target="ort-cpu").model for _ in range(2))
    assert text(once) == text(again)
    second = normonnx.optimize(once, target="ort-cpu")
    assert not second.report.applied
    assert text(second.model) == text(once)


def test_a_mean_that_is_read_elsewhere() -> None:
    """LayerNormalization gives it as well: it takes its place where that is there."""
    made = layer_norm()
    made.opset_import[0].version = 17
    made.graph.output.append(onnx.helper.make_tensor_value_info("mean", 1, ["N", 8, 1]))
    found = normonnx.optimize(made, style="native", verify="final")
    assert found.report.verification is not None
    assert found.report.verification.passed
    assert operators(found.model)["LayerNormalization"] == 1
    assert [value.name for value in found.model.graph.outputs] == ["y", "z", "mean"]


@pytest.mark.parametrize(
    ("ahead", "expected"),
    [
        ("m = ReduceMean<axes = [-1]>(x) k = Neg(m) d = Add(k, x)", True),
        ("d = Sub(x, two)", False),
        ("d = Identity(x)", False),
    ],
    ids=["its mean", "a constant", "nothing"],
)
def test_what_is_subtracted_before_keeps_it_right(ahead: str, *, expected: bool) -> None:
    """Ahead of a native operator, in no form's spelling: at a far mean nothing less right will do."""
    made = onnx.parser.parse_model(f"""<ir_version: 8, opset_import: ["": 17]>
        g (float[N, 8, 768] x) => (float[N, 8, 768] y)
        <float two = {{2.0}}, int64[1] where = {{0}}> {{
            {ahead}
            y = LayerNormalization<axis = -1>(d, scale)
        }}""")
    scale = np.random.default_rng(0).normal(1, 0.2, 768).astype(np.float32)
    made.graph.initializer.append(onnx.numpy_helper.from_array(scale, "scale"))
    found = normonnx.optimize(made, target="ort-cpu", verify="final").model
    assert (operators(found)["ReduceMean"] > 0) == expected


def test_styles_that_are_none() -> None:
    """The values that there are."""
    with pytest.raises(normonnx.UsageError, match="style 'fast' is unknown; expected one of func"):
        normonnx.optimize(layer_norm(), style="fast")  # type: ignore[arg-type]
    with pytest.raises(normonnx.UsageError, match="preference 'size' is unknown; expected one of"):
        normonnx.optimize(layer_norm(), prefer="size")  # type: ignore[arg-type]


@pytest.mark.parametrize("opset", [9, 13, 17, 21])
def test_opset_and_style(opset: int) -> None:
    """A GroupNormalization at opset 21 and below it."""
    call, _ = call_of(Use("GroupNorm", (2, 6, 5, 3), {"num_groups": 2}), np.dtype(np.float32))
    model = call.model("native", opset=21)
    found = normonnx.optimize(model, opset=opset, style="primitive", verify="final")
    assert found.report.verification is not None
    assert found.report.verification.passed
    assert found.report.opset_after == opset
    assert not {"GroupNormalization", "InstanceNormalization"} & set(operators(found.model))


_CHAINS: Final = {
    "LayerNorm": "m = ReduceMean<axes=[-1]>(x) d = Sub(x, m) q = Pow(d, two) v = ReduceMean<axes=[-1]>(q) "
    "w = Add(v, e) r = Sqrt(w) n = Div(d, r)",
    "RMSNorm": "q = Pow(x, two) v = ReduceMean<axes=[-1]>(q) w = Add(v, e) r = Sqrt(w) n = Div(x, r)",
}


@pytest.mark.parametrize("target", ["portable", "ort-cpu"])
@pytest.mark.parametrize("opset", [13])
@pytest.mark.parametrize("norm", _CHAINS)
@pytest.mark.parametrize(
    "behind",
    ["y = Relu(n)", "h = Mul(n, g) b = Add(h, g) y = MatMul(b, k)"],
    ids=["plain", "affine"],
)
def test_what_makes_a_runtime_fuse_is_left(norm: str, opset: int, target: str, behind: str) -> None:
    """A chain without scale and bias gets them, as ONNX Runtime fuses no other, and keeps them."""
    source = onnx.parser.parse_model(f"""<ir_version: 8, opset_import: ["" : {opset}]>
        g (float[N, 16, 64] x) => (float[N, 16, O] y)
        <float e = {{1e-5}}, float two = {{2}}> {{
            {_CHAINS[norm]} {behind}
        }}""")
    draw = np.random.default_rng(0)
    for name, shape in (("g", (64,)), ("k", (64, 64))):
        numbers = draw.normal(size=shape).astype(np.float32)
        source.graph.initializer.append(onnx.numpy_helper.from_array(numbers, name))
    once = normonnx.optimize(source, target=target, verify="final")
    assert once.report.verification is not None
    assert once.report.verification.passed
    assert sum(event.rule == "lower" for event in once.report.applied) <= 2
    assert normonnx.optimize(once.model, target=target).report.applied == ()


_UNIFORM: Final = {
    "everywhere": ((2.0,) * 8, (0.5,) * 8),
    "one and zero": ((1.0,) * 8, (0.0,) * 8),
    "in each group": ((2.0,) * 4 + (3.0,) * 4, (0.5,) * 4 + (0.0,) * 4),
    "in each group but for the shift": ((2.0,) * 4 + (3.0,) * 4, tuple(map(float, range(8)))),
}
_GROUPED: Final = {
    18: "y = GroupNormalization<num_groups = 2>(x, s2, t2)",
    21: "y = GroupNormalization<num_groups = 2>(x, s, t)",
    17: "i = InstanceNormalization(x, s, t) y = Relu(i)",
}


@pytest.mark.parametrize("options", [{}, {"target": "ort-cpu"}, {"style": "primitive"}], ids=str)
@pytest.mark.parametrize("opset", _GROUPED)
@pytest.mark.parametrize("numbers", _UNIFORM.values(), ids=_UNIFORM)
def test_a_scale_that_is_alike_in_each_group_goes_into_the_operator(
    numbers: tuple[tuple[float, ...], ...], opset: int, options: dict[str, Any]
) -> None:
    """Folding it there would spell the norm anew, to be written again, and so on; here all is still."""
    parameters = ", ".join(
        f"float[{len(each)}] {name} = {{{', '.join(map(str, each))}}}"
        for letter, given in zip("st", numbers, strict=True)
        for name, each in ((letter, given), (f"{letter}2", given[::4]))
    )
    source = onnx.parser.parse_model(f"""<ir_version: 8, opset_import: ["" : {opset}]>
        g (float[2, 8, 4, 4] x) => (float[2, 8, 4, 4] y) <{parameters}> {{ {_GROUPED[opset]} }}""")
    once = normonnx.optimize(source, verify="final", **options)
    assert once.report.verification is not None
    assert once.report.verification.passed
    assert len(once.report.applied) <= 2
    assert normonnx.optimize(once.model, **options).report.applied == ()
    if opset == 18 and not options.get("style"):
        assert operators(once.model) == {"Reshape": 2, "InstanceNormalization": 1}


@pytest.mark.parametrize("target", sorted(TARGETS))
@pytest.mark.parametrize("accurate", [False, True])
@pytest.mark.parametrize(
    "norm",
    [
        "InstanceNormalization(x, s, s)",
        "GroupNormalization<num_groups = 2>(x, s, s)",
        "LayerNormalization<axis = -1>(x, w)",
    ],
)
def test_no_constant_is_as_long_as_an_image(norm: str, target: str, *, accurate: bool) -> None:
    """Forms that ask for as many ones as there are positions, or rows, are for small sizes."""
    model = ir.from_proto(
        onnx.parser.parse_model(f"""
            <ir_version: 10, opset_import: ["": 21]>
            g (float[1, 4, 60000000, 3000] x) => (float[1, 4, 60000000, 3000] y)
            <float[4] s = {{1, 2, 3, 4}}, float[1] w = {{3}}> {{ y = {norm} }}""")
    )
    lower(model, Wanted(TARGETS[target], accurate=accurate, tables=tables_for(target)))
    held = [v.const_value for v in model.graph.initializers.values() if v.const_value is not None]
    assert sum(tensor.nbytes for tensor in held) < 100_000


def test_nodes_that_were_written_are_told() -> None:
    """The scale and shift of a chain belong to it, whether it was found or has just been made."""
    model = ir.from_proto(
        onnx.parser.parse_model("""
            <ir_version: 8, opset_import: ["": 17]>
            g (float[2, 4] x) => (float[2, 4] y)
            <float[4] s = {1, 2, 3, 4}, float[4] b = {4, 3, 2, 1}> {
              [norm] y = LayerNormalization(x, s, b)
            }""")
    )
    done = lower(model, Wanted(TARGETS["portable"], style=Style.PRIMITIVE))
    assert done.applied
    assert {node.name or node.outputs[0].name for node in model.graph} <= done.nodes


def test_a_large_image_of_many_channels_may_have_ones_for_its_positions() -> None:
    """What counts is how long the constant is, not how large the image."""
    model = ir.from_proto(
        onnx.parser.parse_model(
            """
            <ir_version: 10, opset_import: ["": 21]>
            g (float[1, 512, 64, 64] x) => (float[1, 512, 64, 64] y) <float[512] s>
            { y = InstanceNormalization(x, s, s) }""".replace(
                "<float[512] s>", f"<float[512] s = {{{','.join(['1'] * 512)}}}>"
            )
        )
    )
    (found,) = find(model).norms
    assert "Reshape-LayerNorm-Reshape-Mul-Add" in [form.name for form in found.call.forms_at(21)]
