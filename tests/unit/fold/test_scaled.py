"""Products of weights and factors: rounded once, streamed, and refused where they don't fit."""

from __future__ import annotations

import io

import ml_dtypes
import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import pytest

from normonnx.core.dtypes import Array
from normonnx.fold import scaled as module
from normonnx.fold.plan import (
    MirroredIntegers,
    NewConstant,
    Refusal,
    ScaledWeight,
    SummedWeight,
)
from normonnx.fold.scaled import ScaledTensor, check_scaled, mirrored, rounded, scaled, summed
from normonnx.graph import tensors
from tests.rewriting import rewritten


def _value(array: npt.NDArray[np.generic], name: str = "w") -> ir.Value:
    return ir.val(name, const_value=tensors.of_array(array, name))


def _product(array: npt.NDArray[np.generic], factors: npt.NDArray[np.float64]) -> ScaledTensor:
    return scaled(ScaledWeight(_value(array), array.shape, factors), None)


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16, np.float64])
def test_product_is_rounded_once(dtype: type) -> None:
    """The product of any type is the float64 product, rounded to that type."""
    random = np.random.default_rng(0)
    weight: Array = random.normal(size=(6, 5, 3)).astype(dtype)
    factors = random.normal(size=(6, 1, 1))
    product = _product(weight, factors)
    assert np.array_equal(product.numpy(), (weight.astype(np.float64) * factors).astype(dtype))
    assert product.numpy().dtype == dtype


def test_scaling_twice_multiplies_the_factors() -> None:
    """A weight that is scaled twice is rounded once."""
    weight = np.random.default_rng(0).normal(size=(1, 2, 99)).astype(np.float32)
    factors = np.full((1, 2, 1), 1.1)
    once = _product(weight, factors)
    value = ir.val("w", const_value=once)
    twice = scaled(ScaledWeight(value, weight.shape, factors), None)
    exact = (weight.astype(np.float64) * (factors * factors)).astype(np.float32)
    assert np.array_equal(twice.numpy(), exact)
    assert not np.array_equal((once.numpy() * factors).astype(np.float32), exact)


def test_views_of_another_shape_keep_the_shape() -> None:
    """A grouped view is only how the weight is looked at."""
    weight = np.arange(24, dtype=np.float32).reshape(4, 3, 2)
    factors = np.arange(1, 7, dtype=np.float64).reshape(2, 1, 3, 1)
    found = scaled(ScaledWeight(_value(weight), (2, 2, 3, 2), factors), None)
    assert tuple(found.shape.numpy()) == weight.shape
    assert np.array_equal(found.numpy(), (weight.reshape(2, 2, 3, 2) * factors).reshape(4, 3, 2))
    value = ir.val("w", const_value=found)
    again = scaled(ScaledWeight(value, weight.shape, np.full((4, 1, 1), 2.0)), None)
    assert np.array_equal(again.numpy(), found.numpy() * 2)


@pytest.mark.parametrize("shape", [(7, 3), (1, 3), (7, 1), (0, 3)])
@pytest.mark.parametrize("axis", [0, 1])
def test_blocks_and_bytes_agree(
    shape: tuple[int, int], axis: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Streaming block by block writes the bytes of the whole, whatever the block."""
    random = np.random.default_rng(1)
    weight = random.normal(size=shape).astype(np.float32)
    factors = random.normal(size=[n if i == axis else 1 for i, n in enumerate(shape)])
    whole = _product(weight, factors)
    expected = whole.numpy().tobytes()
    for block in (1, 6, 1 << 19):
        monkeypatch.setattr(module, "BLOCK", block)
        stream = io.BytesIO()
        whole.tofile(stream)
        assert stream.getvalue() == expected
    assert whole.tobytes() == expected


@pytest.mark.parametrize(
    ("dtype", "lowest"),
    [(np.int8, -128), (ml_dtypes.int4, -8), (np.uint8, 0), (ml_dtypes.float8_e4m3fn, None)],
)
def test_mirrored_integers(dtype: type, lowest: int | None) -> None:
    """About their zero point; the lowest has no mirror image, of floating point each has one."""
    array: Array = np.array([3, 1, 2, 5]).astype(dtype)
    zero: Array = np.array(2).astype(dtype)
    tensor = MirroredIntegers(_value(array), np.array([-1.0, -1.0, 1.0, 0.0]), zero)
    found = mirrored(tensor, array)
    assert not isinstance(found, Refusal)
    assert found.dtype == dtype
    assert found.astype(np.float32).tolist() == [1, 3, 2, 2]
    if lowest is not None:
        array = np.array([lowest, 5]).astype(dtype)
        most: Array = np.array(0 if lowest else 1).astype(dtype)
        refused = mirrored(MirroredIntegers(_value(array), np.array([-1.0, -1.0]), most), array)
        assert isinstance(refused, Refusal)
        assert f"{1} of the integers of 'w' would leave" in refused.reason


@pytest.mark.parametrize(("axes", "length"), [((0,), 4), ((1,), 0)])
def test_sums_over_nothing(axes: tuple[int, ...], length: int) -> None:
    """A weight without rows contributes nothing."""
    weight = np.zeros((0, 4), np.float32)
    part = ScaledWeight(_value(weight), weight.shape, np.ones((1, 1)))
    constant = SummedWeight(part, axes, np.ones(length), (length,), np.dtype(np.float32), "bias")
    assert np.array_equal(summed(constant, None), np.ones(length))


@pytest.mark.parametrize("block", [1, 12, 1 << 19])
@pytest.mark.parametrize("axes", [(0,), (1,), (2,), (1, 2), (0, 2)])
def test_sums_over_blocks(
    axes: tuple[int, ...], block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a constant input contributes is the same, whatever the block."""
    monkeypatch.setattr(module, "BLOCK", block)
    random = np.random.default_rng(2)
    weight = random.normal(size=(3, 4, 5)).astype(np.float32)
    offsets = random.normal(size=[n if axis in axes else 1 for axis, n in enumerate((3, 4, 5))])
    exact = np.sum(weight.astype(np.float64) * offsets, axis=axes)
    part = ScaledWeight(_value(weight), weight.shape, offsets)
    plus = random.normal(size=exact.shape)
    found = summed(
        SummedWeight(part, axes, plus, (exact.size,), np.dtype(np.float32), "bias"), None
    )
    assert np.allclose(found, (exact + plus).reshape(-1), rtol=1e-12)


@pytest.mark.parametrize("axis", [0, 1])
def test_blocks_of_sums_and_bytes_agree(axis: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """So they do where something is added."""
    random = np.random.default_rng(1)
    weight = random.normal(size=(7, 3)).astype(np.float32)
    shape = (7, 1) if axis == 0 else (1, 3)
    factors, offsets = random.normal(size=shape), random.normal(size=shape)
    whole = scaled(ScaledWeight(_value(weight), weight.shape, factors, offsets), None)
    exact = (weight.astype(np.float64) * factors + offsets).astype(np.float32)
    for block in (1, 6, 1 << 19):
        monkeypatch.setattr(module, "BLOCK", block)
        stream = io.BytesIO()
        whole.tofile(stream)
        assert stream.getvalue() == exact.tobytes()
        assert np.array_equal(whole.numpy(), exact)


def test_what_is_no_constant_is_an_error() -> None:
    """Scaling asks for content: of the tensor, or handed over."""
    with pytest.raises(ValueError, match="'v' is no constant"):
        scaled(ScaledWeight(ir.val("v"), (1,), np.ones(1)), None)


@pytest.mark.parametrize(
    ("dtype", "weight", "factor", "fits"),
    [
        pytest.param(np.float32, 1.5, 1e-30, True, id="small"),
        pytest.param(np.float32, 1.5, 1e39, False, id="overflow"),
        pytest.param(np.float32, 1.5, 1e-39, False, id="precision lost to underflow"),
        pytest.param(np.float32, 1.5, 1e-60, False, id="underflow to zero"),
        pytest.param(np.float32, np.nan, 1.0, False, id="NaN in the weight"),
        pytest.param(np.float32, 1.5, 0.0, True, id="factor zero"),
        pytest.param(np.float32, 0.0, 1e39, True, id="weight zero"),
        pytest.param(np.float16, 1.5, 1e5, False, id="fp16 overflow"),
        pytest.param(np.float16, 1.5, 1e-6, False, id="fp16 precision lost"),
        pytest.param(np.float16, 1.5, 1e-9, False, id="fp16 underflow to zero"),
        pytest.param(np.float16, 1.5, 0.0, True, id="fp16 factor zero"),
        pytest.param(np.float16, 1.5, 1e-3, True, id="fp16 small"),
        pytest.param(ml_dtypes.bfloat16, 1.5, 1e-30, True, id="bf16 has the range of fp32"),
        pytest.param(ml_dtypes.bfloat16, 1.5, 1e39, False, id="bf16 overflow"),
    ],
)
def test_range(dtype: type, weight: float, factor: float, fits: bool) -> None:  # noqa: FBT001
    """A channel that overflows, vanishes or loses precision is named; other channels are well."""
    array: Array = np.full((4, 3), [[1.0], [1.0], [weight], [1.0]]).astype(dtype)
    factors = np.array([[1.0], [1.0], [factor], [1.0]])
    refusal = check_scaled(_product(array, factors))
    assert (refusal is None) == fits
    assert fits or (refusal is not None and "in channel 2 of weight 'w'" in refusal.reason)


@pytest.mark.parametrize(("channels", "more"), [(5, ""), (6, " and 1 more"), (8, " and 3 more")])
def test_many_channels_are_counted(channels: int, more: str) -> None:
    """Five channels are named, the rest counted."""
    weight, factors = np.ones((channels, 1), np.float16), np.full((channels, 1), 1e6)
    assert check_scaled(_product(weight, factors)) == Refusal(
        f"the product would not fit float16 in channels 0, 1, 2, 3, 4{more} of weight 'w'"
    )


def test_columns_are_channels_too() -> None:
    """Where factors vary along the second axis, that one is named."""
    refusal = check_scaled(_product(np.ones((2, 3), np.float16), np.array([[1.0, 1.0, 1e6]])))
    assert refusal is not None
    assert "in channel 2 of" in refusal.reason


def test_one_small_entry_among_large_ones_is_no_loss() -> None:
    """An entry that vanishes beside large ones of its channel is below their rounding."""
    weight = np.array([[1.0, 1e-4]], np.float16)
    assert check_scaled(_product(weight, np.array([[1e-3]]))) is None


@pytest.mark.parametrize(
    ("number", "dtype", "is_factor", "fits"),
    [
        (1e-9, np.float16, True, False),
        (1e-9, np.float16, False, True),
        (1e6, np.float16, True, False),
        (1e6, np.float16, False, False),
        (0.0, np.float16, True, True),
        (1e-46, np.float32, True, False),
    ],
)
def test_new_constants(number: float, dtype: type, is_factor: bool, fits: bool) -> None:  # noqa: FBT001
    """A shift may vanish; a factor may not; neither may overflow."""
    constant = NewConstant(np.array([1.0, number]), np.dtype(dtype), "k", is_factor=is_factor)
    found = rounded(constant)
    assert isinstance(found, Refusal) != fits
    if isinstance(found, Refusal):
        assert found.reason == f"'k' would not fit {np.dtype(dtype)} in channel 1"
    else:
        assert found.dtype == dtype


@pytest.mark.parametrize(
    ("scale", "words"),
    [
        ("1e-7", "float16 in channel 1 of weight 'w'"),
        ("60000", "float16 in channel 1 of weight 'w'"),
    ],
    ids=["underflow", "overflow"],
)
def test_fp16_model_refuses(scale: str, words: str) -> None:
    """In a whole model: fp32 parameters that push an fp16 weight out of range are refused."""
    found = rewritten(
        f"""g (float16[N,3,H,W] x) => (float16[N,2,H,W] y)
            <float16[2,3,1,1] w, float[2] scale = {{1, {scale}}}, float[2] bias, float[2] mean, float[2] var = {{1, 0.01}}> {{
            c = Conv(x, w) [bn] y = BN(c) }}"""
    )
    assert not found.report.modified
    assert words in found.refused["bn"]


def test_a_weight_may_fit_when_it_is_rounded_in_between() -> None:
    """Folding twice at once refuses no more than folding in two runs would."""
    weight = np.array([[0.56591796875, -0.00720977783203125]], np.float16)
    first = _product(weight, np.array([[0.03344769542403807]]))
    second = np.array([[0.001825053021823554]])
    again = ScaledWeight(ir.val("w", const_value=first), weight.shape, second)
    assert isinstance(check_scaled(scaled(again, None)), Refusal)
    at_once = module.fitting(again, None)
    in_two = module.fitting(ScaledWeight(_value(first.numpy()), weight.shape, second), None)
    assert isinstance(at_once, ScaledTensor)
    assert isinstance(in_two, ScaledTensor)
    assert np.array_equal(at_once.numpy(), in_two.numpy())
