"""The oracle as a backend: float64, in a process of its own."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir

from normonnx.core.verdicts import Verdict
from normonnx.core.version import VERSION
from normonnx.runtime import backends
from normonnx.runtime.oracle import evaluate
from tests.unit.runtime.engines.conftest import HEAD, Run, reason_of

MIXED = (
    "g (float16[n] x) => (float16[n] y, int64[1] s, seq(float16[n]) q)"
    " { y = Add(x, x) s = Shape(x) q = SequenceConstruct(x, y) }"
)


def test_it_answers_in_float64_whatever_the_model_declares(run: Run) -> None:
    """To the bit what the oracle says here; integers stay, what is no tensor is None."""
    x = {"x": np.asarray([1 / 3, 2, -7], np.float16)}
    outcome = run("oracle", MIXED, x)
    assert (outcome.run.verdict, outcome.run.asked, outcome.wide) == (Verdict.PASS, "CPU", True)
    (found,) = outcome.outputs
    expected = evaluate(ir.from_proto(onnx.parser.parse_model(HEAD + MIXED)), x)
    assert found["y"].dtype == np.float64
    assert found["y"].tolist() == expected["y"].tolist()
    assert (found["s"].dtype, found["s"].tolist()) == (np.int64, [3])
    assert found["q"] is None


def test_it_tells_what_it_is(run: Run) -> None:
    """Versions and precision; it has no nodes of its own to place."""
    found = run("oracle", MIXED).run
    assert found.settings == {
        "normonnx": VERSION,
        "numpy": np.__version__,
        "precision": "float64",
    }
    assert found.nodes == ()


def test_an_operator_that_it_lacks_is_unavailable(run: Run) -> None:
    """Naming the operator, in one line."""
    head = '<ir_version: 8, opset_import: ["": 17, "odd": 1]>\n'
    text = f"{head}g (float[n] x) => (float[n] y) {{ y = odd.Frobnicate(x) }}"
    assert "Frobnicate" in reason_of(run("oracle", text, {"x": np.ones(2, np.float32)}))


def test_inputs_that_do_not_fit_are_invalid(run: Run) -> None:
    """No runtime could add two and three numbers."""
    text = "g (float[n] x, float[m] z) => (float[k] y) { [off] y = Add(x, z) }"
    feeds = {"x": np.ones(2, np.float32), "z": np.ones(3, np.float32)}
    found = run("oracle", text, feeds).run
    assert found.verdict is Verdict.INVALID
    assert "'off'" in found.reason
    assert "\n" not in found.reason


def test_a_device_for_the_oracle_does_not_exist(run: Run) -> None:
    """It is said, instead of being ignored."""
    reason = reason_of(run("oracle:GPU", MIXED))
    assert reason == "there is no backend 'oracle:GPU'; did you mean oracle?"


def test_it_is_always_here() -> None:
    """Nothing is to be installed for it."""
    from normonnx.runtime.engines import oracle

    assert oracle.probe() == {"oracle": f"normonnx {VERSION}"}
    assert "oracle" in backends.BACKENDS
