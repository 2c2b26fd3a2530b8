"""Reports to open in a browser, made without running a model."""

from __future__ import annotations

import math
from pathlib import Path

from normonnx.core.listing import NodeListed
from normonnx.core.node_errors import NodeError, NodeErrors
from normonnx.core.verdicts import (
    BackendRun,
    Comparison,
    Divergence,
    NodePlacement,
    ValidationReport,
    Verdict,
)
from normonnx.reporting.html import accuracy, nodes
from normonnx.reporting.html.blocks import Page
from normonnx.reporting.html.page import render


def judged(names: list[str]) -> ValidationReport:
    """A validation of a chain of nodes, one of them wrong."""
    wrong = len(names) // 2
    errors = tuple(
        NodeError(
            name,
            ("Conv", "Relu", "Add")[number % 3],
            f"t{number}",
            local=9e3 if number == wrong else 0.5 + number % 7 / 10,
            upstream=1.0,
            total=9e3 if number >= wrong else 1.0,
            floor=1.0 + math.log1p(number),
        )
        for number, name in enumerate(names)
    )
    placed = tuple(NodePlacement(one.node, one.op_type, "CPUExecutionProvider") for one in errors)
    compared = Comparison(
        "computes",
        "ort:cpu",
        "random",
        names[-1],
        Verdict.MISMATCH,
        "off",
        9e3,
        10.0,
        0.5,
        allowed=16.0,
    )
    return ValidationReport(
        Verdict.MISMATCH,
        (compared,),
        (BackendRun("ort:cpu", Verdict.MISMATCH, asked="CPUExecutionProvider", nodes=placed),),
        Divergence(names[wrong], errors[wrong].op_type, f"t{wrong}", 9e3, 1.0),
        16.0,
        node_errors=(NodeErrors("computes", "ort:cpu", "random", 16.0, errors),),
    )


def page_of(names: list[str], title: str = "model.onnx") -> Page:
    """A report with every node of a chain."""
    found = judged(names)
    kinds = found.node_errors[0].nodes
    listed = [NodeListed(one.node, one.op_type, "", (one.tensor,)) for one in kinds]
    where = accuracy.placement(found)
    sections = (accuracy.section(found), nodes.section(listed, judged=found))
    return Page(
        "validate", title, "Off.", sections if where is None else (*sections, where), found.verdict
    )


def write(page: Page, path: Path) -> Path:
    """The page as a file."""
    path.write_text(render(page), encoding="utf-8")
    return path
