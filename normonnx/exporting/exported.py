"""An export from a module to a model: trace, write, recognise, move to an opset, write in a style.

What judges the result is handed in, as is what evaluates constants in float64.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Protocol

import onnx_ir as ir

from normonnx.core.copying import copied
from normonnx.core.errors import UsageError
from normonnx.core.events import Event
from normonnx.core.exports import ExportReport, NormExported
from normonnx.exporting import adopting, arguments, dynamic, styles, tracing, weights
from normonnx.exporting.arguments import Example
from normonnx.exporting.capturing import Capture
from normonnx.exporting.constants import Evaluate, evaluate_weights
from normonnx.exporting.witnesses import check_against_torch
from normonnx.fold.rules import rewrite
from normonnx.graph.walk import label
from normonnx.lower import opsets

if TYPE_CHECKING:
    from torch import nn

    from normonnx.core.verdicts import ValidationReport

REPORT: Final = "normonnx.export"  # key in the model's meta
_SITE: Final = "normonnx.exported"
_BATCH_NORM: Final = "BatchNormalization"


class Verifier(Protocol):
    """Judges a model against the module that it was exported from."""

    def __call__(
        self, model: ir.Model, module: nn.Module, example: Example, *, training: bool
    ) -> ValidationReport:
        """The verdict on the example, and on what else the judge thinks of."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to export; see `normonnx.export`."""

    opset: int | None = None
    style: str = "native"
    highest: int = 23
    dynamic: dynamic.Dynamic = None
    dynamic_shapes: Any = None
    input_names: Sequence[str] | None = None
    output_names: Sequence[str] | None = None
    fold: bool = False
    training: bool = False
    table: Mapping[Any, Any] | None = None


@dataclass(frozen=True, slots=True)
class Judges:
    """What an export is handed.

    Attributes:
        evaluate: Gives what a model without inputs computes, in float64.
        verify: Judges the result against the module; None for no check.
    """

    evaluate: Evaluate
    verify: Verifier | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Exported:
    """A model, and how it came about."""

    model: ir.Model
    report: ExportReport


@dataclass(slots=True)
class _Work:
    """What is found out on the way."""

    model: ir.Model
    notes: list[str] = field(default_factory=list)
    refused: list[Event] = field(default_factory=list)
    folded: list[Event] = field(default_factory=list)


def run(
    module: nn.Module,
    args: Any,  # noqa: ANN401
    kwargs: Mapping[str, Any] | None,
    options: Options,
    judges: Judges,
) -> Exported:
    """Export a module, which stays as it is.

    Raises:
        UsageError: An option has no such value, the module can't be called so, is in training
            mode, or torch can't export it.
    """
    _check(options)
    arguments.check_training(module, training=options.training)
    tried = copied(module) if options.training else module  # running statistics would move
    example = arguments.example_of(tried, args, kwargs)
    own, computed = weights.evaluated(module)
    arguments.name_keywords(own, example)
    capture = Capture()
    shapes, axes, traced_on = _dynamic(options, example)
    program = tracing.traced(own, traced_on.args, traced_on.kwargs, shapes, capture)
    torch_made = tracing.written(program, own, options.table)
    work = _Work(torch_made.model, [f"{name} was evaluated" for name in computed])
    own_names = {name for name, _ in (*own.named_parameters(), *own.named_buffers())}
    adopting.complete(work.model)
    adopting.forget_places(work.model)
    work.notes += [
        f"{name} was evaluated" for name in evaluate_weights(work.model, judges.evaluate)
    ]
    named = [name for name in work.model.graph.initializers if name in own_names]
    work.model = tracing.optimized(torch_made, named)
    called = {id(node) for node in adopting.calls(work.model)}
    _mark(work.model, called)
    adopting.declare(work.model, adopting.opset_of(work.model))
    checked = check_against_torch(capture.sites, work.notes)
    work.notes += capture.left
    _write(work, options)
    _name(work.model, options, example, axes)
    report = ExportReport(
        opset=adopting.opset_of(work.model),
        style=options.style,
        norms=_norms(work.model),
        folded=tuple(work.folded),
        refused=tuple(work.refused),
        checked=checked,
        dynamic=axes,
        notes=tuple(work.notes),
    )
    if judges.verify is not None:
        verified = judges.verify(work.model, module, example, training=options.training)
        report = replace(report, verification=verified)
    work.model.meta[REPORT] = report
    return Exported(work.model, report)


def _check(options: Options) -> None:
    styles.check_style(options.style)
    if options.opset is not None and not styles.LOWEST <= options.opset <= options.highest:
        message = (
            f"opset {options.opset} is not supported for export; expected {styles.LOWEST} to "
            f"{options.highest}, the highest that the runtime here loads"
        )
        raise UsageError(message)
    if options.dynamic is not None and options.dynamic_shapes is not None:
        message = "dynamic and dynamic_shapes say the same in two ways; give one of them"
        raise UsageError(message)


def _dynamic(options: Options, example: Example) -> tuple[Any, dict[str, dict[int, str]], Example]:
    """What torch is told of dimensions, what they are called, and the example to trace on."""
    if options.dynamic_shapes is not None:
        shapes, axes = dynamic.given_names(options.dynamic_shapes, example.inputs)
        return shapes, axes, example
    axes = dynamic.asked(options.dynamic, example.inputs)
    if not axes:
        return None, {}, example
    wide = [dynamic.widened(x, axes.get(name, {})) for name, x in example.inputs.items()]
    traced_on = example.having(wide)
    shapes = dynamic.specification(traced_on.bound, list(example.inputs), axes)
    return shapes, axes, traced_on


def _mark(model: ir.Model, called: set[int]) -> None:
    """Note on nodes that they were calls of torch's."""
    for node in adopting.calls(model):
        if id(node) in called:
            node.metadata_props[_SITE] = "called"


def _write(work: _Work, options: Options) -> None:
    """Recognise, fold, move, and write in the style."""
    model = work.model
    applied, refused = styles.recognised(model)
    del applied
    work.refused += refused
    if options.fold:
        styles.write_natives(model, ["BatchNorm"])
        done = rewrite(model, only=(_BATCH_NORM,))
        work.folded += done.applied
        work.refused += done.refused
        styles.recognised(model)
    adopting.name_nodes(model, list(adopting.calls(model)))
    highest = max(options.highest, tracing.WRITTEN_IN)
    opset = options.opset or styles.lowest_native(model, highest)
    if opset != adopting.opset_of(model):
        opsets.move(model, opset)
    adopting.declare(model, opset)
    _remember(model)
    styles.as_asked(model, options.style)
    adopting.declare(model, opset)
    adopting.only_used_domains(model)


def _remember(model: ir.Model) -> None:
    """Note on each call which normalization it is: in another style that can't be seen."""
    for node in adopting.calls(model):
        found = node.metadata_props.get(_SITE, "recognised")
        node.metadata_props[_SITE] = f"{node.op_type} {found}"


def _name(
    model: ir.Model, options: Options, example: Example, axes: Mapping[str, Mapping[int, str]]
) -> None:
    """Names of inputs, outputs and dimensions."""
    adopting.separate_outputs(model)
    names = list(example.inputs)
    if len(names) == len(model.graph.inputs):
        adopting.name_inputs(model, names)
    dynamic.rename(model, axes)
    adopting.name_inputs(model, options.input_names)
    outputs = list(options.output_names or ())
    rest = [name for name in example.outputs[len(outputs) :] if name not in outputs]
    adopting.name_outputs(model, [*outputs, *rest][: len(model.graph.outputs)])


def _norms(model: ir.Model) -> tuple[NormExported, ...]:
    """The normalizations as they stand in the graph, and no note of them there any more."""
    found = []
    for node in model.graph.all_nodes():
        said = node.metadata_props.pop(_SITE, None)
        if said is None:
            continue
        norm, _, how = said.partition(" ")
        if adopting.is_call(node):
            written = f"{node.domain}::{node.op_type}"
        else:
            native = norm.removesuffix("Norm").lower() in node.op_type.lower()
            written = node.op_type if native or "Norm" in node.op_type else "primitives"
        path = adopting.module_path(node)
        found.append(
            NormExported(
                norm, path, label(node), written, "called" if how == "called" else "recognised"
            )
        )
    return tuple(found)
