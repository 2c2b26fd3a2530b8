"""Tables of kernels, made from what the makers of a runtime publish."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from normonnx.core.kernels import Kernels
from normonnx.lower import targets
from normonnx.runtime import kernel_registry
from tools import list_kernels
from tools.kernels import operators, published

CUDA = """
## Operators implemented by CPUExecutionProvider
|Neg|*in* X:**T**<br> *out* Y:**T**|6+|**T** = tensor(int8)|

## Operators implemented by CUDAExecutionProvider

| Op Name | Parameters | OpSet Version | Types Supported |
|---------|------------|---------------|-----------------|
|**Operator Domain:** *ai.onnx*||||
|Cast|*in* input:**T1**<br> *out* output:**T2**|23+|**T1** = tensor(bool), tensor(float)<br/> **T2** = tensor(double)|
|||[13, 18]|**T1** = tensor(double)<br/> **T2** = tensor(float)|
|||9|**T1** = tensor(float16)|
|Identity|*in* input:**T**<br> *out* output:**T**<br><br>or<br><br>*in* input:**V**<br> *out* output:**V**|14+|**V** = seq(tensor(float)), tensor(float)|
|InstanceNormalization|*in* input:**T**<br> *out* output:**T**|6+|**T** = tensor(float), tensor(float16)|
|ConstantOfShape|*in* input:**tensor(int64)**<br> *out* output:**T2**|9+|**T2** = tensor(float)|
| |
|**Operator Domain:** *com.microsoft*||||
|GroupNorm|*in* X:**T**<br> *in* gamma:**M**<br> *out* Y:**T**|1+|**T** = tensor(float16)|

## Operators implemented by DmlExecutionProvider
|Neg|*in* X:**T**<br> *out* Y:**T**|6+|**T** = tensor(int8)|
"""
TENSORRT = """
TensorRT 10.15 supports operators in the inclusive range of opset 9 to opset 24. See [here](x).

| Operator | Supported | Supported Types | Restrictions |
|----------|-----------|-----------------|--------------|
| Compress | N         |
| Floor    | Y         | FP32, FP16, BF16|
| Cast     | Y         | FP32, INT64, UINT8, BOOL | none |
"""


def test_the_list_of_onnxruntime_is_read() -> None:
    """One provider, both domains, spans and the first input's types."""
    found = published.onnxruntime_cuda(CUDA, "1.2.3")
    assert found.source.endswith("CUDAExecutionProvider, 1.2.3")
    assert found.plain["kernels"] == [
        ["", "Cast", 13, 18, ["float64"]],
        ["", "Cast", 23, 23, ["bool", "float32"]],
        ["", "Cast", 9, 9, ["float16"]],
        ["", "ConstantOfShape", 9, 19, ["int64"]],
        ["", "Identity", 14, 15, ["float32", "seq(tensor(float))"]],
        ["", "InstanceNormalization", 6, 21, ["float16", "float32"]],
        ["com.microsoft", "GroupNorm", 1, None, ["float16"]],
    ]


def test_the_list_of_tensorrt_is_read() -> None:
    """What it supports, up to the highest opset that it names."""
    found = published.tensorrt(TENSORRT, "")
    assert found.source.endswith("TensorRT 10.15")
    assert found.plain["kernels"] == [
        ["", "Cast", 1, 24, ["bool", "float32", "int64", "uint8"]],
        ["", "Floor", 1, 24, ["bfloat16", "float16", "float32"]],
    ]


@pytest.mark.parametrize("read", [published.onnxruntime_cuda, published.tensorrt])
def test_another_file_is_refused(read: object) -> None:
    """With what it was taken for."""
    assert callable(read)
    with pytest.raises(SystemExit, match="this is no"):
        read("# Something else", "")


def test_a_table_is_written_with_what_forms_use_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line a kernel; the same again where nothing changed."""
    monkeypatch.setattr(operators, "used", lambda: frozenset({("", "Floor")}))
    (tmp_path / "operators.md").write_text(TENSORRT)
    for _ in range(2):
        list_kernels.main(["tensorrt", str(tmp_path / "operators.md"), "--into", str(tmp_path)])
    text = (tmp_path / "kernels-tensorrt.json").read_text()
    found = Kernels.of_plain(json.loads(text))
    assert [each.op_type for each in found.kernels] == ["Floor"]
    assert list_kernels.text_of(found) == text
    assert len(text.splitlines()) == 3


def test_the_shipped_table_of_ort_cpu_is_that_of_the_installed_version() -> None:
    """Where they differ and the version is the same, the table was edited by hand."""
    here = kernel_registry.installed("CPUExecutionProvider")
    shipped = targets.kernels_of(targets.TARGETS["ort-cpu"])
    assert here is not None
    assert shipped is not None
    if here.source == shipped.source:
        assert set(shipped.kernels) <= set(here.kernels)


@pytest.mark.slow
def test_shipped_tables_know_every_operator_of_every_form() -> None:
    """A form that was added has its operators in the tables: ONNX Runtime runs all of them."""
    used = operators.used()
    shipped = targets.kernels_of(targets.TARGETS["ort-cpu"])
    here = kernel_registry.installed("CPUExecutionProvider")
    assert here is not None
    assert shipped is not None
    known = {(each.domain, each.op_type) for each in shipped.kernels}
    have = {(each.domain, each.op_type) for each in here.kernels}
    assert used & have <= known
