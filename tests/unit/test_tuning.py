"""A model's own normalizations, measured at the shapes that they have in it."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import onnx_ir as ir
import pytest

import normonnx
from normonnx.core.errors import UsageError
from normonnx.lower import stored
from normonnx.tuning import tune_model

pytest.importorskip("onnxruntime", reason="forms run on ONNX Runtime: install normonnx[cpu]")

CHAIN = """
<ir_version: 8, opset_import: ["": 17]>
net (float[N,T,8] x) => (float[N,T,8] y) <float two = {2}, float e = {1e-5}> {
  m = ReduceMean<axes = [-1]>(x) d = Sub(x, m) q = Pow(d, two) v = ReduceMean<axes = [-1]>(q)
  t = Add(v, e) s = Sqrt(t) z = Div(d, s)
  r = Relu(z)
  l = LayerNormalization<axis = -1>(r, g)
  k = LayerNormalization<axis = -1>(l, g)
  y = Neg(k)
}
"""
CHOSEN = """
<ir_version: 8, opset_import: ["": 17]>
net (float[64,8] x, bool[64] c) => (float[A,8] y) { a = Compress<axis = 0>(x, c) y = LayerNormalization<axis = -1>(a, g) }
"""
UNKNOWN = """
<ir_version: 8, opset_import: ["": 17, "acme": 1]>
net (float[64,8] x, bool[64] c) => (float[A,8] y, float[B] z) { z = acme.Sparkle(x) a = Compress<axis = 0>(x, c) y = LayerNormalization<axis = -1>(a, g) }
"""
EMPTY = """
<ir_version: 8, opset_import: ["": 17]>
net (float[64,8] x) => (float[A,8] y) { d = Sub(x, x) s = ReduceSum<keepdims = 0>(d, one) c = Cast<to = 9>(s) a = Compress<axis = 0>(x, c) y = LayerNormalization<axis = -1>(a, g) }
"""
LAST = """
<ir_version: 8, opset_import: ["": 17]>
net (float[64,5,6,8] x, bool[64] c) => (float[A,5,6,8] y) <float e = {1e-5}, float two = {2}> {
  a = Compress<axis = 0>(x, c)
  m = ReduceMean<axes = [1, 2]>(a) d = Sub(a, m) q = Pow(d, two) v = ReduceMean<axes = [1, 2]>(q)
  t = Add(v, e) s = Sqrt(t) z = Div(d, s) w = Mul(z, g) y = Add(w, g)
}
"""


def _parsed(text: str) -> onnx.ModelProto:
    model: onnx.ModelProto = onnx.parser.parse_model(text)
    scale = np.linspace(0.5, 1.5, 8, dtype=np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(scale, "g"))
    one = onnx.numpy_helper.from_array(np.array([1]), "one")
    model.graph.initializer.append(one)
    return model


def _tuned(text: str, **more: Any) -> Any:  # noqa: ANN401
    return tune_model(_parsed(text), **{"target": "ort-cpu", "seconds": 0.0, "threads": 1, **more})


def test_each_use_has_an_entry_at_the_shapes_asked_for() -> None:
    """However it is spelled; two alike are one."""
    found = _tuned(CHAIN, shapes={"x": (2, 3, 8)})
    assert found.left_out == ()
    uses = [(entry.norm, entry.shape, set(entry.given)) for entry in found.table.entries]
    assert uses == [("LayerNorm", (2, 3, 8), set()), ("LayerNorm", (2, 3, 8), {"scale"})]
    assert {entry.opset for entry in found.table.entries} == {17}


def test_without_shapes_a_batch_of_one_is_chosen() -> None:
    """And 128 for what else is dynamic."""
    found = _tuned(CHAIN)
    assert {entry.shape for entry in found.table.entries} == {(1, 128, 8)}


def test_the_model_is_not_changed() -> None:
    """Neither are the names of its dimensions."""
    model = ir.from_proto(_parsed(CHAIN))
    before = ir.to_proto(model).SerializeToString(deterministic=True)
    tune_model(model, target="ort-cpu", seconds=0.0, threads=1)
    assert ir.to_proto(model).SerializeToString(deterministic=True) == before


def test_sizes_that_numbers_decide_are_those_of_a_run() -> None:
    """How many rows are chosen is seen in float64."""
    found = _tuned(CHOSEN)
    assert found.left_out == ()
    (entry,) = found.table.entries
    assert 0 < entry.shape[0] < 64
    assert entry.shape[1] == 8


def test_channels_that_are_last_are_first_in_the_entry() -> None:
    """As the normalization has them."""
    found = _tuned(LAST)
    (entry,) = found.table.entries
    assert entry.norm == "InstanceNorm"
    assert entry.shape[1:] == (8, 5, 6)


@pytest.mark.parametrize("text", [UNKNOWN, EMPTY], ids=["unknown", "empty"])
def test_what_has_no_shape_is_left_out_with_the_reason(text: str) -> None:
    """The run fails before it is seen, or nothing is in it."""
    found = _tuned(text)
    assert found.table.entries == ()
    (left_out,) = found.left_out
    assert left_out.norm == "LayerNorm"
    assert "give the shapes of the inputs" in left_out.reason


def test_wrong_shapes_and_targets_are_refused() -> None:
    """Before anything is measured."""
    with pytest.raises(UsageError, match="the model has no input 'z'"):
        _tuned(CHAIN, shapes={"z": (1, 2, 8)})
    with pytest.raises(UsageError, match="does not fit the model's"):
        _tuned(CHAIN, shapes={"x": (1, 2, 9)})
    with pytest.raises(UsageError, match="can't be measured"):
        _tuned(CHAIN, target="portable")


def test_the_table_is_kept_where_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the user's folder, in a file, or nowhere."""
    monkeypatch.setenv(stored.FOLDER, str(tmp_path / "costs"))
    model, shapes = _parsed(CHAIN), {"x": (1, 2, 8)}
    table = normonnx.tune(model, shapes=shapes, seconds=0.0, store=False)
    assert not (tmp_path / "costs").exists()
    file = tmp_path / "mine.json"
    normonnx.tune(model, shapes=shapes, seconds=0.0, output=file)
    assert stored.read_file(file).target == "ort-cpu"
    assert not (tmp_path / "costs").exists()
    kept = normonnx.tune(model, shapes=shapes, seconds=0.0)
    assert stored.read("ort-cpu")[0] == kept
    assert {entry.use for entry in kept.entries} == {entry.use for entry in table.entries}
    with pytest.raises(UsageError, match="does not exist"):
        normonnx.tune(model, seconds=0.0, output=tmp_path / "missing" / "x.json")


def test_options_are_those_of_the_documentation() -> None:
    """The target is the processor unless another is named."""
    assert inspect.signature(normonnx.tune).parameters["target"].default == "ort-cpu"
