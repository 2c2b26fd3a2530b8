"""How time and memory of optimizing grow with the nodes and with the weights of a model.

    python tools/measure_scaling.py [--nodes 1000,10000,100000] [--gigabytes 0.25,1,4] [--json FILE]

The models are made here: blocks of Conv, BatchNormalization, Relu, Add and a LayerNormalization
taken apart; or a few such blocks with large external weights, written as real numbers. Each run is
a process of its own: read, optimize, write, without the check. Told are processor seconds (a busy
machine lengthens the clock, not these), the exponent of their growth from the first to the last
model, and the most memory held that belongs to no file (RssAnon): what is mapped from a file can
be dropped by the system at any time.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

_CHANNELS: Final = 8
_WIDE: Final = 2048  # channels of a block with large weights: 144 MiB for each Conv
_BLOCK: Final = 14  # nodes
_WORK: Final = """
import re, sys, threading, time
import normonnx, normonnx.pipeline
peak = 0
def look():
    global peak
    while True:
        with open("/proc/self/status") as status:
            peak = max(peak, int(re.search(r"RssAnon:\\s+(\\d+)", status.read())[1]))
        time.sleep(0.02)
threading.Thread(target=look, daemon=True).start()
began = time.process_time()
result = normonnx.optimize(sys.argv[1])
optimized = time.process_time()
normonnx.save(result.model, sys.argv[2])
print(optimized - began, time.process_time() - optimized, peak, len(result.report.applied))
"""


def blocks(folder: Path, count: int, channels: int = _CHANNELS, size: int = 1) -> Path:
    """A model of `count` blocks with Convs of `channels` and a kernel of `size`."""
    rng = np.random.default_rng(0)
    nodes: list[onnx.NodeProto] = []
    tensors = [_small("eps", np.float32(1e-5)), _small("two", np.float32(2))]
    path = folder / f"{count}x{channels}.onnx"
    value = "x"
    with path.with_suffix(".bin").open("wb") as data:
        for number in range(count):
            name = f"b{number}_"
            tensors.append(_large(f"{name}w", (channels, channels, size, size), rng, data))
            for key, low in zip("sbmv", (0.5, -1, -1, 0.5), strict=True):
                drawn = rng.uniform(low, 1.5, channels).astype(np.float32)
                tensors.append(_small(name + key, drawn))
            nodes += _block(name, value, size // 2)
            tensors += [_small(name + key, rng.uniform(0.5, 1.5, 4)) for key in ("g", "h")]
            value = f"{name}z"
    shape: list[str | int | None] = ["N", channels, 4, 4]
    ends = [
        [helper.make_tensor_value_info(each, TensorProto.FLOAT, shape)] for each in ("x", value)
    ]
    graph = helper.make_graph(nodes, "blocks", ends[0], ends[1], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


def _block(name: str, value: str, pad: int) -> list[onnx.NodeProto]:
    def node(operator: str, inputs: str, output: str, **attributes: Any) -> onnx.NodeProto:  # noqa: ANN401
        read = [each if each in ("eps", "two", value) else name + each for each in inputs.split()]
        return helper.make_node(operator, read, [name + output], name + output, **attributes)

    return [
        helper.make_node("Conv", [value, f"{name}w"], [f"{name}c"], f"{name}c", pads=[pad] * 4),
        node("BatchNormalization", "c s b m v", "n"),
        node("Relu", "n", "r"),
        helper.make_node("Add", [f"{name}r", value], [f"{name}a"], f"{name}a"),
        node("ReduceMean", "a", "mean", axes=[-1]),
        node("Sub", "a mean", "d"),
        node("Pow", "d two", "q"),
        node("ReduceMean", "q", "var", axes=[-1]),
        node("Add", "var eps", "e"),
        node("Sqrt", "e", "sd"),
        node("Div", "d sd", "i"),
        node("Mul", "i g", "j"),
        node("Add", "j h", "y"),
        node("Sigmoid", "y", "z"),
    ]


def _small(name: str, array: Any) -> TensorProto:  # noqa: ANN401  # anything numpy takes
    return numpy_helper.from_array(np.asarray(array, np.float32), name)


def _large(name: str, shape: tuple[int, ...], rng: np.random.Generator, data: Any) -> TensorProto:  # noqa: ANN401
    """A weight; where it is of some size it goes to the data file."""
    array = (rng.standard_normal(shape, np.float32) / math.sqrt(math.prod(shape[1:]))).astype("<f4")
    if array.nbytes < 1 << 20:
        return numpy_helper.from_array(array, name)
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=shape)
    tensor.data_location = TensorProto.EXTERNAL
    where = {"location": Path(data.name).name, "offset": data.tell(), "length": array.nbytes}
    for key, value in where.items():
        tensor.external_data.add(key=key, value=str(value))
    data.write(array.tobytes())
    return tensor


def measured(model: Path) -> dict[str, float]:
    """Processor seconds to read and optimize, and to write; megabytes held; rewrites made."""
    out = model.with_name("out.onnx")
    ran = subprocess.run(
        [sys.executable, "-c", _WORK, str(model), str(out)],
        capture_output=True,
        text=True,
        check=True,
    )
    optimize, write, peak, rewrites = map(float, ran.stdout.split())
    for each in model.parent.glob("out.onnx*"):
        each.unlink()
    return {"optimize": optimize, "write": write, "megabytes": peak / 1024, "rewrites": rewrites}


def exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float | None:
    """Of the growth from the first to the last; None for one model alone."""
    if len(sizes) < 2:  # noqa: PLR2004
        return None
    return math.log(seconds[-1] / seconds[0]) / math.log(sizes[-1] / sizes[0])


def _grown(what: str, sizes: Sequence[float], wide: int, kernel: int) -> dict[str, Any]:
    rows = []
    for size in sizes:
        count = round(size / _BLOCK) if what == "nodes" else _for(size)
        with tempfile.TemporaryDirectory(prefix="scaling-") as place:
            row = {what: size, **measured(blocks(Path(place), max(1, count), wide, kernel))}
        rows.append(row)
        print(", ".join(f"{key} {value:.4g}" for key, value in row.items()), flush=True)
    grown = exponent(sizes, [row["optimize"] for row in rows])
    if grown is not None:
        print(f"time grows with the power {grown:.2f} of the {what}")
    return {"rows": rows, "exponent": grown}


def _for(gigabytes: float) -> int:
    """Blocks whose weights take that much."""
    return round(gigabytes * 2**30 / (_WIDE * _WIDE * 9 * 4))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 1 where time grows faster than the power 1.1."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--nodes", default="1000,3000,10000,30000,100000", help="of the models")
    parser.add_argument("--gigabytes", default="", help="of the weights of further models")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    given = parser.parse_args(arguments)
    found = {}
    for what, listed, wide, kernel in (
        ("nodes", given.nodes, _CHANNELS, 1),
        ("gigabytes", given.gigabytes, _WIDE, 3),
    ):
        sizes = [float(each) for each in listed.split(",") if each]
        if sizes:
            found[what] = _grown(what, sizes, wide, kernel)
    if given.json is not None:
        given.json.write_text(json.dumps(found, indent=1) + "\n")
    grown = found.get("nodes", {}).get("exponent")
    return 1 if grown is not None and grown > 1.1 else 0  # noqa: PLR2004


if __name__ == "__main__":
    sys.exit(main())
