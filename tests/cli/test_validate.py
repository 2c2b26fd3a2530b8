"""`normonnx validate`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx
import pytest

from tests.cli.running import Cli, Models


def test_a_runtime_that_computes_rightly_passes(cli: Cli, models: Models) -> None:
    """ONNX Runtime on CPU, judged against float64, with the nodes that it ran."""
    ran = cli("validate", models.conv_bn)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines()[-1].startswith("verdict: pass")
    assert "CPUExecutionProvider" in ran.out


def test_json_holds_every_comparison(cli: Cli, models: Models) -> None:
    """Verdict, figures and settings, strict JSON, and nothing else on stdout."""
    found = cli("validate", models.conv_bn, "--json", "-", "--seed", "7").json
    assert found["schema"] == "normonnx.validate/1"
    assert (found["exit_code"], found["against"]) == (0, None)
    report = found["report"]
    assert (report["verdict"], report["passed"], report["seed"]) == ("pass", True, 7)
    assert {one["question"] for one in report["comparisons"]} == {"computes"}
    assert all(one["ratio"] <= report["factor"] for one in report["comparisons"])


def test_an_optimized_model_is_the_same_function(cli: Cli, models: Models) -> None:
    """--against asks the second question as well."""
    out = models.folder / "out.onnx"
    cli("optimize", models.conv_bn, "-o", out, "--verify", "none")
    found = cli("validate", out, "--against", models.conv_bn, "--json", "-").json
    assert found["exit_code"] == 0
    assert {one["question"] for one in found["report"]["comparisons"]} == {"computes", "equivalent"}


def test_another_function_is_a_mismatch(cli: Cli, models: Models) -> None:
    """One weight changed by a thousandth is seen: exit code 1."""
    model = onnx.load(models.conv_bn)
    (weight,) = (found for found in model.graph.initializer if found.name == "w")
    array = onnx.numpy_helper.to_array(weight).copy()
    array[0, 0, 0, 0] *= 1.001
    weight.CopyFrom(onnx.numpy_helper.from_array(array, "w"))
    other = models.write("other.onnx", model.SerializeToString())
    ran = cli("validate", other, "--against", models.conv_bn)
    assert ran.code == 1
    assert ran.out.splitlines()[-1].startswith("verdict: mismatch")


@pytest.mark.parametrize("backend", ["ort:cuda", "ort:tensorrt", "ort:openvino"])
def test_a_provider_that_is_not_here_is_never_a_pass(
    cli: Cli, models: Models, backend: str
) -> None:
    """Exit code 3, alone or beside one that passes, and no verdict that reads as a pass."""
    import onnxruntime

    names = {"cuda": "CUDA", "tensorrt": "Tensorrt", "openvino": "OpenVINO"}
    provider = f"{names[backend.partition(':')[2]]}ExecutionProvider"
    if provider in onnxruntime.get_available_providers():
        pytest.skip(f"{provider} is installed here")
    alone = cli("validate", models.conv_bn, "--backend", backend)
    assert alone.code == 3
    assert "verdict: pass" not in alone.out
    both = cli("validate", models.conv_bn, "--backend", "ort:cpu", "--backend", backend)
    assert both.code == 3
    assert "verdict: pass" not in both.out


def test_a_made_up_backend_is_refused(cli: Cli, models: Models) -> None:
    """A name that nobody knows is exit code 3 or a usage error, and never a pass."""
    ran = cli("validate", models.conv_bn, "--backend", "abacus")
    assert ran.code in (2, 3)
    assert "abacus" in ran.out + ran.err
    assert "verdict: pass" not in ran.out


def test_inputs_of_the_users_own_are_used(cli: Cli, models: Models) -> None:
    """An .npz with the input by name is the one case."""
    path = models.folder / "inputs.npz"
    rng = np.random.default_rng(1)
    np.savez(path, x=rng.standard_normal((2, 3, 8, 8)).astype(np.float32))
    ran = cli("validate", models.conv_bn, "--inputs", path, "--json", "-")
    assert ran.code == 0, ran
    assert len({one["case"] for one in ran.json["report"]["comparisons"]}) == 1


Arrays = dict[str, npt.NDArray[np.float32]]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"no archive", "inputs.npz"),
        (b"", "inputs.npz"),
        (b"PK\x03\x04" + bytes(40), "inputs.npz"),
        ({"z": np.zeros((1, 3, 8, 8), np.float32)}, "z"),
        ({"x": np.zeros((1, 5, 8, 8), np.float32)}, "x"),
        ({"x": np.zeros((1, 3, 8), np.float32)}, "x"),
    ],
    ids=["text", "empty", "damaged", "wrong-name", "wrong-size", "wrong-rank"],
)
def test_inputs_that_do_not_fit_are_refused(
    cli: Cli,
    models: Models,
    content: bytes | Arrays,
    words: str,
) -> None:
    """A damaged archive, a wrong name, a wrong shape: one line, exit code 2."""
    path = models.folder / "inputs.npz"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        np.savez(path, allow_pickle=False, **content)
    cli("validate", models.conv_bn, "--inputs", path).refused(2, words)


def test_missing_inputs_are_refused(cli: Cli, models: Models) -> None:
    """Naming the file."""
    path = models.folder / "missing.npz"
    cli("validate", models.conv_bn, "--inputs", path).refused(2, "missing.npz")


def test_objects_in_an_archive_are_never_unpickled(cli: Cli, models: Models) -> None:
    """An .npz from elsewhere must not run code."""
    path = models.folder / "inputs.npz"
    np.savez(path, x=np.array([{"a": 1}], dtype=object))
    cli("validate", models.conv_bn, "--inputs", path).refused(2, "inputs.npz")


def test_a_shape_can_be_chosen(cli: Cli, models: Models) -> None:
    """--shape fixes a dynamic dimension; one that contradicts the model is refused."""
    assert cli("validate", models.conv_bn, "--shape", "x=3,3,8,8").code == 0
    cli("validate", models.conv_bn, "--shape", "x=3,4,8,8").refused(2, "x")
    cli("validate", models.conv_bn, "--shape", "nothing=1").refused(2, "nothing")


def test_a_custom_operator_is_inconclusive_at_best(cli: Cli, models: Models) -> None:
    """Neither the oracle nor the runtime can evaluate it, so it never passes."""
    ran = cli("validate", models.custom)
    assert ran.code in (3, 4, 5)
    assert "verdict: pass" not in ran.out
