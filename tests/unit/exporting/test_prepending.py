"""A scaler in front of a model: folded where that is exact, kept where it is not, right always."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import onnx_ir as ir
import pytest

import normonnx
from normonnx import InvalidModelError, MismatchError, UsageError, prepending
from normonnx.core.verdicts import Verdict
from normonnx.exporting.estimators import scaling_of
from normonnx.exporting.rows import accepted, drawn
from normonnx.fold.affine import ChannelAffine
from normonnx.prepending import PrependResult
from normonnx.runtime.oracle import evaluate
from normonnx.validation.measures import relative_error
from tests.unit.catalogue.uses import run
from tests.unit.exporting.fitted import (
    Array,
    ColumnTransformer,
    make_pipeline,
    preprocessing,
)

pytest.importorskip("onnxruntime", reason="models run on it: install normonnx[cpu]")

WIDTH: Final = 4
SHAPES: Final[dict[str, tuple[int, ...]]] = {
    "w": (WIDTH, 6),
    "b": (6,),
    "v": (6, 2),
    "wt": (6, WIDTH),
    "k": (3, WIDTH, 1),
    "kb": (3,),
    "s": (WIDTH,),
    "t": (WIDTH,),
    "var": (WIDTH,),
}
WEIGHTS: Final = np.random.default_rng(5)
NUMBERS: Final = {
    name: np.abs(numbers) + 0.5 if name == "var" else numbers
    for name, shape in SHAPES.items()
    for numbers in [WEIGHTS.standard_normal(shape)]
}


def _model(nodes: str, kind: str = "float", opset: int = 17, shape: str = "N,4") -> onnx.ModelProto:
    """A model from x to y, with weights for the names that its nodes read."""
    text = (
        f'<ir_version: 8, opset_import: ["": {opset}, "ai.onnx.ml": 3]> '
        f"g ({kind}[{shape}] x) => ({kind}[M,K] y) {{ {nodes} }}"
    )
    model = onnx.parser.parse_model(text)
    dtype = onnx.helper.tensor_dtype_to_np_dtype(model.graph.input[0].type.tensor_type.elem_type)
    used = {name for node in model.graph.node for name in node.input}
    for name in sorted(used & set(SHAPES)):
        array = NUMBERS[name].astype(dtype)
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    return model


def _data(seed: int = 0, *, centre: float = 2.0, spread: float = 3.0) -> Array:
    x = np.random.default_rng(seed).standard_normal((60, WIDTH)) * spread + centre
    return x.astype(np.float32).astype(np.float64)


def _standard(*, centre: float = 2.0, spread: float = 3.0) -> Any:  # noqa: ANN401  # of scikit-learn
    return preprocessing.StandardScaler().fit(_data(centre=centre, spread=spread))


def _check(result: PrependResult, scaler: Any, model: onnx.ModelProto, x: Array) -> None:  # noqa: ANN401  # as above
    """The result passes, is legal, and on ONNX Runtime is the scaler, then the model in float64."""
    assert result.report.verification is not None
    assert result.report.verification.verdict is Verdict.PASS
    proto = ir.to_proto(result.model)
    onnx.checker.check_model(proto, full_check=True)
    fed = result.model.graph.inputs[0]
    dtype = np.dtype("float32" if fed.dtype is None else fed.dtype.numpy())
    truth = evaluate(ir.from_proto(model), {"x": scaler.transform(x)})["y"]
    y = run(proto, {"x": x.astype(dtype)})[0].astype(np.float64)
    narrow = model.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT16
    u = 2.0**-11 if narrow else 2.0**-24
    assert relative_error(y, truth, u) <= 16


FOLDED: Final = [
    ("y = Gemm(x, w, b)", 1),
    ("y = Gemm<transB = 1, alpha = 0.5>(x, wt, b)", 1),
    ("h = MatMul(x, w) y = Add(h, b)", 2),
    ("h = MatMul(x, w) y = Sigmoid(h)", 2),
    ("h = Gemm(x, w, b) r = Relu(h) y = MatMul(r, v)", 3),
    ("a = Gemm(x, w, b) c = Gemm<transB = 1>(x, wt, b) y = Add(a, c)", 3),
    ("i = Identity(x) d = Dropout(i) y = Gemm(d, w, b)", 3),
    ("n = BatchNormalization(x, s, t, s, var) y = Gemm(n, w, b)", 2),
    (
        (
            "last = Constant<value_ints = [2]>() u = Unsqueeze(x, last) "
            "c = Conv(u, k, kb) f = Flatten(c) y = Relu(f)"
        ),
        5,
    ),
]


@pytest.mark.parametrize("opset", [13, 17, 21])
@pytest.mark.parametrize(("nodes", "count"), FOLDED)
def test_linear_scalers_fold(nodes: str, count: int, opset: int) -> None:
    """Into what reads the input, so that the model has no node more; its opset stays."""
    model = _model(nodes, opset=opset)
    text = model.SerializeToString()
    scaler = _standard()
    result = normonnx.prepend(scaler, model)
    assert result.folded, result.report.refused
    assert len(result.model.graph) <= count
    assert not result.model.functions
    assert result.model.opset_imports[""] == opset
    assert [value.name for value in result.model.graph.inputs] == ["x"]
    assert "StandardScaler folded into" in result.report.applied[0].reason
    _check(result, scaler, model, _data(1))
    assert model.SerializeToString() == text


LINEAR: Final = [
    preprocessing.MinMaxScaler((-2, 3)),
    preprocessing.RobustScaler(),
    preprocessing.MaxAbsScaler(),
    preprocessing.StandardScaler(with_mean=False),
    make_pipeline(preprocessing.MinMaxScaler(), preprocessing.RobustScaler()),
]


@pytest.mark.parametrize("kind", ["float", "double"])
@pytest.mark.parametrize("scaler", LINEAR, ids=str)
def test_every_linear_scaler_folds(scaler: Any, kind: str) -> None:  # noqa: ANN401  # as above
    """In both types; the second way round, too: from the model that was exported of it."""
    scaler.fit(_data())
    model = _model("y = Gemm(x, w, b)", kind)
    for given in (
        scaler,
        *(normonnx.export_scaler(scaler, style=s) for s in ("function", "primitive")),
    ):
        if kind == "double" and given is not scaler:
            given = normonnx.export_scaler(scaler, dtype="float64")  # noqa: PLW2901  # of that type
        result = normonnx.prepend(given, model)
        assert result.folded, result.report.refused
        _check(result, scaler, model, _data(1))


KEPT: list[tuple[str, Any, str, str]] = [
    ("float", _standard(), "y = Relu(x)", "Relu .* can't take a scale and shift"),
    ("float", _standard(), "n = Mul(x, s) m = Add(n, t) y = Sigmoid(m)", "Sigmoid 'y' after it"),
    ("float", _standard(), "h = Gemm(x, w, b) r = Relu(x) y = Concat<axis = 1>(h, r)", "Relu"),
    ("float", _standard(centre=1e4, spread=1.0), "y = Gemm(x, w, b)", "times its spread"),
    (
        "float",
        preprocessing.MinMaxScaler(clip=True).fit(_data()),
        "y = Gemm(x, w, b)",
        "keeps its result within bounds",
    ),
    ("float", preprocessing.Normalizer().fit(_data()), "y = Gemm(x, w, b)", "is not linear"),
    ("float", preprocessing.PowerTransformer().fit(_data()), "y = Gemm(x, w, b)", "not linear"),
    (
        "float",
        ColumnTransformer(
            [("a", preprocessing.StandardScaler(), [2, 0]), ("b", "passthrough", [1, 3])]
        ).fit(_data()),
        "y = Gemm(x, w, b)",
        "takes features apart",
    ),
    ("float16", _standard(), "y = Gemm(x, w, b)", "the model takes float16"),
    ("float16", _standard(centre=1e6, spread=1e5), "y = Gemm(x, w, b)", "takes float16"),
]


@pytest.mark.parametrize("style", ["function", "native", "primitive"])
@pytest.mark.parametrize(("kind", "scaler", "nodes", "words"), KEPT)
def test_others_stay_in_front(
    kind: str,
    scaler: Any,  # noqa: ANN401  # as above
    nodes: str,
    words: str,
    style: Any,  # noqa: ANN401  # a literal
) -> None:
    """With the reason; of a model in float16 the features come in float32."""
    model = _model(nodes, kind)
    result = normonnx.prepend(scaler, model, style=style)
    assert not result.folded
    (event,) = result.report.refused
    assert re.search(f"not folded: .*{words}", event.reason)
    assert result.model.graph.inputs[0].dtype == ir.DataType.FLOAT
    x = accepted(scaler, drawn(scaling_of(scaler), 60, seed=1))
    _check(result, scaler, model, x)
    if style == "function":
        assert result.model.functions
    else:
        assert style == "native" or not result.model.functions


def test_nothing_is_folded_where_that_is_asked_for() -> None:
    """And nothing is checked."""
    result = normonnx.prepend(_standard(), _model("y = Gemm(x, w, b)"), fold=False, verify=None)
    assert not result.folded
    assert result.report.refused[0].reason == "not folded: as asked for"
    assert result.report.verification is None
    assert [node.op_type for node in result.model.graph] == ["StandardScaler", "Gemm"]


def test_a_fold_that_is_not_proven_stays_in_front(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were the shift lost on the way, the check would tell, and the scaler would stay."""
    absorbed = prepending._absorbed

    def wrong(work: ir.Model, target: ir.Value, affine: ChannelAffine) -> Any:  # noqa: ANN401  # as it does
        return absorbed(work, target, affine.scaling)

    monkeypatch.setattr(prepending, "_absorbed", wrong)
    scaler, model = _standard(), _model("y = Gemm(x, w, b)")
    result = normonnx.prepend(scaler, model)
    assert not result.folded
    assert "would not be proven the same" in result.report.refused[0].reason
    _check(result, scaler, model, _data(1))


def test_what_does_not_pass_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scaler whose transform was replaced: the model is not what it, then the model, computes."""
    scaler = _standard()
    scaler.transform = lambda x: np.asarray(x) * 1.1
    path = tmp_path / "out.onnx"
    with pytest.raises(MismatchError, match="did not pass its check"):
        normonnx.prepend(scaler, _model("y = Gemm(x, w, b)"), path)
    assert not path.exists()
    monkeypatch.undo()
    normonnx.prepend(_standard(), _model("y = Gemm(x, w, b)"), path)
    assert len(normonnx.load(path).graph) == 1


@pytest.mark.parametrize("opset", [7, 9, 11, 12, 13, 26])
@pytest.mark.parametrize("name", ["clip", "power"])
def test_old_models_keep_their_opset(name: str, opset: int) -> None:
    """Without functions the scaler is written in primitives, also one that was exported with any."""
    scaler = {
        "clip": preprocessing.MinMaxScaler(clip=True),
        "power": preprocessing.PowerTransformer(),
    }[name].fit(_data())
    model = _model("h = Gemm(x, w, b) y = Relu(h)", opset=opset)
    if opset == 7:
        model.ir_version = 3
        for tensor in model.graph.initializer:
            value = onnx.helper.make_tensor_value_info(tensor.name, 1, list(tensor.dims))
            model.graph.input.append(value)
    for given in (scaler, normonnx.export_scaler(scaler)):
        result = normonnx.prepend(given, model)
        assert result.model.opset_imports[""] == opset
        assert bool(result.model.functions) == (opset >= 13)
        _check(result, scaler, model, _data(1))


def test_a_scaler_of_another_exporter() -> None:
    """ai.onnx.ml's Scaler, as skl2onnx writes it, folds; it is judged by what it computes itself."""
    text = (
        '<ir_version: 8, opset_import: ["": 15, "ai.onnx.ml": 1]> '
        "g (float[N,4] v) => (float[N,4] u) {"
        "u = ai.onnx.ml.Scaler<offset = [1.0, 2.0, 3.0, 4.0], scale = [0.5, 2.0, 1.0, 0.1]>(v) }"
    )
    model = _model("y = Gemm(x, w, b)")
    result = normonnx.prepend(onnx.parser.parse_model(text), model)
    assert result.folded
    x = _data(1)
    truth = evaluate(ir.from_proto(model), {"x": (x - [1, 2, 3, 4]) * [0.5, 2, 1, 0.1]})["y"]
    y = run(result.model, {"x": x.astype(np.float32)})[0]
    assert relative_error(y.astype(np.float64), truth, 2.0**-24) <= 16


def test_several_inputs() -> None:
    """One is named, the others stay; the batch is that of all."""
    text = (
        '<ir_version: 8, opset_import: ["": 17]> g (float[N,4] x, float[N,3] z) => (float[N,9] y) '
        "{ h = Gemm(x, w, b) y = Concat<axis = 1>(h, z) }"
    )
    model = onnx.parser.parse_model(text)
    for name in ("w", "b"):
        array = NUMBERS[name].astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    with pytest.raises(UsageError, match=r"2 inputs \('x', 'z'\); name one with input="):
        normonnx.prepend(_standard(), model)
    with pytest.raises(UsageError, match="no input 'q'; it has 'x', 'z'"):
        normonnx.prepend(_standard(), model, input="q")
    with pytest.raises(UsageError, match="gives 4 features and input 'z' takes 3"):
        normonnx.prepend(_standard(), model, input="z")
    for fold in (True, False):
        result = normonnx.prepend(_standard(), model, input="x", fold=fold)
        assert result.folded is fold
        assert result.report.verification is not None
        assert result.report.verification.passed
        assert [value.name for value in result.model.graph.inputs] == ["x", "z"]


def test_a_branch_reads_the_input_from_outside() -> None:
    """Nodes of subgraphs read the scaled features, too."""
    text = """<ir_version: 8, opset_import: ["": 17]>
    g (float[N,4] x) => (float[N,4] y) {
      total = ReduceSum<keepdims = 0>(x)
      yes = Greater(total, total)
      y = If(yes) <
        then_branch = one () => (float[N,4] a) { a = Neg(x) },
        else_branch = two () => (float[N,4] c) { c = Abs(x) }
      >
    }"""
    model = onnx.parser.parse_model(text)
    scaler = _standard()
    result = normonnx.prepend(scaler, model)
    assert not result.folded
    _check(result, scaler, model, _data(1))


def test_a_static_batch() -> None:
    """It stays."""
    model = _model("y = Gemm(x, w, b)", shape="3,4")
    scaler = _standard()
    for fold in (True, False):
        result = normonnx.prepend(scaler, model, fold=fold)
        assert list(result.model.graph.inputs[0].shape or ()) == [3, 4]
        _check(result, scaler, model, _data(1)[:3])


def test_a_width_that_was_not_known_is_that_of_the_scaler() -> None:
    """So that it folds."""
    model = _model("y = Gemm(x, w, b)", shape="N,C")
    result = normonnx.prepend(_standard(), model)
    assert result.folded
    assert list(result.model.graph.inputs[0].shape or ())[1] == WIDTH


def test_a_normalizer_without_fit_takes_the_models_width() -> None:
    """It learns nothing, so the width is the model's own."""
    scaler, model = preprocessing.Normalizer("l1"), _model("y = Gemm(x, w, b)")
    for given in (scaler, normonnx.export_scaler(scaler)):
        result = normonnx.prepend(given, model)
        assert list(result.model.graph.inputs[0].shape or ()) == ["N", WIDTH]
        _check(result, scaler, model, _data(1))


def test_names_that_are_taken() -> None:
    """Of nodes and values of the model, and a scaler in front of a scaler."""
    model = _model("StandardScaler = Relu(x) y = Gemm(StandardScaler, w, b)")
    scaler = _standard()
    once = normonnx.prepend(scaler, model)
    twice = normonnx.prepend(scaler, once.model)
    proto = ir.to_proto(twice.model)
    onnx.checker.check_model(proto, full_check=True)
    truth = evaluate(ir.from_proto(model), {"x": scaler.transform(scaler.transform(_data(1)))})["y"]
    y = run(proto, {"x": _data(1).astype(np.float32)})[0]
    assert relative_error(y.astype(np.float64), truth, 2.0**-24) <= 16


def test_what_the_oracle_does_not_know_stays_in_front() -> None:
    """It can't be proven, so the verdict is inconclusive; the scaler divides as scikit-learn does."""
    model = _model("y = acme.Trees(x)")
    model.opset_import.append(onnx.helper.make_opsetid("acme", 1))
    result = normonnx.prepend(_standard(), model)
    assert not result.folded
    assert result.report.verification is not None
    assert result.report.verification.verdict is Verdict.INCONCLUSIVE


def test_names_of_features_travel() -> None:
    """Into the metadata of the result, folded or not."""
    scaler = _standard()
    scaler.feature_names_in_ = np.array(["a", "b", "c", "d"], object)
    for fold in (True, False):
        result = normonnx.prepend(scaler, _model("y = Gemm(x, w, b)"), fold=fold)
        assert result.model.metadata_props["normonnx.feature_names"] == '["a", "b", "c", "d"]'


def _of_two_inputs() -> onnx.ModelProto:
    text = (
        '<ir_version: 8, opset_import: ["": 17]> g (float[N,4] a, float[N,4] b) => (float[N,4] y)'
    )
    return onnx.parser.parse_model(f"{text} {{ y = Add(a, b) }}")


GEMM: Final = "y = Gemm(x, w, b)"
BAD: list[tuple[Any, Any, str]] = [
    (_standard(), _model("y = Relu(x)", shape="N,3"), "gives 4 features and input 'x' takes 3"),
    (_standard(), _model("y = Relu(x)", shape="4"), r"has shape \(4\); a scaler gives rows"),
    (_standard(), _model("y = Relu(x)", shape="N,4,8"), r"shape \(N, 4, 8\); a scaler gives rows"),
    (_standard(), _model("y = Neg(x)", "int64"), "input 'x' is INT64; a scaler gives floating"),
    (preprocessing.StandardScaler(), _model(GEMM), "StandardScaler is not fitted"),
    (_of_two_inputs(), _model(GEMM), "the scaler has 2 inputs and 1 outputs; expected one of each"),
    (_model("y = Relu(x)", shape="N,4,4"), _model(GEMM), "of the scaler has shape"),
    (_model("y = Neg(x)", "int64"), _model(GEMM), "of the scaler is INT64; expected float32"),
    (
        _model("y = Softplus(x)", "double"),
        _model(GEMM),
        "the scaler takes float64 and the model float32; export the scaler with dtype='float32'",
    ),
    (object(), _model(GEMM), "given, a object, is neither one of scikit-learn that is fitted, nor"),
    (preprocessing.MinMaxScaler, _model(GEMM), "given, a class, is neither one of scikit-learn"),
    (_standard(), 3, "expected a path, an onnx.ModelProto or an onnx_ir.Model"),
]


@pytest.mark.parametrize(("scaler", "model", "words"), BAD)
def test_bad_input(scaler: Any, model: Any, words: str) -> None:  # noqa: ANN401  # whatever is given
    """In one line, with the way out."""
    with pytest.raises((UsageError, InvalidModelError), match=words) as caught:
        normonnx.prepend(scaler, model)
    assert "\n" not in str(caught.value)


def test_bad_options() -> None:
    """With what is expected."""
    with pytest.raises(UsageError, match="verify 'each' is unknown"):
        normonnx.prepend(_standard(), _model(GEMM), verify="each")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="style 'fast' is unknown"):
        normonnx.prepend(_standard(), _model(GEMM), style="fast")  # type: ignore[arg-type]


def test_an_input_that_is_an_output() -> None:
    """It would be scaled there, too."""
    model = _model("y = Relu(x)")
    model.graph.output.append(model.graph.input[0])
    with pytest.raises(UsageError, match="'x' is an output, too"):
        normonnx.prepend(_standard(), model)
