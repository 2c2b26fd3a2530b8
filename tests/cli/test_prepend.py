"""`normonnx prepend`."""

from __future__ import annotations

import importlib
import pickle
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import pytest

import normonnx
from tests.cli.running import Cli

preprocessing = pytest.importorskip(
    "sklearn.preprocessing", reason="scalers are read from it: install normonnx[sklearn]"
)

MODEL: Final = """
<ir_version: 8, opset_import: ["" : 17]>
net (float[N,4] x) => (float[N,3] y) {
  y = Gemm(x, w, b)
}
"""
TRAIN: Final = """
import numpy as np
from sklearn.preprocessing import MinMaxScaler, PowerTransformer, StandardScaler
print("training")
X = np.arange(48.0).reshape(12, 4) % 7
scaler = StandardScaler().fit(X)
unfitted = StandardScaler()
narrow = StandardScaler().fit(X[:, :3])
def clipped(): return MinMaxScaler(clip=True).fit(X)
def failing(): raise RuntimeError("no data\\nat all")
def leaving(): raise SystemExit(4)
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a model, and scalers in every way that one may be given."""
    model = onnx.parser.parse_model(MODEL)
    source = np.random.default_rng(0)
    for name, shape in (("w", (4, 3)), ("b", (3,))):
        array = source.standard_normal(shape).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    onnx.save(model, tmp_path / "model.onnx")
    (tmp_path / "train.py").write_text(TRAIN, "utf-8")
    scaler = preprocessing.StandardScaler().fit(np.arange(48.0).reshape(12, 4) % 7)
    normonnx.export_scaler(scaler, tmp_path / "scaler.onnx")
    (tmp_path / "scaler.pkl").write_bytes(pickle.dumps(scaler))
    importlib.import_module("joblib").dump(scaler, tmp_path / "scaler.joblib")
    return tmp_path


GIVEN: Final = [
    ("scaler.onnx",),
    ("train.py:scaler",),
    ("train:scaler",),
    ("scaler.pkl", "--trust-pickle"),
    ("scaler.joblib", "--trust-pickle"),
]


@pytest.mark.parametrize("scaler", GIVEN, ids=lambda each: each[0])
def test_it_folds_checks_and_writes(cli: Cli, place: Path, scaler: tuple[str, ...]) -> None:
    """However the scaler is given; what training prints is no part of the result."""
    ran = cli("prepend", *scaler, "model.onnx", "-o", "out.onnx", cwd=place)
    assert ran.code == 0, ran
    assert "StandardScaler folded into Gemm 'y'" in ran.out
    assert "verdict: pass" in ran.out
    assert "out.onnx written" in ran.out
    assert "training" not in ran.out
    assert [node.op_type for node in onnx.load(place / "out.onnx").graph.node] == ["Gemm"]


def test_json_says_whether_it_was_folded(cli: Cli, place: Path) -> None:
    """And why not; a factory is called."""
    words = ("prepend", "train.py:clipped", "model.onnx", "-o", "out.onnx", "--json", "-")
    found = cli(*words, cwd=place).json
    assert found["schema"] == "normonnx.prepend/1"
    assert found["folded"] is False
    assert found["scaler"] == "train.py:clipped"
    assert found["output"] == "out.onnx"
    assert "within bounds" in found["report"]["refused"][0]["reason"]
    assert found["report"]["verification"]["verdict"] == "pass"
    nodes = onnx.load(place / "out.onnx").graph.node
    assert [node.op_type for node in nodes] == ["MinMaxScaler", "Gemm"]


def test_options_of_what_stays(cli: Cli, place: Path) -> None:
    """In front, as primitives, in float32."""
    cli(
        *("prepend", "scaler.onnx", "model.onnx", "-o", "out.onnx", "--no-fold"),
        *("--style", "primitive", "--stash-type", "float32", "--input", "x", "--verify", "none"),
        cwd=place,
    )
    nodes = onnx.load(place / "out.onnx").graph.node
    assert [node.op_type for node in nodes] == ["Sub", "Div", "Gemm"]


def test_a_dry_run_writes_nothing(cli: Cli, place: Path) -> None:
    """But says all the same what would be."""
    before = sorted(place.iterdir())
    ran = cli("prepend", "scaler.onnx", "model.onnx", "--dry-run", cwd=place)
    assert ran.code == 0
    assert "nothing written: dry run" in ran.out
    assert sorted(each for each in place.iterdir() if each.name != "__pycache__") == before


def test_inputs_are_kept(cli: Cli, place: Path) -> None:
    """Neither model nor scaler is overwritten without --force."""
    for name in ("model.onnx", "scaler.onnx"):
        before = (place / name).read_bytes()
        ran = cli("prepend", "scaler.onnx", "model.onnx", "-o", name, cwd=place)
        ran.refused(2, f"{name} is an input and would be overwritten")
        assert (place / name).read_bytes() == before
    ran = cli("prepend", "scaler.onnx", "model.onnx", "-o", "model.onnx", "--force", cwd=place)
    assert ran.code == 0, ran


REFUSED: Final[list[tuple[tuple[str, ...], int, tuple[str, ...]]]] = [
    (("scaler.pkl", "model.onnx"), 2, ("is a pickle", "--trust-pickle", "export_scaler")),
    (("scaler.joblib", "model.onnx"), 2, ("is a pickle", "--trust-pickle")),
    (("none.pkl", "model.onnx", "--trust-pickle"), 2, ("there is no file none.pkl",)),
    (("none.onnx", "model.onnx"), 2, ("none.onnx",)),
    (("scaler.onnx", "none.onnx"), 2, ("none.onnx",)),
    (("scaler", "model.onnx"), 2, ("expected an .onnx file, MODULE:NAME or FILE.py:NAME",)),
    (("none.py:scaler", "model.onnx"), 2, ("there is no file none.py",)),
    (("no_such_module:scaler", "model.onnx"), 2, ("No module named 'no_such_module'",)),
    (("train.py:scalr", "model.onnx"), 2, ("has no scalr; did you mean scaler?",)),
    (("train.py:unfitted", "model.onnx"), 2, ("is not fitted", "fit(X)")),
    (("train.py:narrow", "model.onnx"), 2, ("gives 3 features and input 'x' takes 4",)),
    (("train.py:failing", "model.onnx"), 2, ("RuntimeError: no data",)),
    (("train.py:leaving", "model.onnx"), 2, ("SystemExit: 4",)),
    (("train.py:X", "model.onnx"), 2, ("a ndarray, is neither one of scikit-learn",)),
    (("scaler.onnx", "model.onnx", "--input", "z"), 2, ("no input 'z'; it has 'x'",)),
    (("bare.py:scaler", "model.onnx"), 3, ("needs scikit-learn", "install normonnx[sklearn]")),
    (("broken.onnx", "model.onnx"), 5, ("is damaged or no ONNX model",)),
    (("scaler.onnx", "broken.onnx"), 5, ("is damaged or no ONNX model",)),
    (("broken.pkl", "model.onnx", "--trust-pickle"), 2, ("can't be loaded",)),
]


@pytest.mark.parametrize(("words", "code", "said"), REFUSED, ids=lambda each: str(each)[:50])
def test_refused(
    cli: Cli, place: Path, words: tuple[str, ...], code: int, said: tuple[str, ...]
) -> None:
    """In one line, with the way out, and nothing is written."""
    for name in ("broken.onnx", "broken.pkl"):
        (place / name).write_bytes(b"hello, world\n")
    gone = 'raise ModuleNotFoundError("No module named \'sklearn\'", name="sklearn.preprocessing")'
    (place / "bare.py").write_text(gone, "utf-8")
    ran = cli("prepend", *words, "-o", "out.onnx", cwd=place)
    assert not (place / "out.onnx").exists()
    assert ran.code == code, ran
    assert ran.out == ""
    last = ran.err.splitlines()[-1]
    assert last.startswith("normonnx: error: ")
    assert [line for line in ran.err.splitlines() if line != "training"] == [last]
    for each in said:
        assert each in last, ran


def test_no_place_for_the_result(cli: Cli, place: Path) -> None:
    """As every verb that writes."""
    ran = cli("prepend", "scaler.onnx", "model.onnx", cwd=place)
    ran.refused(2, "give -o OUTPUT, or --dry-run")


def test_what_can_not_be_compared_is_written_unverified(cli: Cli, place: Path) -> None:
    """Exit code 4, as `optimize` does."""
    model = onnx.load(place / "model.onnx")
    model.graph.node[0].domain = "acme"
    model.opset_import.append(onnx.helper.make_opsetid("acme", 1))
    onnx.save(model, place / "custom.onnx")
    ran = cli("prepend", "scaler.onnx", "custom.onnx", "-o", "out.onnx", cwd=place)
    assert ran.code == 4, ran
    assert "written, unverified" in ran.out
