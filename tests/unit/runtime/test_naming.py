"""Names of backends: taken apart, completed, and refused with the way out."""

from __future__ import annotations

import pytest

from normonnx.core.errors import ExitCode, UsageError
from normonnx.runtime.naming import BACKENDS, close_to, parse

PARSED = {
    "ort:cpu": ("ort", "cpu", {}),
    "ort": ("ort", "cpu", {}),
    "ort:": ("ort", "cpu", {}),
    "ORT:CUDA": ("ort", "CUDA", {}),
    " ort:cpu ": ("ort", "cpu", {}),
    "ort:cuda,use_tf32=1": ("ort", "cuda", {"use_tf32": "1"}),
    "ort:cpu, level = basic , threads=4": ("ort", "cpu", {"level": "basic", "threads": "4"}),
    "ort:XnnpackExecutionProvider": ("ort", "XnnpackExecutionProvider", {}),
    "ort:openvino,cache_dir=a=b": ("ort", "openvino", {"cache_dir": "a=b"}),
    "openvino": ("openvino", "CPU", {}),
    "openvino:GPU.1,precision=f16": ("openvino", "GPU.1", {"precision": "f16"}),
    "openvino,NUM_STREAMS=2": ("openvino", "CPU", {"NUM_STREAMS": "2"}),
    "torch": ("torch", "", {}),
    "torch:pkg.nets:Net.make": ("torch", "pkg.nets:Net.make", {}),
    "torch:nets:make,precision=own": ("torch", "nets:make", {"precision": "own"}),
    "oracle": ("oracle", "CPU", {}),
}


@pytest.mark.parametrize("name", PARSED)
def test_a_name_is_family_device_and_options(name: str) -> None:
    """The device has a default, blanks don't count, and the name stays as it was given."""
    found = parse(name)
    assert (found.family, found.device, found.options) == PARSED[name]
    assert found.name == name
    assert found.is_known


@pytest.mark.parametrize("name", ["abacus", "", ":cpu", "onnxruntime", "oracle:GPU", "tensorrt"])
def test_a_family_that_does_not_exist_is_not_known(name: str) -> None:
    """It is no misuse: what is missing is unavailable. The oracle has no devices."""
    assert not parse(name).is_known


@pytest.mark.parametrize("name", [name for name in BACKENDS if name != "ort:PROVIDER"])
def test_every_name_that_is_offered_is_known(name: str) -> None:
    """What `list backends` shows can be given back."""
    assert parse(name).is_known


REFUSED = {
    "ort:cpu,": "'' is no option, expected NAME=VALUE",
    "ort:cpu,fast": "'fast' is no option, expected NAME=VALUE",
    "ort:cpu,level=": "'level=' is no option",
    "ort:cpu,=all": "'=all' is no option",
    "ort:cpu, = ": "is no option",
    "ort:cpu,level=fast": "level 'fast' is unknown; use disabled, basic, extended, all",
    "ort:cuda,level=fast": "level 'fast' is unknown",
    "openvino,precision=fp16": "precision 'fp16' is unknown; use f32, bf16, f16",
    "torch:m:f,precision=f32": "precision 'f32' is unknown; use float64, own",
    "ort:cpu,threads=0": "threads '0' must be a number from 1 to 1024",
    "ort:cpu,threads=-1": "threads '-1' must be",
    "ort:cpu,threads=two": "threads 'two' must be",
    "ort:cpu,threads=99999999999": "threads '99999999999' must be",
    "ort:cpu,use_tf32=1": "there is no option 'use_tf32'; use level, threads",
    "ort:CPUExecutionProvider,thread=2": "there is no option 'thread'; use level, threads",
    "torch:m:f,level=all": "there is no option 'level'; use precision, threads",
    "oracle,threads=2": "there is no option 'threads'; it takes none",
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_option_that_makes_no_sense_is_refused(name: str) -> None:
    """The name, the value found and what to use instead; one that would be ignored as well."""
    with pytest.raises(UsageError) as caught:
        parse(name)
    assert REFUSED[name] in str(caught.value)
    assert repr(name) in str(caught.value)
    assert caught.value.exit_code is ExitCode.USAGE


def test_one_thread_unless_more_are_asked_for() -> None:
    """One gives the same result at each run."""
    assert parse("ort:cpu").threads == 1
    assert parse("openvino,threads=3").threads == 3


def test_live_modules_are_run_by_torch_without_a_factory() -> None:
    """A factory by name makes its own module."""
    assert parse("torch,precision=own").runs_live
    assert not parse("torch:nets:make").runs_live
    assert not parse("ort").runs_live


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("openvno", "openvino"),
        ("ort:cud", "ort:cuda"),
        ("Oracl", "oracle"),
        ("openvno,threads=2,NUM_STREAMS=1", "openvino"),
        ("oracle:GPU", "oracle"),
    ],
)
def test_a_misspelling_is_answered_with_the_nearest_name(name: str, near: str) -> None:
    """Options don't count, nor does case."""
    assert close_to(name) == f"did you mean {near}?"


def test_a_name_like_no_other_is_answered_with_all_of_them() -> None:
    """So that the next attempt can be right."""
    said = close_to("abacus")
    assert all(name in said for name in BACKENDS)
