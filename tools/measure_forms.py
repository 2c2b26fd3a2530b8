"""Measure what the forms of all normalizations cost, and write the table that comes with normonnx.

    python tools/measure_forms.py [--target ort-cpu] [--out FILE] [--seconds 3] [--norms NORM...]

Takes a quarter of an hour on a machine that does nothing else. What was measured already with the
same versions on the same machine stays, so a run that was cut off goes on; --fresh measures all.
An opset at which no form differs from what it is at the one before has no entries: readers take the
nearest below, or the lowest.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parents[1]))

import onnx_ir as ir

import normonnx
from normonnx.catalogue.call import NormCall
from normonnx.core.costs import CostTable, Entry, Use
from normonnx.lower import stored
from normonnx.timing.forms import Measurer, entry_of, ordered
from normonnx.timing.tuning import backend_of
from tools.evidence.norm_shapes import SHAPES

_OPSETS: Final = (11, 13, 17, 18, 20, 21, 23)
_HALF: Final = "float16"


def uses(norms: Sequence[str]) -> Iterator[tuple[NormCall, int]]:
    """What is measured: each use at each opset at which it has forms of its own.

    Args:
        norms: Names of normalizations; none for all.
    """
    wanted = {normonnx.norms[name].name for name in norms} or set(normonnx.norms)
    for shaped in SHAPES:
        if shaped.norm not in wanted:
            continue
        for dtype in ("float32", _HALF) if shaped.half else ("float32",):
            call, before = shaped.call(dtype), dict[str, bytes]()
            for opset in _OPSETS:
                spelled = spellings(call, opset)
                if spelled and spelled != before:
                    yield call, opset
                before = spelled


def spellings(call: NormCall, opset: int) -> dict[str, bytes]:
    """The forms of a use at an opset, but for the number of the opset."""
    found = {}
    for form in ordered(call, opset):
        proto = ir.to_proto(call.model(form.name, opset=opset))
        proto.ClearField("opset_import")
        proto.ClearField("ir_version")
        found[form.name] = proto.SerializeToString(deterministic=True)
    return found


def measured(
    target: str, out: Path, *, seconds: float, norms: Sequence[str] = (), fresh: bool = False
) -> CostTable:
    """Measure, writing the table after each use, so that it can be cut off."""
    work = list(uses(norms))
    with Measurer(backend_of(target), seconds=seconds) as measurer:
        table = CostTable(target, measurer.machine, measurer.versions, ())
        if out.exists() and not fresh:
            table = stored.joined(_still_valid(stored.read_file(out), table), table)
        known: set[Use] = {entry.use for entry in table.entries}
        start = time.monotonic()
        for number, (call, opset) in enumerate(work, 1):
            entry = entry_of(call, opset)
            if entry.use in known:
                continue
            entry = measurer.measure(call, opset)
            if entry.forms:
                table = stored.joined(
                    table, CostTable(target, table.machine, table.versions, (entry,))
                )
                stored.write_file(table, out)
            print(
                f"{time.monotonic() - start:6.0f} s {number:4}/{len(work)} {said(entry)}",
                file=sys.stderr,
                flush=True,
            )
    return table


def said(entry: Entry) -> str:
    """An entry in one line."""
    use = f"{entry.norm} {'x'.join(map(str, entry.shape))} {entry.dtype} opset {entry.opset}"
    if not entry.forms:
        return f"{use}: no form runs"
    best = entry.fastest
    return (
        f"{use}: {len(entry.forms)} forms, {best.form} {best.milliseconds:.3g} ms, "
        f"{best.ratio:.2f} of {entry.forms[0].form}"
    )


def _still_valid(before: CostTable, now: CostTable) -> CostTable:
    """What was measured before, where that was the same machine and the same versions."""
    same = (before.target, before.machine, before.versions) == (
        now.target,
        now.machine,
        now.versions,
    )
    return before if same else now


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", default="ort-cpu")
    parser.add_argument("--out", type=Path, help="by default the table that comes with normonnx")
    parser.add_argument("--seconds", type=float, default=3.0, help="for timing one use")
    parser.add_argument("--norms", nargs="*", default=[], metavar="NORM")
    parser.add_argument("--fresh", action="store_true", help="keep nothing of what is there")
    chosen = parser.parse_args(arguments)
    out = chosen.out or stored.SHIPPED / f"costs-{chosen.target}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    table = measured(
        chosen.target, out, seconds=chosen.seconds, norms=chosen.norms, fresh=chosen.fresh
    )
    print(f"{out}: {len(table.entries)} entries")


if __name__ == "__main__":
    main()
