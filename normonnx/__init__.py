"""normonnx: ONNX export and inference optimization for normalizations.

The public API. Importing it loads neither torch nor onnxruntime; heavy modules are imported by the
functions that need them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from normonnx.core.benchmark import BenchReport
from normonnx.core.costs import CostTable
from normonnx.core.errors import (
    ExitCode,
    InvalidModelError,
    MismatchError,
    NormonnxError,
    UnavailableError,
    UnsupportedOperatorError,
    UsageError,
)
from normonnx.core.events import Event, Obstacle, OptimizeReport
from normonnx.core.exports import ExportReport, NormExported
from normonnx.core.inspection import AffineFound, Inspection, NormFound
from normonnx.core.node_errors import NodeError, NodeErrors
from normonnx.core.verdicts import (
    BackendRun,
    Comparison,
    Divergence,
    NodePlacement,
    Statistics,
    Tolerance,
    ValidationReport,
    Verdict,
)
from normonnx.core.version import VERSION

if TYPE_CHECKING:
    import numpy.typing as npt
    import onnx
    import onnx_ir as ir
    import torch

    from normonnx.catalogue.contents import Catalogue
    from normonnx.core.kernels import Kernels
    from normonnx.lower.targets import Target
    from normonnx.pipeline import Judges, OptimizeResult
    from normonnx.prepending import Compared, PrependResult
    from normonnx.validation.answers import Limits
    from normonnx.validation.rewrites import Rewrites

    Model = str | os.PathLike[str] | onnx.ModelProto | ir.Model
    Inputs = str | os.PathLike[str] | Mapping[str, npt.NDArray[Any]]

    norms: Catalogue

__version__ = VERSION

__all__ = [
    "AffineFound",
    "BackendRun",
    "BenchReport",
    "Comparison",
    "CostTable",
    "Divergence",
    "Event",
    "ExitCode",
    "ExportReport",
    "Inspection",
    "InvalidModelError",
    "MismatchError",
    "NodeError",
    "NodeErrors",
    "NodePlacement",
    "NormExported",
    "NormFound",
    "NormonnxError",
    "Obstacle",
    "OptimizeReport",
    "Statistics",
    "Tolerance",
    "UnavailableError",
    "UnsupportedOperatorError",
    "UsageError",
    "ValidationReport",
    "Verdict",
    "bench",
    "compare",
    "export",
    "export_scaler",
    "fold_batch_norm",
    "inspect",
    "load",
    "norms",
    "optimize",
    "prepend",
    "record",
    "save",
    "tune",
    "validate",
]


def __getattr__(name: str) -> Catalogue:
    """`normonnx.norms`: the catalogue, loaded when it is asked for.

    A Mapping from name to normalization: `normonnx.norms["GroupNorm"].reference(x, num_groups=4)`.
    """
    if name == "norms":
        from normonnx.catalogue.contents import CATALOGUE

        return CATALOGUE
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)


def load(path: str | os.PathLike[str]) -> ir.Model:
    """Load an ONNX file; weights stay memory-mapped until they are read.

    Args:
        path: The .onnx file. External data must lie beside or below it.

    Returns:
        The model as onnx_ir.Model. Keep the file in place while the model is in use.

    Raises:
        UsageError: There is no such file, or it can't be read.
        InvalidModelError: The file is damaged, is not ONNX, has an opset below 7 or newer than the
            onnx package, or its external data is missing, too short or outside the model's folder.
    """
    from normonnx.graph import files

    return files.load(path)


def save(
    model: ir.Model,
    path: str | os.PathLike[str],
    *,
    force: bool = False,
    share_data: bool = False,
) -> None:
    """Write a model to a file, whole or not at all.

    Args:
        model: What to write; not changed. Weights are streamed, in order, so the same model gives
            the same bytes. External data goes to one file named after the model.
        path: The .onnx file. An existing file is replaced at the very end.
        force: Allow replacing the file that `model` was loaded from.
        share_data: Leave unchanged weights in the files that `model` was loaded from, and write
            only the others, to one data file. The new model needs those files from then on; it has
            to stand in their folder.

    Raises:
        UsageError: The path can't be written, is the file that the model was loaded from, or holds
            weights that another model in its folder shares; or there is nothing to share there.
    """
    from normonnx.graph import files

    files.save(model, path, force=force, share_data=share_data)


def optimize(  # noqa: PLR0913
    model: Model,
    *,
    target: str = "portable",
    style: Literal["function", "native", "primitive"] | None = None,
    prefer: Literal["speed", "accuracy"] = "speed",
    opset: int | None = None,
    keep: Sequence[str] = (),
    keep_inputs: Sequence[str] = (),
    passes: Sequence[str] | None = None,
    verify: Literal["final", "each"] | None = None,
) -> OptimizeResult:
    """Fold what folds, and write each normalization in the form that the target runs best.

    Args:
        model: A path, a ModelProto or an onnx_ir.Model; what is passed in is never modified.
        target: Where the model will run; see `normonnx list targets`. Forms are chosen by what was
            measured there; "portable" takes standard ONNX operators only, and none that is slower
            in any table than what it replaces.
        style: "function" makes each normalization, however it was spelled, one call of its function
            normonnx::NAME (opset 13 or later); "native" takes ONNX's own operator wherever there
            is one; "primitive" takes no normalization operator at all; None lets the target choose.
        prefer: "speed", or "accuracy" for forms that are right at any mean of their input: within
            16 roundoffs up to a mean of 1e4 times the spread.
        opset: Version of ONNX's operators that the result is to have, 7 or later; None keeps the
            model's.
        keep: Names of nodes or values that must stay as they are, or patterns such as 'head.*'.
        keep_inputs: IR version 3 only: initializers that you override at run time.
        passes: Names of passes to run, see `normonnx list passes`; None for all.
        verify: "final" checks the result against the original in float64; "each" also checks every
            rewrite over the nodes that it changed, and names one that is wrong; None does not
            check. The outcome is in `report.verification`, and `report.checked` counts rewrites.

    Returns:
        OptimizeResult(model, report).

    Raises:
        UsageError: An option has no such value, `keep` names nothing in the model, or an operator
            of the model can't be written at `opset`.
        InvalidModelError: As `load`.
    """
    from normonnx.lower.targets import TARGETS
    from normonnx.pipeline import Options, run

    known = TARGETS.get(target)
    options = Options(
        target=target,
        style=style,
        prefer=prefer,
        opset=opset,
        kernels=_kernels_for(known),
        highest=None if opset is None else _highest_of(known),
        keep=tuple(keep),
        keep_inputs=tuple(keep_inputs),
        passes=None if passes is None else tuple(passes),
        verify=verify,
    )
    return run(model, options, _judges())


def fold_batch_norm(
    model: Model,
    *,
    keep: Sequence[str] = (),
    keep_inputs: Sequence[str] = (),
    verify: Literal["final", "each"] | None = None,
) -> OptimizeResult:
    """Fold each inference BatchNormalization into the operator before it, and nothing else.

    A Mul, Add, Sub, Div or Neg by channel constants goes along where it lies between the two.

    Args:
        model: A path, a ModelProto or an onnx_ir.Model; what is passed in is never modified.
        keep: Names of nodes or values that must stay as they are, or patterns such as 'head.*'.
        keep_inputs: IR version 3 only: initializers that you override at run time.
        verify: As in `optimize`.

    Raises:
        UsageError, InvalidModelError: As `optimize`.
    """
    from normonnx.pipeline import BATCH_NORM, Options, run

    options = Options(
        keep=tuple(keep), keep_inputs=tuple(keep_inputs), only=BATCH_NORM, verify=verify
    )
    return run(model, options, _judges())


def export(  # noqa: PLR0913
    module: torch.nn.Module,
    args: Any = (),  # noqa: ANN401  # a tensor, or whatever the module takes
    path: str | os.PathLike[str] | None = None,
    *,
    kwargs: Mapping[str, Any] | None = None,
    opset: int | None = None,
    style: Literal["native", "function", "primitive"] = "native",
    dynamic: str | Mapping[str, Mapping[int, str] | Sequence[str]] | None = None,
    dynamic_shapes: Any = None,  # noqa: ANN401  # torch's nested structure
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    fold: bool = False,
    training: bool = False,
    verify: bool = True,
    custom_translation_table: Mapping[Any, Any] | None = None,
) -> ir.Model:
    """Export a torch module with each of its normalizations in one piece, and check the result.

    Layers, calls of torch.nn.functional and what is spelled by hand alike become one node each:
    ONNX's own operator where it means the same at the opset, else a call of the catalogue's
    function normonnx::NAME. Weight norm, spectral norm and weights that are standardized are
    evaluated, in float64. The module stays as it is.

    Args:
        module: In eval mode.
        args: What it is called with, by position: a tensor or a tuple; or a dict, by name.
        path: The .onnx file to write; None for none.
        kwargs: What it is called with by name.
        opset: Version of ONNX's operators, from 13 to the highest that ONNX Runtime here loads;
            None for the lowest at which every normalization that has an operator of ONNX's own is
            that.
        style: "native", "function" for calls of the catalogue's functions alone, or "primitive"
            for neither.
        dynamic: Dynamic dimensions: a name for the first axis of all inputs, such as "batch"; or
            for inputs by name {axis: name}, or a name for each axis and None where it is fixed.
        dynamic_shapes: The same as torch.export takes it.
        input_names: Other names for the inputs; by default `forward`'s.
        output_names: Other names for the outputs; by default the keys of what is returned, or
            "output".
        fold: Fold BatchNorm into the linear operators before it; kept by default.
        training: Export a module in training mode as it is, with the batch's own statistics.
        verify: Compare with the module, both in float64.
        custom_translation_table: As torch.onnx.export takes it.

    Returns:
        The model; `model.meta["normonnx.export"]` is an ExportReport.

    Raises:
        UsageError: The arguments don't fit the module, it is in training mode, it decides by the
            numbers in a tensor or has an operator that torch can't export, or an option has no such
            value.
        MismatchError: The result is not the same function; names the submodule where that begins.
        UnavailableError: torch is not installed.
    """
    from normonnx.checked_export import export as exported

    return exported(
        module,
        args,
        kwargs,
        path,
        opset=opset,
        style=style,
        dynamic=dynamic,
        dynamic_shapes=dynamic_shapes,
        input_names=input_names,
        output_names=output_names,
        fold=fold,
        training=training,
        verify=verify,
        table=custom_translation_table,
    )


def inspect(model: Model) -> Inspection:
    """Find every normalization of a model, and whether it can be folded or why not.

    Args:
        model: A path, a ModelProto or an onnx_ir.Model; never modified.

    Raises:
        UsageError, InvalidModelError: As `load`.
    """
    from normonnx.inspecting import inspect_model

    return inspect_model(model)


def export_scaler(  # noqa: PLR0913
    fitted: Any,  # noqa: ANN401  # an estimator of scikit-learn, which is not imported
    path: str | os.PathLike[str] | None = None,
    *,
    opset: int | None = None,
    dtype: npt.DTypeLike = "float32",
    stash_type: npt.DTypeLike = "float64",
    style: Literal["function", "native", "primitive"] = "function",
    input_name: str = "X",
    output_name: str = "Y",
    verify: bool = True,
) -> ir.Model:
    """Write what a fitted scaler of scikit-learn does as an ONNX model.

    MinMaxScaler, StandardScaler, RobustScaler, MaxAbsScaler, Normalizer and PowerTransformer, and
    Pipelines and ColumnTransformers of them. In float64 the linear ones give scikit-learn's own
    bits: it is divided where scikit-learn divides. In float32 X is widened, and the result rounded
    once, so that it is within one roundoff of what scikit-learn makes of the same X in float64.

    Args:
        fitted: The scaler; names of features that it knows go into the model's metadata.
        path: Where to save the model; None returns it alone.
        opset: Version of ONNX's operators; None for 17. Functions need 13, primitives 7.
        dtype: Type of X (N, features) and Y, float32 or float64.
        stash_type: Type that is computed in. "float32" is for runtimes without float64: a mean far
            above the spread then takes as many digits away as scikit-learn loses in float32.
        style: "function" calls normonnx::NAME, one node for each normalization; "native" takes an
            operator of ai.onnx.ml where it divides exactly, else the function; "primitive" writes
            plain operators.
        input_name: Name of the model's input.
        output_name: Name of its output.
        verify: Hold the model, evaluated in float64, against the scaler's own transform.

    Raises:
        UsageError: It is not fitted or no scaler that is known, an option has no such value, or the
            path can't be written.
        MismatchError: The model does not compute what the scaler does; nothing is written.
    """
    from normonnx.checked_export import check_scaler
    from normonnx.exporting.assembling import Wanted, type_named
    from normonnx.exporting.scalers import OPSET, scaler_model

    kind = type_named("dtype", dtype)
    stash = "float64" if kind == "float64" else type_named("stash_type", stash_type)
    chosen = OPSET if opset is None else opset
    wanted = Wanted(chosen, kind, stash, style, (input_name, output_name))
    model = scaler_model(fitted, wanted)
    if verify:
        check_scaler(fitted, wanted)
    if path is not None:
        save(model, path)
    return model


def prepend(  # noqa: PLR0913
    scaler: Any,  # noqa: ANN401  # an estimator of scikit-learn, or a model
    model: Model,
    path: str | os.PathLike[str] | None = None,
    *,
    input: str | None = None,  # noqa: A002  # what the command line calls it, too
    fold: bool = True,
    style: Literal["function", "native", "primitive"] = "function",
    stash_type: Literal["float32", "float64"] = "float64",
    verify: Literal["final"] | None = "final",
    force: bool = False,
) -> PrependResult:
    """Put a scaler in front of a model, so that the model takes features as they are.

    A linear scaler is folded into the weights of what reads the input, where that is proven to be
    the same function: then the model has no node more. Any other stays in front, computed in
    float64. The outcome is in `folded`, the reason in `report.applied` or `report.refused`.

    Args:
        scaler: A fitted scaler as `export_scaler` takes it, or a model that `export_scaler`, or
            another exporter, made of one.
        model: A path, a ModelProto or an onnx_ir.Model; never modified.
        path: Where to save the result; nothing is written where it doesn't pass its check.
        input: Name of the input to scale, where the model has several.
        fold: False keeps the scaler in front.
        style: How it is written where it stays; see `export_scaler`. Below opset 13 as primitives.
        stash_type: What it is computed in where it stays; see `export_scaler`.
        verify: "final" compares the result with the scaler's own transform, then the model, both
            in float64; the outcome is in `report.verification`. None doesn't.
        force: Allow replacing the file that `model` was loaded from.

    Returns:
        PrependResult(model, folded, report).

    Raises:
        UsageError: The scaler is not fitted or not known, or doesn't fit the model's input.
        InvalidModelError: As `load`.
        MismatchError: The result did not pass its check, and was to be written.
    """
    from normonnx.prepending import Options, run

    options = Options(input, style, stash_type, fold, verify)
    result = run(scaler, model, options, _judge_of_fronts)
    verification = result.report.verification
    if path is not None:
        if verification is not None and verification.verdict is Verdict.MISMATCH:
            message = f"the result did not pass its check, so {path} was not written"
            raise MismatchError(message)
        save(result.model, path, force=force)
    return result


def _judge_of_fronts(found: Compared) -> ValidationReport:
    import numpy as np

    from normonnx.runtime.oracle import evaluate
    from normonnx.validation.fronts import Fronted, in_front

    x, y = found.scaler.graph.inputs[0].name or "", found.scaler.graph.outputs[0].name or ""

    def transform(rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        if found.transform is not None:
            return found.transform(rows)
        return np.asarray(evaluate(found.scaler, {x: rows})[y])

    fronted = Fronted(found.model, found.kept, found.target, found.draw, transform)
    return in_front(fronted, found.result)


def validate(  # noqa: PLR0913
    model: Model,
    *,
    against: Model | None = None,
    backends: Sequence[str] = ("ort:cpu",),
    inputs: Inputs | Sequence[Inputs] | None = None,
    profiles: str | Sequence[str] = "default",
    shapes: Mapping[str, Sequence[int]] | None = None,
    seed: int = 0,
    factor: float | None = None,
    rtol: float | None = None,
    atol: float | None = None,
    timeout: float = 600.0,
    memory: int | None = None,
    require_coverage: float = 0.0,
    module: torch.nn.Module | None = None,
    locate: bool = True,
    repro: str | os.PathLike[str] | None = None,
    each_node: bool = False,
) -> ValidationReport:
    """Judge what backends compute for a model, and whether two models are the same function.

    The truth is the model evaluated in float64; the yardstick is the model's own noise floor, that
    is how far the truth moves when inputs and weights are perturbed by one roundoff.

    Args:
        model: A path, a ModelProto or an onnx_ir.Model; never modified.
        against: Another model, to be compared with in float64; None for none.
        backends: What to run the model on; see `normonnx list backends`.
        inputs: Arrays by input name; an .npz file with these; an .npy or TensorProto file, for one
            input or as "NAME=FILE"; a folder of ONNX test data; or several of these, each a case.
            None draws seeded inputs. "expected:NAME" and "floor:NAME" among the arrays, and stored
            outputs of test data, take the place of the float64 truth of that output and of its
            noise floor.
        profiles: Kinds of inputs to draw, a case for each: names from random, shifted-mean,
            constant, tiny, huge, subnormal, one-hot, batch-1, 1x1, nan and inf; "default" stands
            for the first two, "all" for all but the last two. Those that don't apply to the model
            are left out and told in `report.notes`.
        shapes: Shapes of inputs with dynamic dimensions, by input name; None chooses.
        seed: Seed of drawn inputs and of the perturbations.
        factor: Error over noise floor up to which a comparison passes; None for the calibrated
            ones, 16 for backends and 6 for two models in float64.
        rtol: Judge by a plain tolerance instead: |found - truth| <= atol + rtol * |truth| for
            every entry. 0 where only `atol` is given.
        atol: The same; 0 where only `rtol` is given.
        timeout: Seconds that a backend may take.
        memory: Bytes of memory that a backend's process may take; None for most of what is free.
        require_coverage: Share of the nodes, 0 to 1, that must run on the provider asked for;
            a backend that keeps fewer there is unavailable.
        module: A torch module for the backend "torch", which runs it in float64 against the model.
        locate: On a mismatch, also find the node where it begins: `report.divergence`.
        repro: A folder to write that node to, as a model of its own with an .npz of inputs and what
            is expected; None for none.
        each_node: Also measure how far off each node is, by itself and with all that comes before:
            `report.node_errors`.

    Raises:
        UsageError: An input has the wrong name, type or shape, or an option has no such value.
        InvalidModelError: As `load`.
    """
    from normonnx.validation.judge import validate as judge

    return judge(
        model,
        against=against,
        backends=backends,
        inputs=inputs,
        profiles=profiles,
        shapes=shapes,
        seed=seed,
        factor=factor,
        tolerance=Tolerance.of(rtol, atol),
        limits=_limits(timeout, memory, require_coverage, module),
        locate=locate,
        repro=repro,
        each_node=each_node,
    )


def _limits(timeout: float, memory: int | None, coverage: float, module: object) -> Limits:
    from normonnx.validation.answers import Limits

    return Limits(timeout, memory, coverage, module)


def record(  # noqa: PLR0913
    model: Model,
    output: str | os.PathLike[str],
    *,
    backend: str = "ort:cpu",
    inputs: Inputs | Sequence[Inputs] | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    seed: int = 0,
    factor: float | None = None,
    tensors: bool = True,
    include_model: bool = False,
    judge: bool = True,
    timeout: float = 600.0,
    memory: int | None = None,
    require_coverage: float = 0.0,
) -> ValidationReport:
    """Run a model on a backend and keep what it answered in a golden bundle.

    Nothing is written where the backend is unavailable or the model invalid for it.

    Args:
        model: A path, a ModelProto or an onnx_ir.Model; never modified.
        output: The bundle to write; one that exists is replaced at the very end.
        backend: What to run the model on; see `normonnx list backends`.
        inputs: As in `validate`.
        shapes: As in `validate`.
        seed: As in `validate`.
        factor: As in `validate`.
        tensors: Keep inputs and outputs; False keeps digests and a few figures, a few kilobytes.
        include_model: Keep the model's files in the bundle as well.
        judge: Compare with the float64 truth here; False leaves that to `compare`.
        timeout: Seconds that the backend may take.
        memory: As in `validate`.
        require_coverage: As in `validate`.

    Returns:
        How what was recorded was judged.

    Raises:
        UsageError: The bundle can't be written, or as `validate`.
        InvalidModelError: As `load`.
        UnsupportedOperatorError: The model can't be evaluated in float64; judge=False records it.
    """
    from normonnx.validation.recording import record as run_and_keep

    return run_and_keep(
        model,
        output,
        backend=backend,
        inputs=inputs,
        shapes=shapes,
        seed=seed,
        factor=factor,
        tensors=tensors,
        include_model=include_model,
        judge=judge,
        limits=_limits(timeout, memory, require_coverage, None),
    )


def compare(  # noqa: PLR0913
    bundle: str | os.PathLike[str],
    *,
    model: str | os.PathLike[str] | None = None,
    backends: Sequence[str] = (),
    timeout: float = 600.0,
    memory: int | None = None,
    require_coverage: float = 0.0,
) -> ValidationReport:
    """Judge what a golden bundle holds, and backends here on the same inputs.

    Args:
        bundle: What `record` wrote.
        model: The model that was recorded, where it is neither in the bundle nor beside it nor in
            the same place relative to it. Without it the recorded figures are reported.
        backends: What to run the model on here, on the recorded inputs.
        timeout: Seconds that a backend may take.
        memory: As in `validate`.
        require_coverage: As in `validate`.

    Raises:
        UsageError: The bundle is missing, truncated, altered or of another version; `model` is not
            the one that was recorded; or backends were named and the model is not at hand.
        InvalidModelError: As `load`.
    """
    from normonnx.validation.replaying import compare as judge_again

    return judge_again(
        bundle,
        model=model,
        backends=backends,
        limits=_limits(timeout, memory, require_coverage, None),
    )


def tune(  # noqa: PLR0913
    model: Model,
    *,
    target: str = "ort-cpu",
    shapes: Mapping[str, Sequence[int]] | None = None,
    seconds: float = 2.0,
    threads: int = 1,
    output: str | os.PathLike[str] | None = None,
    store: bool = True,
) -> CostTable:
    """Measure on this machine what each form of a model's normalizations costs.

    All forms of one use take turns on the runtime, at the shape that it has in the model; each is
    held against the float64 truth on inputs at the edge. Do it on a machine that does nothing else.

    Args:
        model: A path, a ModelProto or an onnx_ir.Model; never modified.
        target: One that something here runs: "ort-cpu", "ort-cuda", "openvino".
        shapes: Shapes of inputs with dynamic dimensions, by input name; None chooses.
        seconds: For timing all forms of one use.
        threads: That a run may take.
        output: A file to write the table to, instead of the user's own table.
        store: Keep the table at all.

    Returns:
        What was measured, an entry for each distinct use; those whose shape is not known, or of
        which no form runs, are left out.

    Raises:
        UnavailableError: What runs the target is not here.
        UsageError: The target can't be measured, a shape doesn't fit, or the table can't be kept.
        InvalidModelError: As `load`.
    """
    from pathlib import Path

    from normonnx.graph.paths import writable_output
    from normonnx.lower import stored
    from normonnx.tuning import tune_model

    if output is not None:
        writable_output(output, example="costs.json")
    found = tune_model(model, target=target, shapes=shapes, seconds=seconds, threads=threads)
    if store and found.table.entries:
        if output is None:
            stored.write(found.table)
        else:
            stored.write_file(found.table, Path(output))
    return found.table


def bench(  # noqa: PLR0913
    model: Model,
    *,
    against: Model | None = None,
    backends: Sequence[str] = ("ort:cpu",),
    inputs: Inputs | Sequence[Inputs] | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    batch: int | None = None,
    seed: int = 0,
    threads: int = 1,
    seconds: float = 10.0,
    runs: int | None = None,
    sessions: int = 7,
    warmup: int = 3,
    check: bool = True,
    timeout: float = 600.0,
    memory: int | None = None,
    told: Callable[[str, int, int | None], None] | None = None,
) -> BenchReport:
    """Measure how fast a model runs here, alone or in turns with another.

    Every contender runs once in every round, one of them twice, so that a ratio of 1 (A/A) tells
    the machine's noise. Models whose outputs disagree are not timed. A file with session hints is
    timed in a plain session and, apart from that, in one that follows them.

    Args:
        model: A path, a ModelProto or an onnx_ir.Model; never modified.
        against: The base that it is held against; None for none.
        backends: What to run on: ONNX Runtime's providers, OpenVINO; see `normonnx list backends`.
        inputs: As in `validate`, one case; None draws N(0, 1) and legal integers.
        shapes: Shapes of inputs with dynamic dimensions, by input name; None chooses.
        batch: Size of a dynamic first dimension of drawn inputs; None for 1.
        seed: Seed of drawn inputs.
        threads: That a run may take.
        seconds: For all runs together, loading aside; there is one in each session at least.
        runs: Of each at most; None for as many as there is time for.
        sessions: How often each is loaded anew; an interval of 95 % takes six.
        warmup: Runs of each session that are not counted.
        check: Compare outputs with the float64 truth first, where there is something to compare.
        timeout: Seconds that a backend's process may take for one step.
        memory: Bytes that it may take; None for most of what is free.
        told: Hears what is done, how many steps of it, and of how many (None: not known).

    Raises:
        UsageError: An option makes no sense, or inputs don't fit the model.
        InvalidModelError: As `load`.
    """
    from normonnx.benchmarking import Asked, bench_models, effort_of

    backends = (backends,) if isinstance(backends, str) else tuple(backends)
    asked = Asked(backends, inputs, shapes, batch, seed, threads, check, timeout, memory)
    effort = effort_of(asked, seconds=seconds, runs=runs, sessions=sessions, warmup=warmup)
    return bench_models(model, against, asked, effort, told)


def _judges() -> Judges:
    from normonnx.pipeline import Judges

    return Judges(_verifier, _overseer)


def _verifier(original: ir.Model, rewritten: ir.Model) -> ValidationReport:
    from normonnx.validation.judge import equivalence

    return equivalence(original, rewritten)


def _overseer(original: ir.Model, work: ir.Model) -> Rewrites:
    from normonnx.validation.rewrites import Rewrites

    return Rewrites(original, work)


def _kernels_for(target: Target | None) -> Kernels | None:
    """What the runtime of a target says that it has, where it is installed here."""
    if target is None or target.provider is None:
        return None
    from normonnx.runtime.kernel_registry import installed

    return installed(target.provider)


def _highest_of(target: Target | None) -> int | None:
    """The highest opset that a target loads: as its runtime here says, else as is known."""
    if target is None or target.provider is None:
        return None if target is None else target.highest
    from normonnx.runtime.kernel_registry import highest_opset

    return highest_opset() or target.highest
