"""One node that goes wrong, with inputs that show it: a model and an .npz beside it.

The .npz also holds what the node should give ("expected:NAME") and how far roundoff moves that
("floor:NAME", in u), so that `normonnx validate NODE.onnx --inputs NODE.npz` says mismatch again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx_ir as ir

from normonnx.core.dtypes import is_float, is_narrow
from normonnx.core.errors import UsageError
from normonnx.core.files import replacing
from normonnx.core.verdicts import Divergence
from normonnx.graph import files
from normonnx.runtime.oracle import evaluate
from normonnx.validation.drawing import Case, fitting
from normonnx.validation.islands import Island, Types, archipelago, can_stand_alone
from normonnx.validation.sketch import Array
from normonnx.validation.suspects import Suspect

_LONGEST: Final = 80  # characters of a file's name


@dataclass(frozen=True, slots=True, eq=False)
class Repro:
    """A node that goes wrong.

    Attributes:
        model: The node alone.
        arrays: Its inputs by name, what it should give, and the noise floor.
    """

    model: ir.Model
    arrays: dict[str, Array]


def of_suspect(model: ir.Model, suspect: Suspect) -> Repro:
    """What is off by itself, what it reads, and what it should give.

    Args:
        model: That the suspect is of.
        suspect: A node, or several that run as one.
    """
    types = Types(model)
    if suspect.model is None:
        return of_island(model, suspect, types)
    kind = types.of(next(v for v in suspect.node.outputs if v.name == suspect.tensor))
    others = [v for v in suspect.model.graph.outputs if v.name != suspect.tensor]
    for value in others:
        suspect.model.graph.outputs.remove(value)
    return _with_expected(suspect.model, suspect, dict(suspect.inputs), kind)


def of_island(model: ir.Model, suspect: Suspect, types: Types) -> Repro:
    """The same of one node without subgraphs."""
    alone = Island(suspect.node, suspect.inputs, {suspect.tensor: suspect.truth})
    made = archipelago(model, [alone])
    kind = types.of(next(v for v in suspect.node.outputs if v.name == suspect.tensor))
    return _with_expected(made.model, suspect, made.feeds, kind)


def _with_expected(
    model: ir.Model, suspect: Suspect, feeds: dict[str, Array], kind: np.dtype[Any]
) -> Repro:
    """A model of one output, with what is expected of it."""
    output = model.graph.outputs[0]
    output.dtype = ir.DataType.from_numpy(kind)
    pairs = zip(suspect.found.shape, suspect.truth.shape, strict=False)  # one of its faults, maybe
    output.shape = ir.Shape([found if found == wanted else None for found, wanted in pairs])
    wider = [
        a.dtype for a in suspect.inputs.values() if is_float(a.dtype) and not is_narrow(a.dtype)
    ]
    name = output.name or ""
    if is_narrow(kind) and wider:
        name = _cast_back(model.graph, wider[0])
    floor = suspect.floor if np.isfinite(suspect.floor) else 1.0
    arrays = {
        **feeds,
        f"expected:{name}": np.asarray(suspect.truth, np.float64),
        f"floor:{name}": np.array(floor),
    }
    return Repro(model, arrays)


def _cast_back(graph: ir.Graph, kind: np.dtype[Any]) -> str:
    """Give the output in the type that came in, so that what a narrow type loses is seen."""
    number = ir.DataType.from_numpy(kind)
    node = ir.Node("", "Cast", [graph.outputs[0]], [ir.AttrInt64("to", int(number))], name="back")
    node.outputs[0].name, node.outputs[0].dtype = "back", number
    node.outputs[0].shape = graph.outputs[0].shape
    graph.append(node)
    graph.outputs[0] = node.outputs[0]
    return "back"


def of_rewrite(
    reference: ir.Model, model: ir.Model, case: Case, found: Divergence, *, narrow: bool
) -> Repro | None:
    """The node where a rewritten model leaves its reference; None where it can't stand alone."""
    node = next((n for n in model.graph if any(v.name == found.tensor for v in n.outputs)), None)
    if node is None or not found.counterpart or not can_stand_alone(node):
        return None
    kept = [v.name for v in node.inputs if v is not None and v.name and v.producer() is not None]
    kept.append(found.tensor)
    ours = {**case.feeds, **evaluate(model, fitting(case, model).feeds, keep=kept, narrow=narrow)}
    kept = [found.counterpart]
    theirs = {**case.feeds, **evaluate(reference, fitting(case, reference).feeds, keep=kept)}
    types = Types(model)
    inputs = {
        v.name: types.given(v, ours[v.name])
        for v in node.inputs
        if v is not None and v.name and v.name in ours
    }
    expected = np.asarray(theirs[found.counterpart])
    given = np.asarray(ours[found.tensor])
    suspect = Suspect(node, found.tensor, inputs, expected, given, found.local, found.floor)
    return of_island(model, suspect, types)


def write(repro: Repro, folder: Path, divergence: Divergence) -> tuple[Path, Path]:
    """Write a repro into a folder, which is made where it is missing.

    Raises:
        UsageError: It can't be written.
    """
    stem = re.sub(r"[^A-Za-z0-9._-]+", "_", divergence.node).strip("_.")[-_LONGEST:] or "node"
    model, arrays = folder / f"{stem}.onnx", folder / f"{stem}.npz"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        files.save(repro.model, model)
        with replacing(arrays) as temporary, temporary.open("wb") as opened:
            np.savez(opened, **_plain(repro.arrays))
    except OSError as error:
        message = f"can't write the repro to {folder}: {error.strerror or error}"
        raise UsageError(message) from error
    return model, arrays


def _plain(arrays: dict[str, Array]) -> dict[str, Any]:
    """Types that only ml_dtypes knows would be lost in an .npz; they are kept as float32."""
    return {k: a.astype(np.float32) if a.dtype.kind == "V" else a for k, a in arrays.items()}
