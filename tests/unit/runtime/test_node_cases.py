"""The oracle against ONNX's own node tests, for every operator that it has a kernel for."""

# ruff: noqa: ANN401  # arrays and attributes of every type

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from normonnx.runtime.kernels import KERNELS
from normonnx.runtime.oracle import evaluate

# What a case asks for that the oracle, by definition, does not do.
NARROW = ("FLOAT8", "FLOAT4", "e8m0")  # a cast to these rounds; ours is exact
RANDOM = ("bernoulli", "training_dropout")
TIES = ("dynamicquantizelinear",)  # a quotient of 0.5 in float32 only
BARE = frozenset({"Scatter", "SimplifiedLayerNormalization"})  # the suite has no case of these

Cases = Mapping[str, Sequence[Any]]


@pytest.fixture(scope="module")
def cases() -> Cases:
    """Node tests by operator: models of one node, or of the nodes of a function's body."""
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numpy's, about overflows that the cases are about
        every = collect_testcases(None)
    found = defaultdict(list)
    for case in every:
        if any(word in case.name for word in (*NARROW, *RANDOM, *TIES)):
            continue
        nodes = [] if case.model is None else case.model.graph.node
        for op_type in {node.op_type for node in nodes} & set(KERNELS):
            found[op_type].append(case)
    return found


def _plain(value: Any) -> Any:
    return onnx.numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value


def _agrees(found: Any, expected: Any) -> bool:
    if isinstance(expected, list):
        return all(_agrees(one, other) for one, other in zip(found, expected, strict=True))
    if np.shape(found) != expected.shape:
        return False
    if expected.dtype.kind not in "fV":
        return bool(np.array_equal(found, expected))
    tolerance = 1e-3 if expected.dtype.itemsize >= 4 else 2e-2  # as ONNX's own runner allows
    return np.allclose(
        found, expected.astype(np.float64), rtol=tolerance, atol=tolerance / 100, equal_nan=True
    )


def _failures(case: Any) -> list[str]:
    model = ir.from_proto(case.model)
    names = [value.name for value in model.graph.inputs]
    failed = []
    for inputs, outputs in case.data_sets:
        feeds = {str(n): _plain(x) for n, x in zip(names, inputs, strict=True) if x is not None}
        results = evaluate(model, feeds)
        for (name, found), expected in zip(results.items(), outputs, strict=True):
            if expected is not None and not _agrees(found, _plain(expected)):
                failed.append(f"{case.name}: output {name}")
    return failed


@pytest.mark.slow
@pytest.mark.parametrize("op_type", sorted(set(KERNELS) - BARE))
def test_every_node_case_of_an_operator_is_met(cases: Cases, op_type: str) -> None:
    """Each kernel meets all of ONNX's cases for its operator, expanded functions included."""
    failures = [failure for case in cases[op_type] for failure in _failures(case)]
    assert failures == []
    assert cases[op_type]


def test_the_comparison_can_fail() -> None:
    """A result off by one part in a hundred, or of another shape, is no agreement."""
    expected = np.linspace(1, 2, 6, dtype=np.float32).reshape(2, 3)
    assert _agrees(expected.astype(np.float64), expected)
    assert not _agrees(expected * 1.01, expected)
    assert not _agrees(expected.reshape(3, 2), expected)
