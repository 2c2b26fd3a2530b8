"""ONNX's own node tests of every normalization operator, through the reference and every form.

Each case's node is read by the catalogue; what the case expects is held against the float64 reference,
against every form on ONNX Runtime, and against the function on onnx's own evaluator.
"""

from __future__ import annotations

import functools
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import onnx
import onnx.reference
import onnx_ir as ir
import pytest
from onnx.inliner import inline_local_functions

from normonnx.catalogue.call import NormCall
from normonnx.catalogue.contents import CATALOGUE
from normonnx.core.dtypes import unit_roundoff
from normonnx.runtime.invocation import Invocation
from normonnx.validation.measures import relative_error
from tests.unit.catalogue.uses import has_cpu_kernels, highest_opset, run

pytest.importorskip("onnxruntime", reason="forms run on it: install normonnx[cpu]")

LIMIT: Final = 16.0
OPERATORS: Final = (
    "BatchNormalization",
    "GroupNormalization",
    "InstanceNormalization",
    "LRN",
    "LayerNormalization",
    "LpNormalization",
    "MeanVarianceNormalization",
    "RMSNormalization",
)
_EXPANDED: Final = "the operator's function body spelled out: same numbers as the case of that name"


@dataclass(frozen=True)
class Case:
    """One node test.

    Attributes:
        name: As in ONNX.
        call: What the node asks of the catalogue.
        outputs: How many outputs the node has.
        inputs, expected: Arrays.
        opset: Of the model.
    """

    name: str
    call: NormCall
    outputs: int
    inputs: Sequence[np.ndarray[Any, Any]]
    expected: Sequence[np.ndarray[Any, Any]]
    opset: int


def _plain(value: Any) -> Any:  # noqa: ANN401  # arrays, or tensors
    return onnx.numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value


@functools.cache
def collected() -> tuple[Sequence[Case], Mapping[str, str]]:
    """All cases that apply, and why each other one doesn't."""
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        every = collect_testcases(None)
    found: list[Case] = []
    for case in every:
        nodes = [] if case.model is None else case.model.graph.node
        if len(nodes) == 1 and nodes[0].op_type in OPERATORS:
            found.extend(_cases(case))
    names = {case.name for case in found}
    spelled = {case.name: case.name.partition("_expanded")[0] for case in every}
    excluded = {name: _EXPANDED for name, base in spelled.items() if name != base and base in names}
    return found, excluded


def _cases(case: Any) -> Sequence[Case]:  # noqa: ANN401  # a test case of onnx
    model = ir.from_proto(case.model)
    node = model.graph[0]
    opset = model.opset_imports[""]
    found = []
    for number, (inputs, outputs) in enumerate(case.data_sets):
        arrays = [_plain(value) for value in inputs]
        invocation = Invocation(node, node.attributes, opset)
        reading = CATALOGUE.readers["", node.op_type](invocation, arrays)
        call = CATALOGUE[reading.norm].define(
            arrays[0].shape, arrays[0].dtype, **reading.parameters, **reading.attributes
        )
        name = f"{case.name}-{number}" if number else case.name
        expected = [_plain(value) for value in outputs]
        found.append(Case(name, call, len(node.outputs), arrays, expected, opset))
    return found


CASES = collected()[0]
IDS = [case.name for case in CASES]


def _error(found: Any, expected: Any) -> float:  # noqa: ANN401  # arrays
    u = unit_roundoff(expected.dtype)
    return relative_error(np.asarray(found, np.float64), expected.astype(np.float64), u)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_the_reference_meets_the_case(case: Case) -> None:
    """All outputs of the node, statistics included, within 16 roundoffs."""
    call = case.call
    given = {**call.parameters, **call.stored}
    found = call.norm.reference(case.inputs[0], **given, outputs=case.outputs)
    results = found if isinstance(found, tuple) else (found,)
    assert len(results) == len(case.expected)
    for one, other in zip(results, case.expected, strict=True):
        assert one.shape == other.shape
        assert _error(one, other) <= LIMIT


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_every_form_meets_the_case(case: Case) -> None:
    """On ONNX Runtime, at the case's opset and at others; a form with a caveat, too."""
    tried = Counter[str]()
    for opset in {13, 17, 21, min(case.opset, highest_opset()), highest_opset()}:
        names = [form.name for form in case.call.forms_at(opset) if has_cpu_kernels(form)]
        for name in [*names, "function"]:
            (found,) = run(case.call.model(name, opset=opset), {"X": case.inputs[0]})
            assert found.dtype == case.expected[0].dtype
            assert _error(found, case.expected[0]) <= LIMIT, (opset, name)
            tried[name] += 1
    assert len(tried) >= 2


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_functions_meet_the_case_on_the_evaluator(case: Case) -> None:
    """On onnx.reference, which shares no kernel with ONNX Runtime: the function and one chain.

    The function is inlined first: the evaluator hands references to attributes on to operators that
    don't expect them.
    """
    opset = 17
    chains = [f.name for f in case.call.forms_at(opset) if "chain" in f.name and not f.generic]
    for name in ["function", *chains[:1]]:
        model = inline_local_functions(ir.to_proto(case.call.model(name, opset=opset)))
        (found,) = onnx.reference.ReferenceEvaluator(model).run(None, {"X": case.inputs[0]})
        assert _error(found, case.expected[0]) <= LIMIT, name


def test_no_operator_is_left_out() -> None:
    """Every operator has cases, and every case that is left out a reason."""
    cases, excluded = collected()
    counted = Counter(case.call.norm.name for case in cases)
    assert set(counted) == {
        "BatchNorm",
        "BatchNormTraining",
        "GroupNorm",
        "InstanceNorm",
        "LocalResponseNorm",
        "LayerNorm",
        "LpNorm",
        "MeanVarianceNorm",
        "RMSNorm",
    }
    assert len(cases) >= 55
    names = {case.name for case in cases}
    for name, reason in excluded.items():
        assert reason
        assert name.split("_expanded")[0] in names
