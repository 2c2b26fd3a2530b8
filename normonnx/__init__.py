"""normonnx: ONNX export and inference optimization for normalizations.

The public API. Importing it loads neither torch nor onnxruntime; heavy modules are imported by the
functions that need them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from normonnx.core.costs import CostTable
from normonnx.core.errors import (
    ExitCode,
    InvalidModelError,
    NormonnxError,
    UnavailableError,
    UnsupportedOperatorError,
    UsageError,
)
from normonnx.core.events import Event, Obstacle, OptimizeReport
from normonnx.core.inspection import AffineFound, Inspection, NormFound
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
    from normonnx.validation.answers import Limits
    from normonnx.validation.rewrites import Rewrites

    Model = str | os.PathLike[str] | onnx.ModelProto | ir.Model
    Inputs = str | os.PathLike[str] | Mapping[str, npt.NDArray[Any]]

    norms: Catalogue

__version__ = VERSION

__all__ = [
    "AffineFound",
    "BackendRun",
    "Comparison",
    "CostTable",
    "Divergence",
    "Event",
    "ExitCode",
    "Inspection",
    "InvalidModelError",
    "NodePlacement",
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
    "compare",
    "fold_batch_norm",
    "inspect",
    "load",
    "norms",
    "optimize",
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


def inspect(model: Model) -> Inspection:
    """Find every normalization of a model, and whether it can be folded or why not.

    Args:
        model: A path, a ModelProto or an onnx_ir.Model; never modified.

    Raises:
        UsageError, InvalidModelError: As `load`.
    """
    from normonnx.inspecting import inspect_model

    return inspect_model(model)


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
