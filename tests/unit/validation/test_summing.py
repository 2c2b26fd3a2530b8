"""How far sums of equal numbers may be off."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from normonnx.validation.drawing import Case
from normonnx.validation.judge import judging
from normonnx.validation.summing import with_moved_sums
from normonnx.validation.truths import Truth, truth_of

HEAD = '<ir_version: 10, opset_import: ["": 21]>\n g (float[2, 4, 16, 16] x) => (float[2, 4, 16, 16] y)'
ONES = "float[4] s = {1, 2, 3, 4}, float[4] b = {1, 1, 1, 1}"
U = 2.0**-24

# How far the output moves on a constant of 3, in u, at most: n / 16 relative to the mean of |x|.
MOVED = {
    "ReduceMean of an axis": (
        "<int64[1] a = {-1}> { m = ReduceMean(x, a) y = Expand(m, z) }",
        3 * 16 / 16,
    ),
    "ReduceMean of all": ("{ m = ReduceMean(x) y = Expand(m, z) }", 3 * 2048 / 16),
    "ReduceSum that cancels": (
        "<int64[2] a = {2, 3}> { d = Mul(x, alternating) m = ReduceSum(d, a) y = Add(x, m) }",
        3 * 256 * 256 / 16,
    ),
    "GlobalAveragePool": ("{ m = GlobalAveragePool(x) y = Expand(m, z) }", 3 * 256 / 16),
    "AveragePool": ("{ y = AveragePool<kernel_shape = [1, 1]>(x) }", 3 / 16),
    "ReduceL2": ("{ m = ReduceL2(x) y = Expand(m, z) }", 3 * 2048**0.5 * 2048 / 16),
    "InstanceNormalization": (f"<{ONES}> {{ y = InstanceNormalization(x, s, b) }}", None),
    "GroupNormalization": (
        f"<{ONES}> {{ y = GroupNormalization<num_groups = 2>(x, s, b) }}",
        None,
    ),
    "LayerNormalization": (
        f"<float[16] s = {{{', '.join(['1'] * 16)}}}> {{ y = LayerNormalization(x, s) }}",
        None,
    ),
    "no sum": ("{ y = Neg(x) }", 0.0),
}


def _truth(body: str, profile: str = "constant") -> tuple[ir.Model, Truth]:
    body = body.replace("z)", "shape)")
    signs = ", ".join(["1", "-1"] * 128)
    extra = {"shape": "int64[4] shape = {2, 4, 16, 16}"}
    extra["alternating"] = f"float[1, 1, 16, 16] alternating = {{{signs}}}"
    wanted = [text for name, text in extra.items() if name in body]
    if wanted:
        given = ", ".join(wanted)
        body = body.replace("<", f"<{given}, ", 1) if body.startswith("<") else f"<{given}> {body}"
    model = ir.from_proto(onnx.parser.parse_model(HEAD + body))
    case = Case(profile, {"x": np.full((2, 4, 16, 16), 3, np.float32)}, profile=profile)
    return model, truth_of(model, case, judging(0, None, kernels=True))


@pytest.mark.parametrize(("body", "most"), MOVED.values(), ids=MOVED)
def test_sums_of_a_constant_move_by_their_bound(body: str, most: float | None) -> None:
    """A sixteenth of what adding one after another may cost, in the three draws at most."""
    model, truth = _truth(body)
    moved = with_moved_sums(model, truth)
    assert len(moved) == 3
    largest = max(np.max(np.abs(one["y"] - truth.outputs["y"])) for one in moved) / U
    if most is None:  # divided by the root of epsilon
        assert largest > 3 * 16 / 16 / np.sqrt(1e-5) / 4
    else:
        assert most / 4 <= largest <= most * (1 + 1e-6)


def test_a_mean_moves_all_that_it_is_subtracted_from_alike() -> None:
    """And each channel by its scale."""
    model, truth = _truth(MOVED["InstanceNormalization"][0])
    shift = with_moved_sums(model, truth)[0]["y"] - truth.outputs["y"]
    assert np.ptp(shift, axis=(2, 3)).max() < 1e-12
    assert np.unique(shift[:, :, 0, 0]).size == 8


@pytest.mark.parametrize("profile", ["", "huge", "batch-1", "nan"])
def test_where_numbers_differ_sums_are_benign(profile: str) -> None:
    """Nothing is excused there."""
    assert with_moved_sums(*_truth(MOVED["ReduceMean of all"][0], profile)) == ()
