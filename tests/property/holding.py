"""What must hold of a drawn spelling: that it is found and nothing wrong is, and stays the function."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
from onnx import numpy_helper

from normonnx.catalogue.norm import DOMAIN
from normonnx.core.dtypes import is_float, unit_roundoff
from normonnx.recognize.finding import find
from normonnx.recognize.findings import Findings, Found
from normonnx.recognize.passes import recognize
from normonnx.runtime.oracle import evaluate
from tests.property.drawn_norms import Spec
from tests.property.spellings import Spelled
from tests.rewriting import FLOORS, _mean_square, _tensors_of, feeds_of, graphs_of, passes_in_full

CLOSE: Final = 2.0**-6  # what numbers in a narrow type may be off
LEAST_ROUNDOFF: Final = 2.0**-24


def check_hit(drawn: Spelled) -> None:
    """Each normalization is found, with its attributes and parameters, and is one call then."""
    model = ir.from_proto(drawn.model)
    findings = find(model).only(affine=False)
    missed = [miss.reason for miss in findings.near_misses]
    names = [found.call.norm.name for found in findings.norms]
    wanted = [spec.norm for spec in drawn.specs]
    assert len(names) == len(wanted), f"{names} in place of {wanted}: {missed}"
    for found, spec in zip(findings.norms, drawn.specs, strict=True):
        check_same_norm(found, spec, alone=len(names) == 1)
    rewritten = check_rewrite(drawn.model)
    left = [
        f"{node.op_type} {node.name}"
        for graph in graphs_of(rewritten)
        for node in graph.node
        if node.name.startswith("core_")
        and node.domain != DOMAIN
        and graph not in rewritten.functions
    ]
    whole = all(
        found.call.norm.name == spec.norm
        for found, spec in zip(findings.norms, drawn.specs, strict=True)
    )
    assert not left or not whole, f"what is left of it: {left}"


def check_same_norm(found: Found, spec: Spec, *, alone: bool) -> None:
    """It is the one that was drawn, or another name for the same function.

    Of two in a row the second may have taken what the first only shifts by.
    """
    call = found.call
    assert call.norm.name in spec.accepted, f"{call.norm.name} in place of {spec.norm}"
    if call.norm.name != spec.norm:
        return
    for name, value in spec.attributes.items():
        close = np.allclose(call.attributes[name], value, rtol=CLOSE, atol=0.0)
        assert close, f"{name} is {call.attributes[name]} in place of {value}"
    for name, array in spec.parameters.items() if alone else ():
        given = call.parameters[name]
        assert not isinstance(given, tuple), f"{name} is no constant"
        numbers = given.astype(np.float64), array.astype(np.float64)
        assert np.allclose(*numbers, rtol=CLOSE, atol=CLOSE), f"{name} is {given}"


def check_near_miss(drawn: Spelled) -> Findings:
    """Nothing that is found contains what was done wrong, and what is made of it is the same."""
    findings = find(ir.from_proto(drawn.model))
    for found in findings.norms:
        inside = {str(node.name) for node in found.region.nodes}
        wrong = (
            [] if found.extras else sorted(inside & drawn.wrong)
        )  # LayerNorm gives its mean, too
        assert not wrong, f"{found.call.norm.name} in spite of {drawn.fault}: {wrong}"
    if findings.norms:
        check_rewrite(drawn.model)
    return findings


def check_rewrite(original: onnx.ModelProto) -> onnx.ModelProto:
    """Recognising gives a legal model of the same function and interface, and has an end."""
    model = ir.from_proto(original)
    assert recognize(model).applied
    proto = ir.to_proto(model)
    assert list(proto.graph.input) == list(original.graph.input)
    assert list(proto.graph.output) == list(original.graph.output)
    onnx.checker.check_model(proto)
    if passes_in_full(original):
        onnx.checker.check_model(proto, full_check=True)
    again = ir.from_proto(proto)
    assert not recognize(again).applied, "a second run finds more"
    assert ir.to_proto(again).SerializeToString(deterministic=True) == proto.SerializeToString(
        deterministic=True
    )
    for feeds in feeds_of(original):
        check_same_results(original, proto, feeds)
    return proto


def check_same_results(
    was: onnx.ModelProto, now: onnx.ModelProto, feeds: Mapping[str, npt.NDArray[Any]]
) -> None:
    """Both models agree in float64 within a few noise floors of the first; so do what is not finite."""
    truth, result = evaluate(ir.from_proto(was), feeds), evaluate(ir.from_proto(now), feeds)
    draws = [_moved(was, feeds, np.random.default_rng(seed)) for seed in range(2)]
    for name, expected in truth.items():
        assert result[name].shape == expected.shape
        finite = np.isfinite(expected)
        assert np.array_equal(finite, np.isfinite(result[name])), f"{name} is not finite elsewhere"
        squares = [_mean_square((draw[name] - expected)[finite]) for draw in draws]
        floor = float(np.sqrt(np.mean(squares)))
        error = float(np.sqrt(_mean_square((result[name] - expected)[finite])))
        assert error <= FLOORS * floor, f"{name} is off by {error:.3g}, the floor is {floor:.3g}"


def _moved(
    model: onnx.ModelProto, feeds: Mapping[str, npt.NDArray[Any]], random: np.random.Generator
) -> dict[str, npt.NDArray[Any]]:
    """What a model computes when every number in it is moved by one roundoff.

    Of float32 at least, in which ONNX keeps the attributes of a normalization. Exponents stay.
    """
    moved = onnx.ModelProto()
    moved.CopyFrom(model)
    for tensor in _tensors_of(moved):
        array = numpy_helper.to_array(tensor)
        if is_float(array.dtype) and not (
            array.size == 1 and float(array.reshape(-1)[0]) in {1, 2}
        ):
            tensor.CopyFrom(numpy_helper.from_array(_noisy(array, random), tensor.name))
    inputs = {name: _noisy(x, random) if is_float(x.dtype) else x for name, x in feeds.items()}
    return evaluate(ir.from_proto(moved), inputs)


def _noisy(array: npt.NDArray[Any], random: np.random.Generator) -> npt.NDArray[Any]:
    unit = max(unit_roundoff(array.dtype), LEAST_ROUNDOFF)
    return np.asarray(array.astype(np.float64) * (1 + random.uniform(-1, 1, array.shape) * unit))
