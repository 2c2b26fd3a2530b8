"""Models above 2 GB, which protobuf can't hold: sparse files, few real bytes."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import TensorProto

from normonnx.graph import files, tensors, walk
from tests.unit.graph import samples

ROWS, COLUMNS = (1 << 21) + 1024, 256  # float32: 1 MiB above 2 GiB
SIZE = ROWS * COLUMNS * 4

TEXT = """
<ir_version: 8, opset_import: ["" : 17]>
main (int64[n] i) => (float[n, 4] z) {
    e = Gather (table, i)
    y = MatMul (e, W)
    z = BatchNormalization (y, scale, shift, mean, var)
}
"""

OPTIMIZE = """
import sys, normonnx
from normonnx.graph import files
result = normonnx.optimize(sys.argv[1])
files.save(result.model, sys.argv[2])
with open("/proc/self/status") as status:
    lines = dict(line.split(":") for line in status)
print(result.report.nodes_after.get("BatchNormalization", 0), int(lines["VmHWM"].split()[0]) >> 10)
"""


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A model with a table of 2 GiB in a sparse file, only its last row written."""
    if shutil.disk_usage(tmp_path).free < 3 << 30:
        pytest.skip("less than 3 GB of disk")
    scale, mean, var = (np.full(4, value, np.float32) for value in (2, 1, 3))
    weights = {"W": samples.array(COLUMNS, 4), "scale": scale, "shift": mean}
    model = samples.with_initializers(TEXT, weights | {"mean": mean, "var": var})
    table = TensorProto(name="table", data_type=TensorProto.FLOAT, dims=[ROWS, COLUMNS])
    table.data_location = TensorProto.EXTERNAL
    for key, value in {"location": "table.bin", "offset": "0", "length": str(SIZE)}.items():
        table.external_data.add(key=key, value=value)
    model.graph.initializer.append(table)
    path = tmp_path / "large.onnx"
    path.write_bytes(model.SerializeToString())
    with (tmp_path / "table.bin").open("wb") as file:
        file.seek(SIZE - COLUMNS * 4)
        file.write(samples.array(COLUMNS, seed=1).tobytes())
    return path


@pytest.mark.slow
def test_optimize_above_two_gigabytes(large: Path, tmp_path: Path) -> None:
    """External data of 2 GiB: folded and saved in little memory, on little disk, and it runs."""
    out = tmp_path / "out.onnx"
    run = subprocess.run(
        [sys.executable, "-c", OPTIMIZE, str(large), str(out)],
        capture_output=True,
        text=True,
        check=True,
    )
    batch_norms, megabytes = map(int, run.stdout.split())
    assert batch_norms == 0
    assert megabytes < 400
    data = (tmp_path / "out.onnx.data").stat()
    assert data.st_size >= SIZE
    rows = np.array([ROWS - 1, 5])
    results = [ort.InferenceSession(path).run(None, {"i": rows})[0] for path in (large, out)]
    np.testing.assert_allclose(results[1], results[0], rtol=1e-5, atol=1e-5)
    assert np.abs(results[0][0] - results[0][1]).max() > 0.1


def test_embedded_weights_above_two_gigabytes_become_external(tmp_path: Path) -> None:
    """No ONNX file can hold them: all large weights go to the data file, without being asked."""
    if shutil.disk_usage(tmp_path).free < 3 << 30:
        pytest.skip("less than 3 GB of disk")
    model = ir.from_proto(samples.linear())
    zeros = np.zeros((ROWS, COLUMNS), np.float32)  # no page of it is ever written
    model.graph.register_initializer(
        ir.Value(
            name="spare", const_value=tensors.of_array(zeros, "spare"), shape=ir.Shape(zeros.shape)
        )
    )
    files.save(model, tmp_path / "m.onnx")
    assert (tmp_path / "m.onnx").stat().st_size < 2000
    assert (tmp_path / "m.onnx.data").stat().st_size >= SIZE
    again = {str(t.name): t for t in walk.all_tensors(files.load(tmp_path / "m.onnx"))}
    assert again["spare"].numpy().shape == (ROWS, COLUMNS)
    np.testing.assert_array_equal(again["W"].numpy(), samples.array(32, 32))
