"""The stages of a scaler as an ONNX model.

Statistics stay in float64, and so does what is between stages: with float32 in and out, X is
widened once and the result rounded once, so that a mean far above the spread takes no digits away.
One normalization on its own does this within its function.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np
import onnx_ir as ir

from normonnx.catalogue import emitting
from normonnx.catalogue.call import LOWEST, NormCall
from normonnx.catalogue.form import Form
from normonnx.catalogue.norm import DOMAIN, DOUBLE, FUNCTIONS_SINCE
from normonnx.core.errors import UsageError
from normonnx.core.version import VERSION
from normonnx.exporting.stages import Branches, Scaled, Scaling, Stage

FEATURES: Final = "normonnx.feature_names"  # in the metadata: names of the features, as JSON
TITLE: Final = "normonnx.scaler"  # what it was made of

DType = Literal["float32", "float64"]
ScalerStyle = Literal["function", "native", "primitive"]
DTYPES: Final[tuple[DType, ...]] = ("float32", "float64")
SCALER_STYLES: Final[tuple[ScalerStyle, ...]] = ("function", "native", "primitive")


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a scaler is to be written.

    Attributes:
        opset: Version of the default operator set.
        dtype: Type of X and Y.
        stash_type: Type that is computed in; never narrower than `dtype`.
        style: "function": calls of functions of the catalogue. "native": an operator of ai.onnx.ml
            where that is exact, else as "function". "primitive": neither.
        names: Of the input and the output.
    """

    opset: int
    dtype: DType = "float32"
    stash_type: DType = "float64"
    style: ScalerStyle = "function"
    names: tuple[str, str] = ("X", "Y")

    def check(self) -> None:
        """Refuse what makes no sense.

        Raises:
            UsageError: Saying what is expected.
        """
        _check_choice("style", self.style, SCALER_STYLES)
        if isinstance(self.opset, bool) or not isinstance(self.opset, int):
            message = f"opset is {self.opset!r}; expected a whole number"
            raise UsageError(message)
        emitting.check_known(self.opset)
        if self.opset < LOWEST:
            message = f"opset {self.opset} is not supported; expected {LOWEST} or later"
            raise UsageError(message)
        if self.opset < FUNCTIONS_SINCE and self.style == "function":
            message = (
                f"functions need opset {FUNCTIONS_SINCE} or later and {self.opset} was asked for; "
                "raise it, or use style='primitive'"
            )
            raise UsageError(message)
        if not all(self.names) or self.names[0] == self.names[1]:
            message = f"input and output are called {self.names}; expected two different names"
            raise UsageError(message)


def type_named(what: str, found: Any) -> DType:  # noqa: ANN401  # whatever was given
    """A type by its name, or as numpy knows it.

    Raises:
        UsageError: It is neither float32 nor float64.
    """
    try:
        name = "None" if found is None else np.dtype(found).name
    except TypeError:
        name = str(found)
    known = next((each for each in DTYPES if each == name), None)
    if known is None:
        message = f"{what} {name!r} is unknown; expected one of {', '.join(DTYPES)}"
        raise UsageError(message)
    return known


def _check_choice(what: str, found: object, known: Sequence[str]) -> None:
    if found not in known:
        message = f"{what} {found!r} is unknown; expected one of {', '.join(known)}"
        raise UsageError(message)


def model_of(scaling: Scaling, wanted: Wanted) -> ir.Model:
    """Write a scaler as a model of one input (N, features in) and one output (N, features out).

    Raises:
        UsageError: It can't be written as wanted.
    """
    wanted.check()
    kind = ir.DataType.from_numpy(np.dtype(wanted.dtype))
    x = ir.Value(name=wanted.names[0], type=ir.TensorType(kind), shape=_rows(scaling.width))
    inner = _inner_type(scaling, wanted)
    writer = _Writer(wanted, inner)
    y = x if inner == wanted.dtype else writer.cast(x, inner)
    y = writer.through(scaling.stages, y)
    if inner != wanted.dtype:
        y = writer.cast(y, wanted.dtype)
    if y is x:
        y = writer.node("Identity", [x])
    y.name, y.type, y.shape = wanted.names[1], ir.TensorType(kind), _rows(scaling.outgoing)
    graph = ir.Graph(
        [x],
        [y],
        nodes=writer.nodes,
        initializers=writer.initializers,
        name=scaling.title,
        opset_imports=writer.opsets,
    )
    model = ir.Model(
        graph,
        ir_version=next(least for since, least in emitting.IR_VERSIONS if wanted.opset >= since),
        producer_name="normonnx",
        producer_version=VERSION,
        functions=tuple(writer.functions.values()),
    )
    model.metadata_props[TITLE] = scaling.title
    if scaling.features:
        model.metadata_props[FEATURES] = json.dumps(list(scaling.features), ensure_ascii=False)
    return model


def _rows(width: int | None) -> ir.Shape:
    return ir.Shape(["N", "C" if width is None else width])


def _inner_type(scaling: Scaling, wanted: Wanted) -> DType:
    """The type between stages: what is computed in, where there are several."""
    if scaling.depth <= 1 or wanted.stash_type == "float32":
        return wanted.dtype
    return "float64"


@dataclass(slots=True)
class _Writer:
    """Writes nodes, in order, with names after those of stages."""

    wanted: Wanted
    inner: DType
    nodes: list[ir.Node] = field(default_factory=list)
    initializers: list[ir.Value] = field(default_factory=list)
    functions: dict[ir.OperatorIdentifier, ir.Function] = field(default_factory=dict)
    opsets: dict[str, int] = field(init=False)
    names: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Every name but those of input and output is free; one operator set is used."""
        self.opsets = {"": self.wanted.opset}
        self.names |= {*self.wanted.names}

    def through(self, stages: Sequence[Stage], x: ir.Value) -> ir.Value:
        """The result of stages."""
        for stage in stages:
            x = self._branches(stage, x) if isinstance(stage, Branches) else self._scaled(stage, x)
        return x

    def node(
        self, op_type: str, inputs: Sequence[ir.Value], name: str = "", **more: int
    ) -> ir.Value:
        """One node of ONNX's own domain."""
        attributes = [ir.AttrInt64(key, value) for key, value in more.items()]
        made = ir.Node("", op_type, inputs, attributes, name=self._free(name or op_type))
        self.nodes.append(made)
        return self._named(made)

    def cast(self, x: ir.Value, dtype: DType) -> ir.Value:
        """In another type."""
        kind = ir.DataType.from_numpy(np.dtype(dtype))
        return self.node("Cast", [x], f"Cast_to_{dtype}", to=int(kind))

    def _branches(self, stage: Branches, x: ir.Value) -> ir.Value:
        parts = []
        for number, branch in enumerate(stage.branches):
            part = x
            if branch.columns != tuple(range(stage.width)):
                columns = np.asarray(branch.columns, np.int64)
                chosen = self._constant(columns, f"{stage.name}/columns_{number}")
                part = self.node("Gather", [x, chosen], f"{stage.name}/Gather_{number}", axis=1)
            parts.append(self.through(branch.stages, part))
        if not parts:
            message = f"{stage.name} drops every feature, so nothing is left to export"
            raise UsageError(message)
        if len(parts) == 1:
            return parts[0]
        return self.node("Concat", parts, f"{stage.name}/Concat", axis=1)

    def _scaled(self, stage: Scaled, x: ir.Value) -> ir.Value:
        call = stage.call(self.inner, self.wanted.stash_type)
        parameters = [
            self._constant(np.asarray(call.parameters[each.name]), f"{stage.name}/{each.name}")
            for each in call.norm.parameters
        ]
        native = self._native(stage)
        form = native.norm.form("native") if native is not None else _form(call, self.wanted)
        call = call if native is None else native
        if form is None:
            return self._called(call, [x, *parameters], stage.name)
        if x.dtype is None:
            x.dtype = ir.DataType.from_numpy(np.dtype(self.inner))
        traced = emitting.trace(call, form, self.wanted.opset, [x, *parameters])
        for constant in traced.constants:
            self._store(constant, f"{stage.name}/constant")
        for node in traced.nodes:
            node.name = self._free(f"{stage.name}/{node.op_type}")
            self._named(node)
            self.nodes.append(node)
            if node.domain:
                self.opsets[node.domain] = emitting.VERSIONS[node.domain]
        read = {id(value) for node in self.nodes for value in node.inputs}
        self.initializers = [value for value in self.initializers if id(value) in read]
        return traced.outputs[0]

    def _native(self, stage: Scaled) -> NormCall | None:
        """The use that an operator of ai.onnx.ml is, where it is wanted and exact."""
        if self.wanted.style != "native" or self.inner != "float32" or not is_exact(stage):
            return None
        call = stage.call("float32", "float32")
        forms = call.forms_at(self.wanted.opset)
        return call if any(form.native for form in forms) else None

    def _called(self, call: NormCall, inputs: Sequence[ir.Value], name: str) -> ir.Value:
        function = emitting.function(call.norm, self.wanted.opset)
        self.functions.setdefault(function.identifier(), function)
        self.opsets[DOMAIN] = 1
        attributes = emitting.call_attributes(call, self.wanted.opset).values()
        made = ir.Node(DOMAIN, call.norm.name, inputs, attributes, name=self._free(name))
        self.nodes.append(made)
        return self._named(made)

    def _constant(
        self, array: np.ndarray[tuple[int, ...], np.dtype[np.generic]], name: str
    ) -> ir.Value:
        tensor = ir.tensor(array)
        value = ir.Value(
            type=ir.TensorType(tensor.dtype), shape=ir.Shape(array.shape), const_value=tensor
        )
        return self._store(value, name)

    def _store(self, value: ir.Value, name: str) -> ir.Value:
        value.name = self._free(name)
        self.initializers.append(value)
        return value

    def _named(self, node: ir.Node) -> ir.Value:
        value = node.outputs[0]
        value.name = self._free(f"{node.name}/output")
        return value

    def _free(self, name: str) -> str:
        """The name, with a number where it is taken."""
        found, number = name, 0
        while found in self.names:
            number += 1
            found = f"{name}_{number}"
        self.names.add(found)
        return found


def _form(call: NormCall, wanted: Wanted) -> Form | None:
    """The form to write; None for a call of the function."""
    if wanted.style == "function":
        return None
    forms = call.forms_at(wanted.opset)
    if wanted.style == "native" and wanted.opset >= FUNCTIONS_SINCE:
        return None
    wide = call.attributes["stash_type"] == DOUBLE
    stash = ir.DataType.DOUBLE if wide else ir.DataType.FLOAT
    plain = [form for form in forms if form.primitive and form.working in (None, stash)]
    if plain:
        return plain[-1 if wide else 0]  # in float64 the shortest loses nothing
    message = (
        f"{call.norm.name} computed in {wanted.stash_type} can't be written in primitive operators "
        f"for {call.dtype}; use stash_type='float64'"
    )
    raise UsageError(message)


def is_exact(stage: Scaled) -> bool:
    """Whether ai.onnx.ml's Scaler, (x - offset) scale in float32, divides as scikit-learn does.

    Its offset is a float32, and dividing by a power of 2 is multiplying by another. Its Normalizer
    sums in float32, and divides by any norm but 0.
    """
    if stage.norm.name not in ("StandardScaler", "RobustScaler"):
        return False
    given = {name: np.asarray(found, np.float64) for name, found in stage.given.items()}
    halves = np.frexp(given.pop("scale", np.ones(1)))[0] == 0.5  # noqa: PLR2004
    with np.errstate(over="ignore"):
        held = [(found == found.astype(np.float32)).all() for found in given.values()]
    return bool(halves.all() and all(held))
