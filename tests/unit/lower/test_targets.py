"""Targets: what each has, whence it is known, and whether it runs an operator."""

from __future__ import annotations

import json
from importlib import resources

import pytest

from normonnx.core.kernels import Kernel, Kernels
from normonnx.lower.targets import PORTABLE, TARGETS, kernels_of, runs
from normonnx.runtime.naming import BACKENDS

WITH_TABLES = [name for name in TARGETS if name != PORTABLE]


def test_there_are_five_targets_and_the_pipeline_takes_them_all() -> None:
    """Their names are those of the public contract."""
    assert list(TARGETS) == ["portable", "ort-cpu", "ort-cuda", "tensorrt", "openvino"]
    assert all(each.name == name for name, each in TARGETS.items())


def test_backends_are_those_that_there_are() -> None:
    """A target that can be run here names a backend as `list backends` does."""
    named = {name: each.backend for name, each in TARGETS.items() if each.backend}
    assert set(named.values()) <= set(BACKENDS)
    assert PORTABLE not in named


def test_portable_has_no_table_and_runs_what_onnx_defines() -> None:
    """Any operator of ONNX's own domain, in an opset that has it; no other."""
    kernels = kernels_of(TARGETS[PORTABLE])
    assert kernels is None
    assert runs(kernels, "", "LayerNormalization", 17, "float16")
    assert not runs(kernels, "", "LayerNormalization", 16, "float32")
    assert not runs(kernels, "com.microsoft", "SkipLayerNormalization", 1, "float32")
    assert not runs(kernels, "ai.onnx.ml", "Scaler", 3, "float32")


@pytest.mark.parametrize("name", WITH_TABLES)
def test_each_other_target_has_a_table_that_says_its_source(name: str) -> None:
    """Rows are sorted and in the package, so that a regenerated table is compared line by line."""
    kernels = kernels_of(TARGETS[name])
    assert kernels is not None
    assert any(character.isdigit() for character in kernels.source)
    path = resources.files("normonnx.lower.tables") / f"kernels-{name}.json"
    assert json.loads(path.read_text(encoding="utf-8")) == kernels.plain
    assert Kernels.of_plain(kernels.plain) == kernels


def test_what_is_installed_counts_more_than_the_table() -> None:
    """The registry of the runtime itself, where there is one."""
    here = Kernels("here", (Kernel("", "Neg"),))
    assert kernels_of(TARGETS["ort-cpu"], here) is here
    assert kernels_of(TARGETS["ort-cpu"]) is not here


@pytest.mark.parametrize(
    ("target", "operator", "opset", "dtype", "expected"),
    [
        ("ort-cpu", "LayerNormalization", 17, "float64", True),
        ("ort-cpu", "InstanceNormalization", 21, "float32", True),
        ("ort-cpu", "InstanceNormalization", 21, "float64", False),
        ("ort-cpu", "Constant", 13, "int64", True),
        ("ort-cpu", "GroupNormalization", 21, "float32", True),  # as its body
        ("ort-cpu", "GroupNormalization", 17, "float32", False),  # not in that opset
        ("ort-cpu", "RMSNormalization", 23, "float32", True),
        ("ort-cpu", "RMSNormalization", 22, "float32", False),
        ("ort-cuda", "InstanceNormalization", 21, "float64", True),
        ("ort-cuda", "InstanceNormalization", 22, "float32", False),  # the kernel is of version 6
        ("ort-cuda", "LpNormalization", 22, "float32", False),
        ("tensorrt", "GroupNormalization", 21, "bfloat16", True),
        ("tensorrt", "LRN", 13, "float64", False),
        ("openvino", "LayerNormalization", 17, "float32", True),
        ("openvino", "LRN", 13, "float32", True),
    ],
)
def test_targets_run_operators(
    target: str, operator: str, opset: int, dtype: str, *, expected: bool
) -> None:
    """By the version of the operator that the opset has, and by the type of its first input."""
    kernels = kernels_of(TARGETS[target])
    assert runs(kernels, "", operator, opset, dtype) is expected
    assert runs(kernels, "ai.onnx", operator, opset, dtype) is expected


def test_fused_operators_are_only_where_a_kernel_is() -> None:
    """They have no body to fall back on."""
    skip = ("com.microsoft", "SkipLayerNormalization", 1, "float32")
    found = {name: runs(kernels_of(each), *skip) for name, each in TARGETS.items()}
    assert found["ort-cpu"]
    assert found["ort-cuda"]
    assert not found["tensorrt"]
    assert not found[PORTABLE]
