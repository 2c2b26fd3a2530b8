"""The float64 oracle: what a model computes if every floating-point number is a float64.

Nodes are evaluated in order; floating-point weights are promoted when a node reads them and each
value is freed after its last use, so at most the live values are held. Integers, booleans and
strings keep their type. Operators come from `kernels`, control flow and functions from here, the
rest from onnx's reference implementation.

A `Perturbation` moves inputs and weights by one roundoff of their own type, at random: how far the
outputs move is the model's noise floor. Numbers that are exact by intent (whole numbers,
exponents, sizes) are not moved; a cast to a narrower type is.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import onnx_ir as ir

from normonnx.core.dtypes import is_float, is_narrow
from normonnx.core.errors import InvalidModelError, NormonnxError, UnsupportedOperatorError
from normonnx.graph.folding import constant_attribute
from normonnx.runtime import blas, large_weights, reference, sizes
from normonnx.runtime.calls import check_calls
from normonnx.runtime.invocation import Array, Invocation
from normonnx.runtime.kernels import KERNELS_BY_DOMAIN
from normonnx.runtime.kernels.movement import MOVEMENTS, promoted
from normonnx.runtime.large_weights import LargeWeight, is_taken_in_slices
from normonnx.runtime.perturbation import Perturbation
from normonnx.runtime.precision import (
    Precision,
    declared_format,
    rounded,
    terms_in_a_sum,
)

__all__ = ["Perturbation", "evaluate"]

_STANDARD: Final = ("", "ai.onnx")
_CASTS: Final = frozenset({"Cast", "CastLike"})  # to a type below float32 they round
# Inputs that say where or how much, not what: moving them would change shapes and decisions.
_STEERING: Final[Mapping[str, frozenset[int]]] = {
    "Clip": frozenset({1, 2}),
    "NonMaxSuppression": frozenset({2, 3, 4}),
    "OneHot": frozenset({1, 2}),
    "Pad": frozenset({1, 2}),
    "Pow": frozenset({1}),
    "Range": frozenset({0, 1, 2}),
    "Resize": frozenset({1, 2, 3}),
    "Upsample": frozenset({1}),
}


# Operators whose constants are weights, whatever their size.
_DECLARABLE: Final[Mapping[str, str]] = {
    "f": "fractions",
    **dict.fromkeys("biu", "whole numbers"),
    **dict.fromkeys("OSU", "strings"),
}
_LEARNED: Final = frozenset(
    {
        "BatchNormalization",
        "Conv",
        "ConvTranspose",
        "Gemm",
        "GroupNormalization",
        "InstanceNormalization",
        "LayerNormalization",
        "MatMul",
        "PRelu",
        "RMSNormalization",
    }
)
# Sums of products: rounding what has been summed so far costs more than moving the terms, which
# averages out when all have one sign. A sum on its own (ReduceMean, pools) is not excused: a
# variance computed as E[x²] - E[x]² lives there.
_PRODUCTS: Final = frozenset({"Conv", "ConvTranspose", "Einsum", "Gemm", "MatMul"})
# Rounding of a sum of K products grows with sqrt(K) (Higham and Mary, 2019); kernels that sum in
# one go were measured at 0.29 sqrt(K) u rms, those that sum in blocks well below.
_PER_TERM: Final = 0.25
# Kernels compute these as 1/2 + tanh/2, or clamp their input: right to a roundoff of 1, not of the
# result.
_ABSOLUTE: Final = frozenset({"Sigmoid"})


Watch = Callable[[ir.Node, Sequence[Any], Sequence[Any]], Sequence[Any] | None]


@dataclass(slots=True, eq=False)
class _Scope:
    """Values known while one graph is evaluated, and the attributes of the function around it."""

    values: dict[int, Any]
    attributes: Mapping[str, ir.Attr]
    opsets: Mapping[str, int]


def evaluate(  # noqa: PLR0913
    model: ir.Model,
    feeds: Mapping[str, Any],
    *,
    perturb: Perturbation | None = None,
    keep: Collection[str] = (),
    narrow: bool = False,
    watch: Watch | None = None,
    inside: bool = False,
) -> dict[str, Any]:
    """Evaluate a model in float64.

    Args:
        model: The model; never changed.
        feeds: Array (or list of arrays, for a sequence) by graph input name; inputs with a default
            may be left out. Floating-point arrays are promoted.
        perturb: Move inputs and weights by one roundoff.
        keep: Names of further values of the main graph to return.
        narrow: Round every result in a type below float32 (float16, bfloat16, float8) to that type,
            as a runtime must; otherwise such types are no narrower than float64 here.
        watch: Called after each node of the main graph with the node, what it read and what it
            gave; what it returns, unless None, takes the place of what the node gave.
        inside: Call it after each node of subgraphs and functions as well.

    Returns:
        Graph outputs and `keep` by name; floating-point arrays are float64.

    Raises:
        InvalidModelError: The model can't be evaluated on these inputs: shapes don't fit, say.
        UnsupportedOperatorError: An operator is custom, or a value would not fit into memory.
    """
    with blas.quietly():
        run = _Run(model, perturb, narrow=narrow, watch=watch, inside=inside)
        return _evaluated(run, feeds, keep)


def _evaluated(run: _Run, feeds: Mapping[str, Any], keep: Collection[str]) -> dict[str, Any]:
    model = run.model
    check_calls(model)
    scope = _Scope({}, {}, model.opset_imports)
    for value in model.graph.inputs:
        name = value.name or ""
        if name in feeds:
            scope.values[id(value)] = run.moved_input(feeds[name])
        elif not value.is_initializer():
            message = f"no value was given for input {name!r}"
            raise InvalidModelError(message)
    kept = [v for node in model.graph for v in node.outputs if v.name in keep]
    found = run.graph(model.graph, scope, [*model.graph.outputs, *kept])
    for value, result in zip(model.graph.outputs, found, strict=False):
        _check_declared(value, result)
    names = [v.name or "" for v in (*model.graph.outputs, *kept)]
    return dict(zip(names, found, strict=True))


def _check_declared(value: ir.Value, result: Any) -> None:  # noqa: ANN401
    """Refuse an output that is declared to hold whole numbers and holds others, or likewise.

    Raises:
        InvalidModelError: No runtime loads such a model.
    """
    kind = str(getattr(getattr(result, "dtype", None), "kind", ""))
    if kind not in _DECLARABLE or value.dtype is None or value.dtype is ir.DataType.UNDEFINED:
        return
    declared = np.dtype(value.dtype.numpy())
    wanted = "f" if is_float(declared) else declared.kind
    if _DECLARABLE.get(wanted) not in (None, _DECLARABLE[kind]):
        message = (
            f"output {value.name!r} is declared {value.dtype}, and what is computed holds "
            f"{_DECLARABLE[kind]}; export the model again"
        )
        raise InvalidModelError(message)


class _Run:
    """One evaluation of one model."""

    def __init__(
        self,
        model: ir.Model,
        perturb: Perturbation | None,
        *,
        narrow: bool,
        watch: Watch | None = None,
        inside: bool = False,
    ) -> None:
        self.model = model
        self._watch = watch
        self._inside = inside
        self._perturb = perturb
        self._precision = Precision() if narrow or perturb is not None else None
        self._narrow = narrow
        self._last_uses: dict[int, dict[int, list[ir.Value]]] = {}
        self.looped = 0  # nodes evaluated in rounds of loops

    def moved_input(self, given: Any) -> Any:  # noqa: ANN401
        """A graph input in float64, moved by a roundoff of its own type if that is asked for."""
        if self._perturb is None or not hasattr(given, "dtype") or not is_float(given.dtype):
            return promoted(given)
        return self._perturb.moved(promoted(given), given.dtype)

    def graph(self, graph: ir.Graph, scope: _Scope, wanted: Sequence[ir.Value]) -> list[Any]:
        """Evaluate the nodes of a graph in order and return the wanted values."""
        needed = {id(value) for value in wanted}
        dying = self._dying(graph)
        for position, node in enumerate(graph):
            inputs = self._inputs(node, scope)
            results = self._node(node, inputs, scope)
            if self._precision is not None:
                results = self._in_type(node, results)
            if self._watch is not None and (self._inside or graph is self.model.graph):
                seen = self._watch(node, inputs, results)
                results = results if seen is None else seen
            for value, result in zip(node.outputs, results, strict=False):
                scope.values[id(value)] = promoted(result)
            for value in dying.get(position, ()):
                if id(value) not in needed:
                    scope.values.pop(id(value), None)
        return [self._read(value, scope, None, 0) for value in wanted]

    def _inputs(self, node: ir.Node, scope: _Scope) -> list[Any]:
        """What a node reads: most was computed before."""
        known = scope.values
        return [
            known[id(value)] if id(value) in known else self._read(value, scope, node, index)
            for index, value in enumerate(node.inputs)
        ]

    def _dying(self, graph: ir.Graph) -> dict[int, list[ir.Value]]:
        """Values of this graph by the position of the node that reads them last."""
        if id(graph) not in self._last_uses:
            last: dict[int, tuple[int, ir.Value]] = {}
            own = {id(value) for node in graph for value in node.outputs}
            own |= {id(value) for value in graph.inputs}
            for position, node in enumerate(graph):
                for value in dict.fromkeys((*node.outputs, *_read_by(node))):
                    if id(value) in own:
                        last[id(value)] = (position, value)
            found: dict[int, list[ir.Value]] = {}
            for position, value in last.values():
                found.setdefault(position, []).append(value)
            self._last_uses[id(graph)] = found
        return self._last_uses[id(graph)]

    def _read(self, value: ir.Value | None, scope: _Scope, node: ir.Node | None, index: int) -> Any:  # noqa: ANN401
        if value is None or not value.name:
            return None
        if id(value) in scope.values:
            return scope.values[id(value)]
        tensor = value.const_value
        if tensor is None or value.producer() is not None:
            message = f"{value.name!r} has no value"
            raise InvalidModelError(message)
        if isinstance(tensor, ir.StringTensor):
            return tensor.numpy()
        return self._weight(tensor.numpy(), node, index)

    def _weight(self, array: Array, node: ir.Node | None, index: int) -> Array | LargeWeight:
        """A constant in float64, moved unless it is exact by intent."""
        if node is not None and self._watch is None and is_taken_in_slices(node, index, array):
            return LargeWeight(array, lambda part: self._exactly(part, node, index))
        return self._exactly(array, node, index)

    def _exactly(self, array: Array, node: ir.Node | None, index: int) -> Array:
        exact: Array = promoted(array)
        if self._perturb is None or not is_float(array.dtype):
            return exact
        op_type = None if node is None else node.op_type
        if op_type not in _LEARNED and _is_whole(exact):
            return exact
        if index in _STEERING.get(op_type or "", ()):
            return exact
        return self._perturb.moved(exact, array.dtype)

    def _node(self, node: ir.Node, inputs: list[Any], scope: _Scope) -> Sequence[Any]:
        try:
            with np.errstate(all="ignore"):
                return self._dispatch(node, inputs, scope)
        except NormonnxError:
            raise
        except MemoryError:
            message = f"out of memory in {_described(node)}; validate with smaller inputs"
            raise UnsupportedOperatorError(message) from None
        except RuntimeError as error:  # numpy's: of more than 32 axes, say
            message = f"the oracle can't evaluate {_described(node)}: {error}"
            raise UnsupportedOperatorError(message) from None
        except (
            ValueError,
            IndexError,
            TypeError,
            KeyError,
            AttributeError,
            ArithmeticError,
        ) as error:
            shapes = [
                list(np.shape(x)) for x in inputs if x is not None and not isinstance(x, list)
            ]
            message = f"{_described(node)} can't be evaluated on inputs of shapes {shapes}: {error}"
            raise InvalidModelError(message) from error

    def _dispatch(self, node: ir.Node, inputs: list[Any], scope: _Scope) -> Sequence[Any]:
        attributes = _resolved(node, scope.attributes)
        function = self.model.functions.get(node.op_identifier())
        if function is not None:
            return self._function(function, inputs, attributes)
        domain = "" if node.domain in _STANDARD else node.domain
        if domain == "":
            if node.op_type in ("If", "Loop", "Scan"):
                from normonnx.runtime import control_flow  # it calls back

                return control_flow.run(self, node, attributes, (inputs, scope))
            if node.op_type == "Constant":
                return (self._constant(node, attributes, scope),)
        version = scope.opsets.get(node.domain, 0) or max(
            (scope.opsets.get(name, 0) for name in _STANDARD), default=0
        )
        results = _computed(Invocation(node, attributes, version), domain, inputs)
        if self._perturb is not None and domain == "":
            if node.op_type in _PRODUCTS and self._perturb.kernels:
                if results[0].dtype.kind != "f":
                    return results
                times = max(1.0, _PER_TERM * terms_in_a_sum(node, inputs) ** 0.5)
                dtype = declared_format(node.outputs[0])
                # What is narrower is summed in float32, and rounded once in the end: see _in_type.
                dtype = np.dtype(np.float32) if is_narrow(dtype) else dtype
                return (self._perturb.moved(results[0], dtype, times),)
            if node.op_type in _ABSOLUTE and self._perturb.kernels:
                return (self._perturb.shifted(results[0], declared_format(node.outputs[0])),)
        return results

    def _in_type(self, node: ir.Node, results: Sequence[Any]) -> Sequence[Any]:
        """Results in a type below float32: rounded to it, or moved by what that rounding costs."""
        if self._precision is None:
            return results
        kinds = self._precision.of_results(node)
        if not any(kinds):
            return results
        if self._narrow:
            pairs = zip(results, kinds, strict=False)
            return [one if kind is None else rounded(one, kind) for one, kind in pairs]
        computes = node.op_type not in MOVEMENTS
        if self._perturb is None or not (
            node.op_type in _CASTS or (computes and self._perturb.kernels)
        ):
            return results
        return [
            one if kind is None or not is_float(one.dtype) else self._perturb.moved(one, kind)
            for one, kind in zip(results, kinds, strict=False)
        ]

    def _constant(self, node: ir.Node, attributes: Mapping[str, ir.Attr], scope: _Scope) -> Any:  # noqa: ANN401
        array = constant_attribute(node)
        if array is None:
            return promoted(
                reference.run(Invocation(node, attributes, scope.opsets.get("", 1)), [])[0]
            )
        readers = list(node.outputs[0].uses())
        first = readers[0] if readers else None
        return self._weight(array, first.node if first else None, first.idx if first else 0)

    def _function(
        self, function: ir.Function, inputs: list[Any], attributes: Mapping[str, ir.Attr]
    ) -> list[Any]:
        scope = _Scope({}, {**function.attributes, **attributes}, function.opset_imports)
        for value, given in zip(function.inputs, inputs, strict=False):
            if given is not None:
                scope.values[id(value)] = given
        return self.graph(function.graph, scope, list(function.outputs))


def _resolved(node: ir.Node, outer: Mapping[str, ir.Attr]) -> dict[str, ir.Attr]:
    """The attributes of a node, references to those of the function around it replaced."""
    found = {}
    for name, attribute in node.attributes.items():
        if not attribute.is_ref():
            found[name] = attribute
            continue
        given = outer.get(attribute.ref_attr_name or "")
        if given is not None and given.value is not None:
            found[name] = ir.Attr(name, given.type, given.value)
    return found


def _computed(call: Invocation, domain: str, inputs: list[Any]) -> Sequence[Any]:
    """One operator, unless its result would not fit into memory."""
    if domain == "":
        sizes.check(call, inputs)
    if LargeWeight in map(type, inputs):
        return large_weights.kernel(call, inputs)
    kernel = KERNELS_BY_DOMAIN.get(domain, {}).get(call.node.op_type)
    return reference.run(call, inputs) if kernel is None else kernel(call, inputs)


def _is_whole(array: Array) -> bool:
    """Small constants that are whole numbers are meant exactly, unless they are learned weights."""
    small = 64
    return array.size <= small and bool(np.all(array == np.rint(array)))


def _read_by(node: ir.Node) -> Iterable[ir.Value]:
    """What a node reads, by itself or inside its subgraphs."""
    read = dict.fromkeys(node.inputs)
    read.pop(None, None)
    yield from read  # type: ignore[misc]  # None is gone
    for attribute in node.attributes.values():
        if attribute.is_ref():
            continue
        graphs: Sequence[ir.Graph] = ()
        if attribute.type == ir.AttributeType.GRAPH:
            graphs = (attribute.as_graph(),)
        elif attribute.type == ir.AttributeType.GRAPHS:
            graphs = attribute.as_graphs()
        for graph in graphs:
            yield from graph.outputs
            for inner in graph:
                yield from _read_by(inner)


def _described(node: ir.Node) -> str:
    return f"{node.op_type} {node.name or (node.outputs[0].name if node.outputs else '')!r}"
