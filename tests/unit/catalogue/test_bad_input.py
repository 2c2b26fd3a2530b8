"""What is no legal use of a normalization is refused when it is defined, with both values."""

from __future__ import annotations

import dataclasses
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest

import normonnx
from normonnx.catalogue.contents import CATALOGUE, Catalogue
from normonnx.core.errors import UsageError

ONE4 = np.ones(4, np.float32)
NAN4 = np.array([1, 1, np.nan, 1], np.float32)

# id: norm, shape, what is given, words of the message
REFUSED: dict[str, tuple[str, tuple[Any, ...], dict[str, Any], str]] = {
    "groups": (
        "GroupNorm",
        ("N", 6, 2, 2),
        {"num_groups": 4},
        r"X has 6 channels and num_groups is 4; expected a divisor of 6: 1, 2, 3, 6",
    ),
    "no groups": ("GroupNorm", (1, 4), {}, r"num_groups is missing: groups that"),
    "zero groups": ("GroupNorm", (1, 4), {"num_groups": 0}, r"num_groups is 0; expected 1 or more"),
    "half a group": (
        "GroupNorm",
        (1, 4),
        {"num_groups": 1.5},
        r"num_groups is 1.5; expected a whole",
    ),
    "rank": ("InstanceNorm", (2, 4), {}, r"shape \(2, 4\), rank 2; expected rank 3 or more"),
    "rank of LRN": ("LRN", (4,), {"size": 3}, r"shape \(4\), rank 1; expected rank 2 or more"),
    "length": (
        "BatchNorm",
        ("N", 4, "H", "W"),
        {"mean": np.ones(3, np.float32), "var": ONE4},
        r"mean has shape \(3\); expected \(4\) for X of shape \(N, 4, H, W\), or \(1\)",
    ),
    "rank of a parameter": (
        "BatchNorm",
        ("N", 4),
        {"mean": np.ones((4, 1), np.float32), "var": ONE4},
        r"mean has shape \(4, 1\); expected \(4\)",
    ),
    "trailing": (
        "LayerNorm",
        (2, 3, 4),
        {"scale": np.ones(3, np.float32)},
        r"scale has shape \(3\); expected \(4\)",
    ),
    "rows of a condition": (
        "AdaLN",
        (2, 5, 8),
        {"scale": np.ones((3, 8), np.float32)},
        r"scale has shape \(3, 8\); expected \(2, 8\)",
    ),
    "integers as a parameter": (
        "LayerNorm",
        (2, 4),
        {"scale": np.ones(4, np.int64)},
        r"scale is int64; expected floating-point numbers like X's float32: cast it",
    ),
    "empty batch": ("LayerNorm", (0, 4), {}, r"shape \(0, 4\): the batch is empty"),
    "zero-size axis": ("RMSNorm", (2, 0), {}, r"shape \(2, 0\): axis 1 is empty"),
    "NaN in mean": (
        "BatchNorm",
        ("N", 4),
        {"mean": NAN4, "var": ONE4},
        r"mean holds nan at place 2; expected finite numbers",
    ),
    "infinite var": (
        "BatchNorm",
        ("N", 4),
        {"mean": ONE4, "var": ONE4 * np.inf},
        r"var holds inf at place 0; expected finite numbers",
    ),
    "no statistics": ("BatchNorm", ("N", 4), {}, r"mean is missing: running mean of each channel"),
    "epsilon 0 and variance 0": (
        "BatchNorm",
        ("N", 4),
        {"mean": ONE4, "var": np.array([1, 0, 1, 1], np.float32), "epsilon": 0.0},
        r"var is 0 in channel 1 and epsilon 0; expected var \+ epsilon > 0",
    ),
    "negative variance": (
        "BatchNorm",
        ("N", 4),
        {"mean": ONE4, "var": -ONE4},
        r"var is -1 in channel 0 and epsilon 1e-05; expected var \+ epsilon > 0",
    ),
    "one number and epsilon 0": (
        "LayerNorm",
        ("N", 1),
        {"epsilon": 0.0},
        r"one number, so its variance is 0, and epsilon is 0; expected epsilon > 0",
    ),
    "one position and epsilon 0": ("IN", (2, 3, 1, 1), {"epsilon": 0.0}, r"its variance is 0"),
    "groups of one and epsilon 0": (
        "GN",
        (2, 3),
        {"num_groups": 3, "epsilon": 0},
        r"variance is 0",
    ),
    "negative epsilon": ("LayerNorm", (2, 4), {"epsilon": -1e-5}, r"epsilon is -1e-05; expected 0"),
    "NaN epsilon": ("LayerNorm", (2, 4), {"epsilon": np.nan}, r"epsilon is nan; expected a number"),
    "text as epsilon": ("LayerNorm", (2, 4), {"epsilon": "tiny"}, r"epsilon is 'tiny'; expected a"),
    "axis": ("LayerNorm", (2, 4), {"axis": 2}, r"axis is 2; expected -2 to 1 for rank 2"),
    "axes": ("MVN", (2, 3, 4, 5), {"axes": (1, 4)}, r"axes is \[1, 4\]; expected different axes"),
    "axes twice": (
        "MVN",
        (2, 3, 4, 5),
        {"axes": (1, -3)},
        r"axes is \[1, -3\]; expected different",
    ),
    "batch as channels": ("GRN", (2, 3, 4), {"axis": 0}, r"axis is 0, the batch"),
    "window": ("LRN", (2, 4, 3, 3), {"size": 0}, r"size is 0; expected 1 or more"),
    "base of a power": (
        "LRN",
        (2, 4, 3),
        {"size": 3, "bias": -1.0},
        r"bias is -1 and alpha 0.0001",
    ),
    "order": ("LpNorm", (2, 4), {"p": 0.5}, r"p is 0.5; expected 1 or more"),
    "stash": (
        "LayerNorm",
        (2, 4),
        {"stash_type": 10},
        r"stash_type is 10; expected 'float32' \(1\)",
    ),
    "momentum": ("BatchNormTraining", (2, 4), {"momentum": 2.0}, r"momentum is 2; expected 0 to 1"),
    "one sample": (
        "BatchNormTraining",
        (1, 4),
        {"ddof": 1},
        r"1 number in each channel; expected more",
    ),
    "epsilon that is 0 in float32": (
        "BatchNorm",
        (2, 4),
        {"mean": ONE4, "var": 0 * ONE4, "epsilon": 1e-50},
        r"epsilon is 1e-50, which is 0 in float32, as ONNX keeps it; expected a finite",
    ),
    "epsilon beyond float32": (
        "LayerNorm",
        (2, 4),
        {"epsilon": 1e39},
        r"epsilon is 1e\+39, which is inf",
    ),
    "infinite alpha": ("LRN", (2, 4, 3), {"size": 3, "alpha": np.inf}, r"alpha is inf, which is"),
    "window beyond int64": ("LRN", (2, 4, 3), {"size": 2**70}, r"size is 1180591620717411303424;"),
    "training mode": (
        "BatchNorm",
        (2, 4),
        {"mean": ONE4, "var": ONE4, "training_mode": "yes"},
        r"training_mode is 'yes'; expected 0 or 1",
    ),
    "rows of several lengths": (
        "LayerNorm",
        (2, 4),
        {"scale": [[1.0], [1.0, 2.0]]},
        r"scale is no array: .*inhomogeneous",
    ),
    "text as numbers": (
        "LayerNorm",
        (2, 4),
        {"scale": ["one"]},
        r"scale is <U3; expected floating",
    ),
    "another name": (
        "LayerNorm",
        (2, 4),
        {"eps": 1e-5},
        r"LayerNorm has no 'eps'; it takes axis, bias",
    ),
}


@pytest.mark.parametrize("case", REFUSED, ids=str)
def test_it_is_refused_at_definition(case: str) -> None:
    """The message has the value found and the value expected."""
    name, shape, given, words = REFUSED[case]
    with pytest.raises(UsageError, match=words):
        CATALOGUE[name].define(shape, np.float32, **given)


@pytest.mark.parametrize(
    "case", [c for c in REFUSED if all(isinstance(d, int) for d in REFUSED[c][1])]
)
def test_the_reference_refuses_it_too(case: str) -> None:
    """Before a number is computed."""
    name, shape, given, words = REFUSED[case]
    with pytest.raises(UsageError, match=words):
        normonnx.norms[name].reference(np.zeros(shape, np.float32), **given)


def test_a_shape_and_a_type_that_are_none() -> None:
    """Sizes are whole numbers, names or None; types are numpy's, or torch's of those names."""
    norm = CATALOGUE["LayerNorm"]
    wrong: tuple[Any, ...] = (4, "N4", (2.5, 4))
    for shape in wrong:
        with pytest.raises(UsageError, match=r"the shape of X is .*; expected a tuple of sizes"):
            norm.define(shape)
    with pytest.raises(UsageError, match="X is half-ish; expected float16, bfloat16, float32 or"):
        norm.define((2, 4), "half-ish")
    with pytest.raises(UsageError, match=r"scale is \(0.5,\); a tuple is a shape, .*as an array"):
        norm.define((2, 4), scale=(0.5,))


def test_outputs_that_there_are_not() -> None:
    """How many there are is said."""
    x = np.ones((2, 4, 3), np.float32)
    for wanted in (0, 4, "all"):
        with pytest.raises(UsageError, match=r"outputs is .*; expected 1 to 3: Y, Mean, InvStdDev"):
            CATALOGUE["LayerNorm"].reference(x, outputs=wanted)
    with pytest.raises(UsageError, match="outputs is 2; expected 1: Y"):
        CATALOGUE["InstanceNorm"].reference(x, outputs=2)


def test_bfloat16_is_unknown_below_opset_13() -> None:
    """As X, or as a parameter alone: no form is there, and no model is made that no one can load."""
    as_x = CATALOGUE["LayerNorm"].define((2, 4), ml_dtypes.bfloat16)
    alone = CATALOGUE["LayerNorm"].define((2, 4), scale=np.ones(4, ml_dtypes.bfloat16))
    for call in (as_x, alone):
        assert call.forms_at(12) == ()
        with pytest.raises(UsageError, match=r"opset 12 is .*; expected 13 or later, .* bfloat16"):
            call.model("corrected chain", opset=12)
        assert call.forms_at(13)


def test_an_opset_of_the_future_is_refused() -> None:
    """By models and functions: what the operators will be there is not known."""
    norm = CATALOGUE["LayerNorm"]
    with pytest.raises(UsageError, match=r"opset 99 is newer than onnx .*, which knows"):
        norm.define((2, 4)).model(opset=99)
    with pytest.raises(UsageError, match="opset 99 is newer than onnx"):
        norm.function(99)


@pytest.mark.parametrize(
    "dtype", [np.int64, np.int32, np.uint8, bool, complex, ml_dtypes.float8_e4m3fn]
)
@pytest.mark.parametrize("name", list(CATALOGUE))
def test_integer_data_is_refused(name: str, dtype: npt.DTypeLike) -> None:
    """Everywhere, with the types that are possible."""
    with pytest.raises(
        UsageError, match=r"X is \w+; expected float16, bfloat16, float32 or float64"
    ):
        CATALOGUE[name].reference(np.ones((2, 4, 3, 3)).astype(dtype))


@pytest.mark.parametrize("name", ["LayerNorm", "InstanceNorm", "BatchNormTraining", "RMSNorm"])
def test_a_constant_with_epsilon_0_divides_by_zero(name: str) -> None:
    """The reference says so; with the default it is 0."""
    x = np.zeros((2, 3, 4), np.float32)
    with pytest.raises(UsageError, match="with epsilon 0 divides by zero"):
        CATALOGUE[name].reference(x, epsilon=0.0)
    assert not CATALOGUE[name].reference(x).any()


def test_inputs_by_place_and_by_name() -> None:
    """Neither twice, nor too many."""
    x = np.ones((2, 4), np.float32)
    with pytest.raises(UsageError, match="scale was given twice, by place and by name"):
        CATALOGUE["LayerNorm"].reference(x, ONE4, scale=ONE4)
    with pytest.raises(UsageError, match="LayerNorm takes X, scale, bias; 4 inputs were given"):
        CATALOGUE["LayerNorm"].reference(x, ONE4, ONE4, ONE4)
    assert CATALOGUE["LayerNorm"].reference(x, None, ONE4).tolist() == np.ones((2, 4)).tolist()


def test_forms_that_do_not_apply() -> None:
    """An unknown form, one of another opset, and one that the call can't take."""
    call = CATALOGUE["GroupNorm"].define(("N", "C", "L"), num_groups=2)
    with pytest.raises(UsageError, match=r"GroupNorm has no form 'fast'; it has: function, native"):
        call.model("fast")
    with pytest.raises(UsageError, match=r"'native' of GroupNorm needs opset 21 or later; 17 was"):
        call.model("native", opset=17)
    with pytest.raises(UsageError, match=r"is not for this call: the size of axis 1 is not known"):
        call.model("native", opset=21)
    with pytest.raises(UsageError, match="opset 6 is not supported; expected 7 or later"):
        call.model(opset=6)


@pytest.mark.parametrize(
    "other",
    [{"aliases": ("LN",)}, {"aliases": ("layernorm",)}, {"readers": CATALOGUE["LN"].readers}],
    ids=["alias of both", "alias that is a name", "operator of both"],
)
def test_a_name_that_two_claim_is_noticed(other: dict[str, Any]) -> None:
    """Else which one it is would depend on the order of the rows."""
    two = CATALOGUE["LayerNorm"], dataclasses.replace(CATALOGUE["GroupNorm"], **other)
    with pytest.raises(ValueError, match="LayerNorm and GroupNorm both claim the name '"):
        Catalogue(two)


def test_unknown_names() -> None:
    """A KeyError, as of any mapping, which also says what was meant."""
    with pytest.raises(
        KeyError, match="there is no normalization 'GruopNorm'; did you mean GroupNorm"
    ):
        normonnx.norms["GruopNorm"]
    assert normonnx.norms.get("nothing of the kind") is None
    assert "GroupNorm" in normonnx.norms
    for alias in ("GN", "groupnormalization", "torch.nn.GroupNorm", "groupnorm"):
        assert normonnx.norms[alias] is normonnx.norms["GroupNorm"]
