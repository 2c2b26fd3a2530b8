"""Settings for every test, and which of them run only with `--exhaustive`."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Final, cast

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    # One thread a worker: libraries that each start a thread a core only wait for one another.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# What a test imports itself sends nothing to anybody; for workers the engine sees to it.
sys.modules.setdefault("openvino_telemetry", cast("ModuleType", None))

# No table that somebody measured on this machine may change what is chosen.
os.environ["NORMONNX_COSTS"] = str(Path(tempfile.gettempdir()) / "normonnx-tests-no-costs")

# Rows that take long and say again of a larger network, or of one more type or scale, what others
# of the same table say.
EXHAUSTIVE: Final = (
    r"norms_left_by_each_exporter\[(?!mlp|demo|alexnet)\w+-dynamo",
    r"norms_left_by_each_exporter\[(densenet121|r3d_18|gn_unet|levit|unet|bert_base|repvgg)-legacy",
    r"norms_left_by_each_exporter\[(convnext\w*|llama|mobilenet_v2|resnet50)-legacy",
    r"test_an_export_is_repeatable\[dynamo-raw\]",
    r"test_levit_loses_its_batch_norms\[dynamo-raw\]",
    r"test_pointnet_loses\w+\[dynamo\]",
    r"test_each_block_becomes_one_conv\[dynamo",
    r"test_opsets_models\.py::.*\[(gn_unet|squeezenet)",
    r"test_the_seed_decides_everything\[(?!mlp|demo|dcgan)",
    r"test_every_batch_norm_after_a_convolution_folds\[(densenet121|inception_v2)\]",
    r"test_every_form_is_the_reference_in_float32\[.*-(0\.0001|10000\.0)\]",
    r"test_functions_of_centered_norms_hold_at_any_mean\[.*-(100|1000)\.0\]",
    r"test_an_example_runs\[normonnx (tune|list|explain|record|compare|bench|export) ",
    r"test_\w+_at_any_scale\[.*(100000|1e5)\]",
    r"test_a_published_network\[(densenet121|gn_unet|r3d_18|levit|bert_base|repvgg|convnext)\]",
    r"test_a_fault_is_a_mismatch\[orientation",
    r"test_layers_are_met\[.*-between\]",
    r"test_cluster\.py::test_(cards_are_asked|files_may_be_shared)",
    r"test_every_form_is_the_reference_in_other_types\[.*-bfloat16\]",
    r"test_primitive_forms\.py::.*-bfloat16\]",
    r"test_closed_loop\.py::.*-float64\]",
    r"test_a_stack_is_optimized_once_and_for_all\[.*\b(20|30|40|50)\b",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--exhaustive`: every test."""
    parser.addoption(
        "--exhaustive", action="store_true", help="also run the rows of tables that take longest"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the longest out, unless they are asked for, or named on the command line."""
    if config.getoption("--exhaustive") or any("::" in argument for argument in config.args):
        return
    long = re.compile("|".join(EXHAUSTIVE))
    left_out = [item for item in items if long.search(item.nodeid)]
    if left_out:
        items[:] = [item for item in items if not long.search(item.nodeid)]
        config.hook.pytest_deselected(items=left_out)
