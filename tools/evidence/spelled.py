"""Stage "forms": how long each spelling of each normalization takes, and how right it is."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import onnx.parser

from normonnx.catalogue.call import NormCall
from normonnx.core.dtypes import unit_roundoff
from normonnx.runtime.engines.ort_binding import Bound
from normonnx.timing import turns
from normonnx.timing.intervals import round_to
from normonnx.validation.measures import relative_error
from tools.evidence import journal, norm_uses, sessions
from tools.evidence.items import Item
from tools.evidence.manifest import Manifest
from tools.evidence.subjects import Context

TABLE: Final = "cost_table.json"
PLAIN: Final = "one pass: Neg"
_ROWS: Final = ((8, 128, 256), (8, 512, 1024), (4, 2048, 4096))
_PIXELS: Final = ((2, 64, 32, 32), (1, 320, 64, 64), (8, 128, 64, 64), (16, 256, 64, 64))
_TYPES: Final = {"float": "float32", "float16": "float16"}
_ROUNDS: Final = 101
_LARGEST_CHECKED: Final = 5_000_000  # numbers; beyond, float64 takes long and says nothing new
_SHARE: Final = 0.6  # of the time allowed, for timing
_TIMED: Final = 5.0  # seconds at most
_LONGEST: Final = 45.0


def items(_manifest: Manifest, backend: str) -> Sequence[Item]:
    """Each norm at each shape in each type, small shapes of all norms first."""
    found = []
    for number in range(max(len(_ROWS), len(_PIXELS))):
        for dtype in _TYPES:
            for norm in norm_uses.NORMS:
                shapes = _ROWS if norm in norm_uses.LAST_AXIS else _PIXELS
                if number < len(shapes):
                    shape = shapes[number]
                    key = f"forms:{norm}:{'x'.join(map(str, shape))}:{dtype}"
                    told = {"norm": norm, "shape": list(shape), "dtype": dtype}
                    found.append(Item(key, f"{__name__}:compete", backend, told, _LONGEST))
    return found


def compete(context: Context, arguments: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """Time all forms of a norm in turns."""
    norm, dtype = arguments["norm"], arguments["dtype"]
    shape = tuple(arguments["shape"])
    provider = sessions.provider_of(context.backend)
    call = norm_uses.use(norm, shape, _TYPES[dtype])
    x = np.random.default_rng(11).standard_normal(shape).astype(_TYPES[dtype])
    names = norm_uses.forms(call)
    first = names[0]
    truth = None if x.size > _LARGEST_CHECKED else call.reference(x)
    runs: dict[str, Callable[[], None]] = {}
    about: dict[str, dict[str, Any]] = {}
    for form in [*names, turns.AGAIN, PLAIN]:
        try:
            session = sessions.opened(_model(call, form, dtype), context.backend)
            bound = Bound(session, {session.get_inputs()[0].name: x}, provider)
        except sessions.FallbackError:
            raise
        except Exception as error:  # noqa: BLE001  # a form that can't run leaves the others
            about[form] = {"failed": str(error).strip().splitlines()[0][:200]}
            continue
        runs[form] = bound.run
        placement = sessions.placement(session, provider)
        about[form] = {"kinds": placement["kinds"], "elsewhere": placement["elsewhere"]}
        if truth is not None and form != PLAIN:
            error_u = relative_error(bound.first.astype(np.float64), truth, unit_roundoff(x.dtype))
            about[form]["error"] = round_to(error_u, 4)
    if first not in runs:
        first = next(iter(runs))
    times = turns.table(
        turns.in_turns(runs, rounds=_ROUNDS, seconds=min(_SHARE * seconds, _TIMED)), first
    )
    rows = [{"form": form, **times.get(form, {}), **about[form]} for form in about]
    return {"status": "ok", "first": first, "rows": rows}


def write_table(results: Mapping[str, Mapping[str, Any]], folder: Path) -> None:
    """Write the cost table of all results: a file that other tools may read."""
    machine = results.get("versions:machine", {})
    rows = []
    for key, result in results.items():
        if not key.startswith("forms:") or result["status"] != "ok":
            continue
        _, norm, shape, dtype = key.split(":")
        dims = [int(size) for size in shape.split("x")]
        rows += [
            {"norm": norm, "shape": dims, "dtype": dtype, "first": result["first"], **row}
            for row in result["rows"]
        ]
    device = machine.get("card", {}).get("name") if "CUDA" in machine.get("provider", "") else None
    table = {
        "device": device or machine.get("processor", "unknown"),
        "backend": machine.get("backend", ""),
        "versions": machine.get("packages", {}),
        "rows": rows,
    }
    (folder / TABLE).write_text(json.dumps(journal.plain(table)) + "\n")


def _model(call: NormCall, form: str, dtype: str) -> onnx.ModelProto:
    if form == turns.AGAIN:
        return norm_uses.model(call, norm_uses.forms(call)[0])
    if form != PLAIN:
        return norm_uses.model(call, form)
    dims = ",".join(map(str, call.shape))
    plain: onnx.ModelProto = onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["": 13]>\n'
        f"plain ({dtype}[{dims}] x) => ({dtype}[{dims}] y) {{ y = Neg(x) }}"
    )
    return plain
