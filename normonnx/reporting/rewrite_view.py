"""What an optimization did, as a person reads it."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType

from normonnx.core.events import Event, OptimizeReport
from normonnx.reporting import terminal
from normonnx.reporting.figures import count, listed, size
from normonnx.reporting.grouping import group

_NORM = "BatchNormalization"
_MOST = 8  # operators that are counted one by one, those first that changed most


def rewrites(
    report: OptimizeReport,
    *,
    sizes: tuple[int | None, int | None] = (None, None),
    explain: bool = False,
) -> RenderableType:
    """Before and after, what was rewritten, and what stays with its reason.

    Args:
        report: What `normonnx.optimize` reported.
        sizes: Bytes on disk before and after, where there are any.
        explain: Also list every single rewrite and refusal.
    """
    return terminal.stacked(_blocks(report, sizes, explain=explain))


def _blocks(
    report: OptimizeReport, sizes: tuple[int | None, int | None], *, explain: bool
) -> Iterator[RenderableType]:
    figures = _figures(report, sizes, shortened=not explain)
    yield terminal.indented(terminal.table(("", ">before", ">after"), figures))
    for title, events in (("rewritten", report.applied), ("left as they are", report.refused)):
        if events:
            yield terminal.heading(f"{title}: {len(events)}")
            rows = [
                (str(one.count), one.op_type, one.reason, listed(one.nodes, most=1))
                for one in group(events)
            ]
            yield terminal.indented(terminal.table((">", "operator", "what", "nodes"), rows))
    if not report.applied:
        yield terminal.line("nothing to rewrite")
    if explain:
        yield _explained(report)


def _figures(
    report: OptimizeReport, sizes: tuple[int | None, int | None], *, shortened: bool
) -> Iterator[tuple[str, str, str]]:
    before, after = report.nodes_before, report.nodes_after
    yield "nodes", str(sum(before.values())), str(sum(after.values()))
    change = {op: abs(after.get(op, 0) - before.get(op, 0)) for op in {**before, **after}}
    changed = sorted((op for op in change if change[op]), key=lambda op: -change[op])
    shown = [op for op in dict.fromkeys((_NORM, *changed)) if op in change]
    most = _MOST if shortened else len(shown)
    for op_type in shown[:most]:
        yield op_type, str(before.get(op_type, 0)), str(after.get(op_type, 0))
    if shown[most:]:
        rest = shown[most:]
        was, now = (sum(found.get(op, 0) for op in rest) for found in (before, after))
        yield count(len(rest), "other operator"), str(was), str(now)
    yield "opset", str(report.opset_before), str(report.opset_after)
    if sizes[0] is not None:
        yield "bytes", size(sizes[0]), "-" if sizes[1] is None else size(sizes[1])


def _explained(report: OptimizeReport) -> RenderableType:
    def rows() -> Iterator[tuple[str, ...]]:
        for outcome, events in (("done", report.applied), ("refused", report.refused)):
            for event in events:
                yield outcome, event.rule, event.node, event.op_type, event.reason, _balance(event)

    titles = ("", "rule", "node", "operator", "why", ">nodes")
    total = len(report.applied) + len(report.refused)
    heading = terminal.heading(f"{count(total, 'plan')} in full")
    return terminal.stacked((heading, terminal.indented(terminal.table(titles, rows()))))


def _balance(event: Event) -> str:
    return f"{event.added - event.removed:+d}" if event.added or event.removed else ""
