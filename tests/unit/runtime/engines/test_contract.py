"""What engines share: is it the model that is wrong, or the runtime that lacks something?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from normonnx.runtime.engines.contract import can_not_load, first_line
from tests.unit.runtime.engines.conftest import HEAD

LEGAL = HEAD + "g (float[N, 4] x) => (float[N, 4] y) <float[4, 4] w> { y = MatMul(x, w) }"
ILLEGAL = {
    "an operator that does not exist": LEGAL.replace("MatMul", "Frob"),
    "a type that it does not take": LEGAL.replace("float", "bool"),
    "a shape that does not fit": LEGAL.replace("float[4, 4] w", "float[3, 4] w"),
}


def _file(folder: Path, text: str, *, external: bool, as_input: bool = False) -> Path:
    model = onnx.parser.parse_model(text)
    dims = (3, 4) if "[3, 4]" in text else (4, 4)
    array = np.ones(dims, bool if "bool" in text else np.float32)
    del model.graph.initializer[:]
    model.graph.initializer.append(onnx.numpy_helper.from_array(array, "w"))
    if as_input:
        kind = model.graph.initializer[0].data_type
        model.graph.input.append(onnx.helper.make_tensor_value_info("w", kind, dims))
    path = folder / "model.onnx"
    onnx.save(model, path, save_as_external_data=external, location="data", size_threshold=0)
    return path


@pytest.mark.parametrize("external", [False, True], ids=["inside", "external"])
@pytest.mark.parametrize("as_input", [False, True], ids=["constant", "overridable"])
def test_a_legal_model_that_does_not_load_is_unavailable(
    tmp_path: Path, *, external: bool, as_input: bool
) -> None:
    """Another runtime might take it; wherever its weights are, in the current folder or not."""
    path = _file(tmp_path, LEGAL, external=external, as_input=as_input)
    found = can_not_load(path, "no kernel")
    assert (found.verdict, str(found)) == ("unavailable", "can't load the model: no kernel")


@pytest.mark.parametrize("external", [False, True], ids=["inside", "external"])
@pytest.mark.parametrize("text", ILLEGAL.values(), ids=ILLEGAL)
def test_a_model_that_the_checker_rejects_too_is_invalid(
    tmp_path: Path, text: str, *, external: bool
) -> None:
    """No runtime could run it."""
    assert can_not_load(_file(tmp_path, text, external=external), "no").verdict == "invalid"


def test_external_data_behind_links_or_lost_is_not_the_models_fault(tmp_path: Path) -> None:
    """The checker refuses links; what the runtime could not find, the model only names."""
    path = _file(tmp_path, LEGAL, external=True)
    (tmp_path / "data").rename(tmp_path / "blob")
    assert can_not_load(path, "no data").verdict == "unavailable"
    (tmp_path / "data").symlink_to(tmp_path / "blob")
    assert can_not_load(path, "a link").verdict == "unavailable"


def test_external_data_in_a_branch_is_not_the_models_fault(tmp_path: Path) -> None:
    """The checker does not find it, and gets no further; that proves nothing."""
    text = "g (bool c, float[4] x) => (float[4] y) { y = If(c) <then_branch = a () => (float[4] p)"
    text += " { p = Constant<value = float[4] {1, 2, 3, 4}>() }, else_branch = b () => (float[4] q)"
    model = onnx.parser.parse_model(f"{HEAD}{text} {{ q = Neg(x) }}> }}")
    inside = model.graph.node[0].attribute[0].g.node[0].attribute[0].t
    inside.CopyFrom(onnx.numpy_helper.from_array(np.arange(4, dtype=np.float32)))
    onnx.external_data_helper.set_external_data(inside, "data")
    inside.ClearField("raw_data")
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    (tmp_path / "data").write_bytes(bytes(16))
    assert can_not_load(path, "no kernel").verdict == "unavailable"


def test_what_is_no_model_at_all_is_invalid(tmp_path: Path) -> None:
    """Text under the name of a model."""
    path = tmp_path / "model.onnx"
    path.write_bytes(b"junk")
    assert can_not_load(path, "no protobuf").verdict == "invalid"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("one\ntwo"), "one"),
        (ValueError("\n\n  one  \ntwo"), "one"),
        (ValueError(""), "ValueError"),
        (KeyError(), "KeyError"),
        (ValueError("x" * 1000), "x" * 300),
    ],
    ids=["two lines", "blank lines", "empty", "nothing", "long"],
)
def test_an_error_is_its_first_line(error: Exception, line: str) -> None:
    """Never empty, never endless."""
    assert first_line(error) == line
