"""Weights computed from others: by rows, in blocks, rounded once, streamed."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import pytest

from normonnx.core.dtypes import FloatArray
from normonnx.fold import combination
from normonnx.fold.combination import (
    CombinedTensor,
    KernelProduct,
    Placed,
    Product,
    Scaled,
    Summed,
    exact_rows,
)
from normonnx.fold.plan import Rows, ScaledWeight
from normonnx.fold.scaled import scaled

RANDOM = np.random.default_rng(0)


def _drawn(*shape: int) -> Scaled:
    factors = RANDOM.normal(size=(shape[0], *(1,) * (len(shape) - 1)))
    return Scaled(RANDOM.normal(size=shape).astype(np.float32), factors)


def _whole(rows: Rows) -> FloatArray:
    return rows.rows(0, rows.shape[0])


def _dense(kernel: FloatArray, group: int) -> FloatArray:
    """A kernel of one group that computes the same as one of several."""
    outputs, width = kernel.shape[:2]
    dense = np.zeros((outputs, group * width, *kernel.shape[2:]))
    for row in range(outputs):
        first = row // (outputs // group) * width
        dense[row, first : first + width] = kernel[row]
    return dense


CASES = [
    pytest.param(_drawn(6, 4, 3), id="scaled"),
    pytest.param(Scaled(RANDOM.normal(size=(6, 4)), np.full((1, 1), 2.0)), id="one factor"),
    pytest.param(Scaled(RANDOM.normal(size=(6, 4)), np.full((), 2.0)), id="a scalar factor"),
    pytest.param(Placed(_drawn(6, 1, 2), 6, (6, 3, 5), 2, (slice(1, 4, 2),)), id="placed"),
    pytest.param(Product(_drawn(6, 2, 1), _drawn(4, 3, 3), 2), id="product"),
    pytest.param(KernelProduct(_drawn(6, 2, 3), _drawn(4, 3, 1), 2), id="kernel product"),
    pytest.param(Summed((_drawn(6, 4), _drawn(6, 4), _drawn(6, 4))), id="sum"),
]


@pytest.mark.parametrize("rows", CASES)
def test_any_rows_are_those_of_the_whole(rows: Rows) -> None:
    """Where blocks begin and end, within groups or across, doesn't matter."""
    whole = _whole(rows)
    assert whole.shape == rows.shape
    assert whole.dtype == np.float64
    for start in range(rows.shape[0]):
        for stop in range(start + 1, rows.shape[0] + 1):
            np.testing.assert_allclose(rows.rows(start, stop), whole[start:stop], rtol=1e-14)


@pytest.mark.parametrize(("group", "target"), [(6, 1), (6, 2), (6, 3), (3, 3), (2, 1)])
def test_fewer_groups(group: int, target: int) -> None:
    """A kernel of many groups is one of fewer with zeros between."""
    kernel = _drawn(6, 6 // group, 2)
    placed = Placed(kernel, group, (6, 6 // target, 2), target, (slice(None),))
    np.testing.assert_array_equal(_dense(_whole(placed), target), _dense(_whole(kernel), group))


def test_places_of_taps() -> None:
    """Taps lie where they are told, zeros elsewhere."""
    kernel = Scaled(np.array([[[1.0, 2.0]]]), np.ones((1, 1, 1)))
    placed = Placed(kernel, 1, (1, 1, 5), 1, (slice(1, 4, 2),))
    assert _whole(placed).tolist() == [[[0, 1, 0, 2, 0]]]


@pytest.mark.parametrize("group", [1, 2])
def test_products(group: int) -> None:
    """One tap after a kernel and one tap before it, against the sum written out."""
    point, kernel = _drawn(6, 4 // group, 1), _drawn(4, 6 // group, 3)
    expected = np.einsum(
        "mj,jck->mck", _dense(_whole(point), group)[:, :, 0], _dense(_whole(kernel), group)
    )
    found = _dense(_whole(Product(point, kernel, group)), group)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    kernel, point = _drawn(6, 4 // group, 3), _drawn(4, 6 // group, 1)
    expected = np.einsum(
        "mjk,jc->mck", _dense(_whole(kernel), group), _dense(_whole(point), group)[:, :, 0]
    )
    found = _dense(_whole(KernelProduct(kernel, point, group)), group)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("rows", CASES)
@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.float64])
def test_a_tensor_is_streamed_as_it_is_read(
    rows: Rows, dtype: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks of any size give the bytes of the whole, rounded once from float64."""
    exact: npt.NDArray[Any] = _whole(rows).astype(dtype)
    for block in (1, 2 * exact[0].size, 1 << 19):
        monkeypatch.setattr(combination, "BLOCK", block)
        tensor = CombinedTensor(rows, np.dtype(dtype), external=False)
        assert tensor.refusal() is None
        np.testing.assert_allclose(tensor.numpy(), exact, rtol=1e-12 if dtype is np.float64 else 0)
        assert b"".join(tensor.chunks()) == tensor.numpy().tobytes() == tensor.tobytes()


@pytest.mark.parametrize(
    ("dtype", "numbers", "words"),
    [
        (np.float32, [1, 1e39, 1], "float32 in channel 1"),
        (np.float32, [np.nan, 1, 1e39], "float32 in channels 0, 2"),
        (np.float32, [1, 1e-40, 0], "float32 in channel 1"),
        (np.float16, [1, 7e4, 1], "float16 in channel 1"),
        (np.float16, [1, 1e-7, 0], "float16 in channel 1"),
    ],
)
def test_what_does_not_fit(dtype: type, numbers: list[float], words: str) -> None:
    """Overflow, NaN and what becomes subnormal are refused by channel; zero is fine."""
    rows = Scaled(np.array(numbers).reshape(3, 1), np.ones((1, 1)))
    refusal = CombinedTensor(rows, np.dtype(dtype), external=False).refusal()
    assert refusal is not None
    assert refusal.reason == f"the merged weight would not fit {words}"


def test_precision_lost_below_the_normal_numbers() -> None:
    """In fp16 a row of small numbers may be off by more than rounding explains, its largest normal."""
    numbers = np.full((2, 1000), 1.5e-7)
    numbers[:, 0] = 7e-5
    rows = Scaled(numbers, np.array([[1.0], [1e4]]))
    refusal = CombinedTensor(rows, np.dtype(np.float16), external=False).refusal()
    assert refusal is not None
    assert refusal.reason.endswith("float16 in channel 0")
    assert CombinedTensor(rows, np.dtype(np.float32), external=False).refusal() is None


def test_an_empty_tensor_fits() -> None:
    """No rows, nothing lost."""
    rows = Scaled(np.zeros((0, 3)), np.ones((1, 1)))
    tensor = CombinedTensor(rows, np.dtype(np.float32), external=False)
    assert tensor.refusal() is None
    assert tensor.numpy().shape == (0, 3)


def test_what_was_rounded_is_taken_before_rounding() -> None:
    """A scaled tensor and a sum give their float64 numbers; a product, or what is added to, what it stores."""
    third = np.full((1, 1), 1 / 3)
    value = ir.Value(name="w", const_value=ir.tensor(np.ones((2, 2), np.float32)))
    product = scaled(ScaledWeight(value, (2, 2), third), None)
    assert exact_rows(product, None).rows(0, 1)[0, 0] == 1 / 3
    shifted = scaled(ScaledWeight(value, (2, 2), third, third), None)
    assert exact_rows(shifted, None).rows(0, 1)[0, 0] == np.float32(2 / 3)
    total = CombinedTensor(
        Summed((Scaled(np.ones((2, 2)), third),)), np.dtype(np.float32), external=False
    )
    assert exact_rows(total, None).rows(0, 1)[0, 0] == 1 / 3
    ones = Scaled(np.ones((2, 2)), np.ones((1, 1)))
    chained = CombinedTensor(
        Product(ones, Scaled(np.ones((2, 2)), third)), np.dtype(np.float32), external=False
    )
    assert exact_rows(chained, None).rows(0, 1)[0, 0] == np.float32(2 / 3)
    assert exact_rows(None, np.ones((1, 1), np.float16)).rows(0, 1)[0, 0] == 1
    with pytest.raises(ValueError, match="found neither"):
        exact_rows(None, None)


def test_a_matrix_turned_and_multiplied() -> None:
    """Factors turn with the matrix."""
    matrix = _drawn(3, 2)
    np.testing.assert_array_equal(_whole(matrix.transposed()), _whole(matrix).T)
    np.testing.assert_allclose(_whole(matrix.times(-2.0)), -2 * _whole(matrix), rtol=1e-15)
