"""`normonnx list`."""

from __future__ import annotations

import pytest

from tests.cli.running import Cli


@pytest.mark.parametrize(
    ("what", "name"),
    [
        ("norms", "BatchNorm"),
        ("passes", "fold-affine"),
        ("targets", "portable"),
        ("backends", "ort:cpu"),
    ],
)
def test_it_lists_names_with_what_they_mean(cli: Cli, what: str, name: str) -> None:
    """Each name has a row, and the same entry in JSON."""
    ran = cli("list", what)
    assert (ran.code, ran.err) == (0, "")
    assert any(row.split(None, 1)[0] == name for row in ran.out.splitlines())
    found = cli("list", what, "--json", "-").json
    assert (found["schema"], found["what"]) == ("normonnx.list/1", what)
    assert all(entry["name"] and entry["description"] for entry in found["entries"])
    assert name in [entry["name"] for entry in found["entries"]]


def test_backends_are_listed_as_they_are_here(cli: Cli) -> None:
    """With the version of what is installed, and the way to what is not."""
    onnxruntime = pytest.importorskip("onnxruntime")
    found = {one["name"]: one for one in cli("list", "backends", "--json", "-").json["entries"]}
    assert found["ort:cpu"]["here"] == f"onnxruntime {onnxruntime.__version__}"
    assert found["ort:cpu"]["missing"] is None
    assert found["oracle"]["here"]
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        assert found["ort:cuda"]["here"] is None
        assert found["ort:cuda"]["missing"] == "not installed; pip install 'normonnx[cuda]'"


def test_targets_are_listed_with_what_is_known_of_them(cli: Cli) -> None:
    """Whence their kernels are known, and whether they can be run here."""
    onnxruntime = pytest.importorskip("onnxruntime")
    found = {one["name"]: one for one in cli("list", "targets", "--json", "-").json["entries"]}
    assert list(found) == ["portable", "ort-cpu", "ort-cuda", "tensorrt", "openvino"]
    version = onnxruntime.__version__
    assert found["ort-cpu"]["kernels"] == f"onnxruntime {version}, CPUExecutionProvider"
    assert found["ort-cpu"]["here"] == f"onnxruntime {version}"
    assert found["ort-cpu"]["missing"] is None
    assert found["portable"]["kernels"] is found["portable"]["here"] is None
    assert "TensorRT" in found["tensorrt"]["kernels"]
    if "TensorrtExecutionProvider" not in onnxruntime.get_available_providers():
        assert "pip install" in found["tensorrt"]["missing"]
    assert all("costs" in one for one in found.values())
