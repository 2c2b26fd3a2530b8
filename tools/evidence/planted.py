"""Stage "faults": what is wrong must be found, and what is only other must pass.

A spoiled or rewritten model runs on the backend and is judged against the truth of the original.
Only faults that move the truth by well more than is allowed are planted; see `preparing`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import Any, Final

import numpy as np
import onnx
import onnx_ir as ir
from onnx import helper

import normonnx
from models.faults import FAULTS, scaled_outputs
from normonnx.core.verdicts import Comparison, Verdict, conclusion
from normonnx.validation.comparing import Asked, compare
from normonnx.validation.truths import Truth
from tools.evidence import sessions
from tools.evidence.items import Item
from tools.evidence.manifest import Manifest
from tools.evidence.recorded import compared
from tools.evidence.subjects import Context, Subject

Change = Callable[[onnx.ModelProto], onnx.ModelProto]

_LONGEST: Final = 90
_SHOWN: Final = 2


def items(manifest: Manifest, backend: str) -> Sequence[Item]:
    """Each fault in each model that it fits, and each benign rewrite; all kinds come early."""
    models = [entry for entry in manifest.models if entry.precision == "float32"]
    columns = [
        [
            _item(f"faults:{fault}:{one.name}", "plant", backend, one.name, fault)
            for one in models
            if fault in one.faults
        ]
        for fault in FAULTS
    ]
    columns += [
        [
            _item(f"faults:benign {rewrite}:{one.name}", "rewrite", backend, one.name, rewrite)
            for one in models
        ]
        for rewrite in REWRITES
    ]
    return [item for row in zip_longest(*columns) for item in row if item is not None]


def plant(context: Context, arguments: Mapping[str, Any], _seconds: float) -> dict[str, Any]:
    """A fault: caught where it is a mismatch."""
    subject = context.subject(arguments["model"])
    fault = arguments["change"]
    found = _answers(context, subject, FAULTS[fault](subject.proto), subject.truths)
    verdict = conclusion(found)
    outcome = {Verdict.MISMATCH: "caught", Verdict.PASS: "missed"}.get(verdict, str(verdict))
    status = {"caught": "ok", "missed": "mismatch"}.get(outcome, "inconclusive")
    return {
        "status": status,
        "outcome": outcome,
        "visible": subject.entry.faults.get(fault),
        **_figures(found, subject),
    }


def rewrite(context: Context, arguments: Mapping[str, Any], _seconds: float) -> dict[str, Any]:
    """A benign rewrite: a false alarm where it is a mismatch and the original is not."""
    subject = context.subject(arguments["model"])
    changed, original = REWRITES[arguments["change"]], subject
    factor = _FACTORS.get(arguments["change"])
    if factor is not None:
        original = _scaled(subject, factor)
    found = _answers(context, original, changed(subject.proto), original.truths)
    verdict = conclusion(found)
    outcome = {Verdict.MISMATCH: "false alarm", Verdict.PASS: "passed"}.get(verdict, str(verdict))
    if verdict is Verdict.MISMATCH:
        before = _answers(context, original, original.proto, original.truths)
        if conclusion(before) is Verdict.MISMATCH:
            outcome = "as the original: mismatch"
    status = {Verdict.MISMATCH: "mismatch", Verdict.PASS: "ok"}.get(verdict, "inconclusive")
    return {"status": status, "outcome": outcome, **_figures(found, subject)}


def _item(key: str, work: str, backend: str, model: str, change: str) -> Item:
    told = {"model": model, "change": change}
    return Item(key, f"{__name__}:{work}", backend, told, _LONGEST)


def _answers(
    context: Context,
    subject: Subject,
    changed: onnx.ModelProto,
    truths: Sequence[Truth],
) -> list[Comparison]:
    session = sessions.opened(changed, context.backend)
    names = [value.name for value in session.get_outputs()]
    asked = Asked("computes", context.backend)
    found: list[Comparison] = []
    for truth in truths:
        outputs = dict(zip(names, session.run(None, dict(truth.case.feeds)), strict=True))
        found += compare(subject.model, truth, outputs, asked, context.settings)
    return found


def _figures(found: Sequence[Comparison], subject: Subject) -> dict[str, Any]:
    worst = sorted(found, key=lambda one: one.ratio, reverse=True)
    return {
        "ratio": worst[0].ratio if worst else None,
        "comparisons": [compared(one) for one in worst[:_SHOWN]],
        "drift": subject.drift,
    }


def _scaled(subject: Subject, factor: float) -> Subject:
    """A model whose outputs are times a factor, with its truths."""
    exact = float(np.float32(factor))
    model = ir.from_proto(scaled_outputs(subject.proto, factor))
    truths = tuple(
        replace(
            truth,
            outputs=_times(truth.outputs, exact),
            moved=tuple(_times(one, exact) for one in truth.moved),
        )
        for truth in subject.truths
    )
    return replace(subject, model=model, truths=truths)


def _times(outputs: Mapping[str, Any], factor: float) -> dict[str, Any]:
    return {name: array * factor for name, array in outputs.items()}


# --- rewrites that change nothing -----------------------------------------------------------------


def _optimized(model: onnx.ModelProto) -> onnx.ModelProto:
    found: onnx.ModelProto = ir.to_proto(normonnx.optimize(model).model)
    return found


def _with_identities(model: onnx.ModelProto) -> onnx.ModelProto:
    """An Identity behind every linear operator."""
    nodes = list(model.graph.node)
    del model.graph.node[:]
    for node in nodes:
        model.graph.node.append(node)
        if node.op_type in {"Conv", "MatMul", "Gemm"}:
            inner = f"{node.output[0]}_inner"
            added = helper.make_node("Identity", [inner], [node.output[0]])
            model.graph.node[-1].output[0] = inner
            model.graph.node.append(added)
    return model


def _renamed(model: onnx.ModelProto) -> onnx.ModelProto:
    """Every node and inner value by another name."""
    found = ir.from_proto(model)
    interface = {value.name for value in (*found.graph.inputs, *found.graph.outputs)}
    for number, node in enumerate(found.graph):
        node.name = f"node{number}"
        for position, value in enumerate(node.outputs):
            if value.name and value.name not in interface:
                value.name = f"value{number}_{position}"
    renamed: onnx.ModelProto = ir.to_proto(found)
    return renamed


_FACTORS: Final[Mapping[str, float]] = {"times 1e-6": 1e-6, "times 1e5": 1e5}
REWRITES: Final[Mapping[str, Change]] = {
    "optimized": _optimized,
    "identities": _with_identities,
    "renamed": _renamed,
    "times 1e-6": lambda model: scaled_outputs(model, 1e-6),
    "times 1e5": lambda model: scaled_outputs(model, 1e5),
}
