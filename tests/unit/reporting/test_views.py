"""Inspections, rewrites and verdicts as a person reads them."""

from __future__ import annotations

import io
import sys
from dataclasses import replace

import pytest
from rich.console import Console, RenderableType

from normonnx.core.events import Event, OptimizeReport
from normonnx.core.inspection import AffineFound, Inspection, NormFound
from normonnx.core.verdicts import (
    BackendRun,
    Comparison,
    Divergence,
    NodePlacement,
    Statistics,
    ValidationReport,
    Verdict,
)
from normonnx.reporting import terminal
from normonnx.reporting.inspection_view import inspection
from normonnx.reporting.rewrite_view import rewrites
from normonnx.reporting.verdict_view import sentence, validation

_BN = "BatchNormalization"


def _shown(capsys: pytest.CaptureFixture[str], *blocks: RenderableType) -> str:
    terminal.show(*blocks)
    return capsys.readouterr().out


def _folds(name: str) -> NormFound:
    reason = f"{_BN} '{name}' folded into Conv 'c_{name}'"
    return NormFound(name, _BN, "BatchNorm", "", foldable=True, reason=reason)


def _inspection(number: int = 2) -> Inspection:
    layer_norm = NormFound(
        "ln", "LayerNormalization", "LayerNorm", "", foldable=False, reason="has statistics"
    )
    return Inspection(
        norms=(*(_folds(f"bn{i}") for i in range(number)), layer_norm),
        affines=(AffineFound("m", "Mul", "", foldable=False, reason="kept as asked for"),),
        nodes={"Conv": 2, _BN: number},
        opset=17,
        ir_version=8,
    )


def test_an_inspection_groups_norms_and_says_what_folds(capsys: pytest.CaptureFixture[str]) -> None:
    """Equal reasons are one row; what folds comes first; an unknown producer is said."""
    out = _shown(capsys, inspection(_inspection(5), name="m.onnx", nbytes=2000))
    assert "normalizations: 6, of which 5 would fold" in out
    assert "per-channel affines: 1, of which 0 would fold" in out
    row = next(row for row in out.splitlines() if "folded into Conv" in row)
    assert row.split(None, 3)[:3] == ["5", _BN, "yes"]
    assert row.endswith("bn0 and 4 more")
    assert out.index("folded into Conv") < out.index("has statistics")
    assert "unknown" in out
    assert "2.0 kB" in out


def test_an_inspection_in_full_lists_every_node(capsys: pytest.CaptureFixture[str]) -> None:
    """With every_node there is a row for each norm and each affine."""
    out = _shown(capsys, inspection(_inspection(5), name="m.onnx", every_node=True))
    assert "7 nodes in full" in out
    assert all(f"'bn{i}' folded into Conv 'c_bn{i}'" in out for i in range(5))


def test_a_model_without_norms_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """Silence would look like a failure."""
    assert "no normalization found" in _shown(capsys, inspection(Inspection(), name="m.onnx"))


def _report() -> OptimizeReport:
    return OptimizeReport(
        applied=(Event("fold-affine", "bn", _BN, f"{_BN} 'bn' folded into Conv 'c'", removed=1),),
        refused=(Event("fold-affine", "b2", _BN, "kept as asked for"),),
        nodes_before={_BN: 2, "Conv": 1},
        nodes_after={_BN: 1, "Conv": 1},
        opset_before=17,
        opset_after=17,
    )


def test_rewrites_show_before_and_after(capsys: pytest.CaptureFixture[str]) -> None:
    """Only operators whose number changed are listed, BatchNormalization always."""
    out = _shown(capsys, rewrites(_report(), sizes=(2000, 1500)))
    rows = [tuple(row.split()) for row in out.splitlines()]
    assert ("nodes", "3", "2") in rows
    assert (_BN, "2", "1") in rows
    assert ("bytes", "2.0", "kB", "1.5", "kB") in rows
    assert not any(row[:1] == ("Conv",) for row in rows)
    assert "left as they are: 1" in out


def test_explain_lists_each_plan_with_its_nodes(capsys: pytest.CaptureFixture[str]) -> None:
    """Done and refused plans are told apart, with the change in the number of nodes."""
    out = _shown(capsys, rewrites(_report(), explain=True))
    done, refused = (
        next(row for row in out.splitlines() if row.split()[:1] == [word])
        for word in ("done", "refused")
    )
    assert done.endswith("-1")
    assert refused.endswith("kept as asked for")


def test_a_model_with_nothing_to_rewrite_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """Silence would look like a failure."""
    assert "nothing to rewrite" in _shown(capsys, rewrites(OptimizeReport()))


def _placed(count: int, where: str = "CPUExecutionProvider") -> tuple[NodePlacement, ...]:
    return tuple(NodePlacement(f"n{i}", "Conv", where) for i in range(count))


def _validation(verdict: Verdict, error: float = 3.0, floor: float = 2.0) -> ValidationReport:
    compared = Comparison(
        "computes", "ort:cpu", "random", "y", verdict, "because", error, floor, 0.1, 2**-24,
        allowed=16.0,
    )  # fmt: skip
    return ValidationReport(
        verdict,
        (compared,),
        (BackendRun("ort:cpu", verdict, nodes=_placed(3)),),
        Divergence("n", "Conv", "t", 9.0, 1.0) if verdict is Verdict.MISMATCH else None,
        factor=16.0,
    )


def test_a_validation_ends_with_its_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    """The last line answers the question, with the figure that decided it."""
    out = _shown(capsys, validation(_validation(Verdict.PASS)))
    assert out.splitlines()[-1] == (
        "verdict: pass: error 3.0 u, 1.5 times the noise floor (up to 16 passes)"
    )
    assert "3 nodes on CPUExecutionProvider" in out


def test_a_mismatch_says_why_and_where(capsys: pytest.CaptureFixture[str]) -> None:
    """The reason and the first node that is off are in the text."""
    out = _shown(capsys, validation(_validation(Verdict.MISMATCH, 100.0)))
    assert "output 'y': because" in out
    assert "first goes wrong at Conv 'n', tensor 't': adds 9.0 u to the 1.0 u" in out


def test_what_did_not_run_never_reads_as_a_pass(capsys: pytest.CaptureFixture[str]) -> None:
    """An unavailable backend is said with its reason, and the word pass is nowhere."""
    run = BackendRun("ort:cuda", Verdict.UNAVAILABLE, "not installed")
    out = _shown(capsys, validation(ValidationReport(Verdict.UNAVAILABLE, (), (run,), factor=16.0)))
    assert "ort:cuda: unavailable, not installed" in out
    assert "nothing was compared" in out
    assert "pass" not in out.lower()


def _ran(**fields: object) -> ValidationReport:
    run = BackendRun("ort:cuda", Verdict.PASS, asked="CUDA", **fields)  # type: ignore[arg-type]
    return ValidationReport(Verdict.PASS, (), (run,), factor=16.0)


def test_what_ran_elsewhere_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """How much ran where it was asked for, and which operators did not; the most frequent first."""
    nodes = (*_placed(5, "CUDA"), *_placed(2), NodePlacement("t", "TopK", "CPUExecutionProvider"))
    out = _shown(capsys, validation(_ran(nodes=nodes)))
    assert "5 nodes on CUDA, 3 nodes on CPUExecutionProvider (62.5% where it was asked for)" in out
    said = "fell back: 2 Conv on CPUExecutionProvider, 1 TopK on CPUExecutionProvider"
    assert f"ort:cuda: {said}" in out
    assert "fell back" not in _shown(capsys, validation(_ran(nodes=_placed(5, "CUDA"))))


def test_many_kinds_that_ran_elsewhere_are_cut_short(capsys: pytest.CaptureFixture[str]) -> None:
    """The line stays readable; the full list is there on request."""
    nodes = tuple(NodePlacement(f"n{i}", f"Kind{i}", "CPU", "f32") for i in range(9))
    out = _shown(capsys, validation(_ran(nodes=nodes)))
    assert "Kind5" in out
    assert "Kind6" not in out
    assert out.count(", ...") == 1
    everything = _shown(capsys, validation(_ran(nodes=nodes), every_comparison=True))
    assert all(
        ["CPU", f"Kind{i}", "f32", f"n{i}"] in [row.split() for row in everything.splitlines()]
        for i in range(9)
    )


def test_reduced_precision_settings_and_notes_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    """What a reader must not overlook."""
    report = _ran(reduced=("TF32", "float16"), notes=("two are installed",), settings={"a": "1"})
    out = _shown(capsys, validation(report))
    assert "ort:cuda: reduced precision was in use: TF32, float16" in out
    assert "ort:cuda: two are installed" in out
    assert "a 1" in out


def test_distributions_are_listed_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    """Mean, percentiles, ratio, cosine, and the units that hold something."""
    percent = {50.0: 0.1, 90.0: 0.2, 99.0: 0.3, 99.9: 0.4}
    measured = Statistics(0.05, percent, 1e-9, 0.25, {0.5: 7, 1.0: 0, float("inf"): 2})
    compared = Comparison("computes", "ort:cpu", "random", "y", Verdict.PASS, statistics=measured)
    report = ValidationReport(Verdict.PASS, (compared,), factor=16.0)
    row = "ort:cpu random y 0.05 0.1 0.2 0.3 0.4 0.25 1e-09 <=0.5: 7, <=inf: 2"
    assert "distribution" not in _shown(capsys, validation(report))
    out = _shown(capsys, validation(report, every_comparison=True))
    assert row.split() in [found.split() for found in out.splitlines()]


def test_a_perfect_match_is_no_division_by_zero() -> None:
    """Error 0 over floor 0 reads as no difference."""
    assert "no difference" in sentence(_validation(Verdict.PASS, 0.0, 0.0)).plain


def test_every_comparison_is_listed_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    """The full list has the largest difference and the reason."""
    out = _shown(capsys, validation(_validation(Verdict.MISMATCH), every_comparison=True))
    assert any("random" in row and "because" in row and "0.1" in row for row in out.splitlines())


def _many(backends: int, outputs: int, verdict: Verdict) -> ValidationReport:
    """Every output of every backend of that verdict, each for a reason of its own."""
    names = [f"ort:number{i}" for i in range(backends)]
    compared = tuple(
        Comparison(
            "equivalent" if name == "oracle" else "computes", name, case, f"out{i}", verdict,
            f"error {i} u is {i} times the noise floor, allowed is 16" if i % 2 else "is off",
            i + 1.0, 1.0, 0.1, 2**-24, allowed=16.0,
        )
        for name in (*names, "oracle") for case in ("random", "shifted-mean") for i in range(outputs)
    )  # fmt: skip
    notes = tuple(f"note {i}" for i in range(4))
    runs = tuple(
        BackendRun(
            name, verdict, asked="GPU", nodes=_placed(40), settings={"version": "1"},
            reduced=("TF32",), notes=notes,
        )
        for name in names
    )  # fmt: skip
    left_out = tuple(f"profile {i} was left out: it does not apply" for i in range(7))
    found = Divergence("n", "Conv", "t", 9.0, 1.0)
    return ValidationReport(verdict, compared, runs, found, factor=16.0, notes=left_out)


@pytest.mark.parametrize("verdict", [Verdict.MISMATCH, Verdict.INCONCLUSIVE, Verdict.PASS])
@pytest.mark.parametrize(("backends", "outputs"), [(1, 60), (3, 60), (30, 9)])
def test_a_summary_stays_within_forty_lines(
    capsys: pytest.CaptureFixture[str], backends: int, outputs: int, verdict: Verdict
) -> None:
    """Whatever a model has of outputs, and a user of backends; what was left out is counted."""
    report = _many(backends, outputs, verdict)
    out = _shown(capsys, validation(report))
    rows = out.splitlines()
    assert len(rows) < 40, out
    assert rows[-1].startswith(f"verdict: {verdict}")
    hidden = sum(int(row.split()[1]) for row in rows if row.endswith("more outputs (--all)"))
    told = sum(", output 'out" in row for row in rows)
    reasons = outputs * (backends + 1)
    assert hidden + told == reasons
    everything = _shown(capsys, validation(report, every_comparison=True))
    assert "(--all)" not in everything
    assert everything.count(", output 'out") == reasons
    assert all(f"ort:number{i}: 40 nodes" in everything for i in range(backends))


def test_what_could_not_run_is_told_first() -> None:
    """It must not be among what was left out; nor must a row that is wrong."""
    report = _many(30, 2, Verdict.PASS)
    late = BackendRun("ort:late", Verdict.UNAVAILABLE, "not installed")
    wrong = Comparison(
        "computes", "ort:wrong", "random", "y", Verdict.MISMATCH, "is off", 99.0, 1.0
    )
    report = replace(
        report, backends=(*report.backends, late), comparisons=(*report.comparisons, wrong)
    )
    stream = io.StringIO()
    Console(file=stream, width=200, markup=False).print(validation(report))
    out = stream.getvalue()
    assert "ort:late: unavailable, not installed" in out
    assert any(row.split()[-1] == "mismatch" for row in out.splitlines() if "ort:wrong" in row)


def test_in_a_pipe_rows_are_whole_and_plain(capsys: pytest.CaptureFixture[str]) -> None:
    """No colour, no wrapping, no trailing blanks: a row can be found with grep."""
    name = "n" * 500
    made = terminal.table(("name", "verdict"), [(name, terminal.verdict(Verdict.PASS)), ("a", "b")])
    rows = _shown(capsys, made).splitlines()
    assert len(rows) == 3
    assert rows[1] == f"{name}  pass"
    assert all(row == row.rstrip() and "\x1b" not in row for row in rows)


def test_on_a_narrow_terminal_nothing_is_cut_off() -> None:
    """Long cells are folded: every character is still there."""
    name = "x" * 100
    stream = io.StringIO()
    Console(file=stream, width=40, markup=False).print(terminal.table(("name",), [(name,)]))
    assert stream.getvalue().count("x") == 100
    assert max(map(len, stream.getvalue().splitlines())) <= 40


def test_names_are_never_markup_nor_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    """A node called "[red]" is shown so, one with an escape sequence is defused."""
    out = _shown(capsys, terminal.table(("name",), [("[red]a[/red] :smile: \x1b[31m",)]))
    assert "[red]a[/red] :smile: \\x1b[31m" in out


def test_progress_is_silent_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Logs of a pipeline hold no spinner."""
    assert not sys.stderr.isatty()
    with terminal.progress("working"):
        pass
    assert capsys.readouterr() == ("", "")
